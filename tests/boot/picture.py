"""Pictures of the screen: PNG files as pixels, text in them, likeness.

Of PNG, what Lodge writes: 8 bits a channel, RGB, not interlaced.
"""
import os
import struct
import zlib

VGA_BIOS = '/usr/share/seabios/vgabios-stdvga.bin'
ROWS, WIDTH = 16, 8  # of a character

# What is one pixel narrower in the font that Linux has of its own.
NARROW = {
    'f': '00001c36323078303030307800000000',
    'm': '0000000000ecfed6d6d6d6c600000000',
    'v': '0000000000c6c6c6c6c66c3800000000',
    'w': '0000000000c6c6c6d6d6fe6c00000000',
    'T': '00007e7e5a1818181818183c00000000',
}


class Picture:
    """Rows of pixels: their brightness, 0 to 255; in colours, their red, green
    and blue."""

    def __init__(self, path):
        with open(path, 'rb') as f:
            data = f.read()
        if data[:8] != b'\x89PNG\r\n\x1a\n':
            raise ValueError(f'{path} is no PNG')
        at, packed = 8, b''
        while at < len(data):
            size, kind = struct.unpack_from('>I4s', data, at)
            part = data[at + 8:at + 8 + size]
            if kind == b'IHDR':
                self.width, self.height, *form = struct.unpack('>II5B', part)
                if form != [8, 2, 0, 0, 0]:
                    raise ValueError(f'{path}: pixels of another form {form}')
            if kind == b'IDAT':
                packed += part
            at += size + 12
        self.colours = list(self._unfilter(zlib.decompress(packed)))
        self.rows = [bytes((2 * r + 5 * g + b) >> 3 for r, g, b in
                           zip(row[::3], row[1::3], row[2::3]))
                     for row in self.colours]

    def _unfilter(self, data):
        n, above = self.width * 3, bytes(self.width * 3)
        for y in range(self.height):
            kind, line = data[y * (n + 1)], data[y * (n + 1) + 1:][:n]
            above = self._line(kind, bytearray(line), above)
            yield above

    @staticmethod
    def _line(kind, line, above):
        if kind == 2:
            return bytes((a + b) & 255 for a, b in zip(line, above))
        for i in range(len(line) if kind else 0):
            left = line[i - 3] if i >= 3 else 0
            corner = above[i - 3] if i >= 3 else 0
            if kind == 1:
                guess = left
            elif kind == 3:
                guess = (left + above[i]) // 2
            else:
                guess = min((left, above[i], corner),
                            key=lambda v: abs(left + above[i] - corner - v))
            line[i] = (line[i] + guess) & 255
        return bytes(line)

    def reduced(self, columns=32, rows=24):
        """Mean brightness of columns x rows parts, as bytes."""
        result = bytearray()
        for r in range(rows):
            band = self.rows[r * self.height // rows:
                             (r + 1) * self.height // rows]
            for c in range(columns):
                a, b = (k * self.width // columns for k in (c, c + 1))
                total = sum(sum(line[a:b]) for line in band)
                result.append(total // ((b - a) * len(band)))
        return bytes(result)

    def text(self, font):
        """Its rows of characters, 8 x 16 pixels each, from the top left on."""
        return [''.join(font.character(self._cell(x, y))
                        for x in range(self.width // WIDTH)).rstrip()
                for y in range(self.height // ROWS)]

    def _cell(self, x, y):
        """A bit for each pixel that is ink: of two brightnesses, the rarer."""
        lines = [self.rows[y * ROWS + r][x * WIDTH:(x + 1) * WIDTH]
                 for r in range(ROWS)]
        low = min(map(min, lines))
        middle = (low + max(map(max, lines)) + 1) // 2
        if middle - low < 8:
            return 0
        ink = 0
        for line in lines:
            for pixel in line:
                ink = ink << 1 | (pixel >= middle)
        full = (1 << ROWS * WIDTH) - 1
        return ink if ink.bit_count() <= ROWS * WIDTH // 2 else full ^ ink


class Font:
    """The PC's font of 8 x 16, as the VGA BIOS has it; Linux' is near it."""

    def __init__(self, path=VGA_BIOS):
        with open(path, 'rb') as f:
            rom = f.read()
        # Characters 0 (nothing) and 1 (a face).
        at = rom.find(bytes.fromhex('00' * 16 + '00007e81a58181bd9981817e'))
        if at < 0:
            raise ValueError(f'{path} has no font')
        self.shapes = [(chr(n), int.from_bytes(rom[at + 16 * n:][:16], 'big'))
                       for n in range(32, 127)]
        self.shapes += [(c, int(ink, 16)) for c, ink in NARROW.items()]
        self.known = {}

    def character(self, ink):
        """The one that is like it; others as '.'."""
        if not ink:
            return ' '
        if ink not in self.known:
            off, best = min(((shape ^ ink).bit_count(), c)
                            for c, shape in self.shapes)
            self.known[ink] = best if off <= 12 else '.'
        return self.known[ink]


def unlike(one, other):
    """How far two reduced pictures are apart: mean difference, 0 to 255."""
    return sum(abs(a - b) for a, b in zip(one, other)) / len(one)


def load_reduced(name):
    """A reference: tests/boot/pictures/NAME, lines of hexadecimal numbers."""
    path = os.path.join(os.path.dirname(__file__), 'pictures', name)
    with open(path, encoding='ascii') as f:
        return bytes.fromhex(f.read())
