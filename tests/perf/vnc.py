#!/usr/bin/env python3
"""How many frames a second a VNC viewer gets of a screen of 1024 x 768 that is
painted anew all the time, and what that costs Lodge.

  vnc.py --lodge FILE --kernels FOLDER [--seconds N] [--encoding raw|zrle|tight]

Prints a line; fails (status 1) only when no frames arrive. The figures are
cores: of the thread that serves viewers, and of the whole VM, whose guest
paints (which is most of it).
"""
import argparse
import glob
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import time

ENCODINGS = {'raw': 0, 'zrle': 16, 'tight': 7}
WIDTH, HEIGHT = 1024, 768


class Viewer:
    """RFB 3.8 without security; updates are read, not decoded."""

    def __init__(self, port, encoding):
        self.s = socket.create_connection(('127.0.0.1', port), 20)
        self.s.settimeout(20)
        self.rest = memoryview(bytearray(8 << 20))
        self.bytes = 0
        self._hello()
        self.s.sendall(struct.pack('>BxH2i', 2, 2, ENCODINGS[encoding], -223))

    def _take(self, n):
        """The next n bytes, which stay until the next call."""
        got = 0
        while got < n:
            part = self.s.recv_into(self.rest[got:n])
            if not part:
                sys.exit('the server has gone')
            got += part
        self.bytes += n
        return self.rest[:n]

    def _hello(self):
        self._take(12)
        self.s.sendall(b'RFB 003.008\n')
        kinds = bytes(self._take(self._take(1)[0]))
        if 1 not in kinds:
            sys.exit('the server wants a password')
        self.s.sendall(b'\1')
        self._take(4)
        self.s.sendall(b'\1')
        self.width, self.height = struct.unpack('>HH16xI',
                                                self._take(24))[:2]
        # The name; its length is what was unpacked last.
        self._take(struct.unpack('>I', self.rest[20:24])[0])

    def ask(self, incremental):
        self.s.sendall(struct.pack('>BBHHHH', 3, incremental, 0, 0,
                                   self.width, self.height))

    def _pixels(self, kind, width, height):
        if kind == ENCODINGS['raw']:
            self._take(4 * width * height)
        elif kind == ENCODINGS['zrle']:
            self._take(struct.unpack('>I', self._take(4))[0])
        elif kind == ENCODINGS['tight']:
            self._tight(width, height)
        elif kind == -223 & 0xffffffff:
            self.width, self.height = width, height
            return 0
        else:
            sys.exit(f'encoding {kind}')
        return width * height

    def _length(self):
        n = 0
        for shift in (0, 7, 14):
            b = self._take(1)[0]
            n |= (b & (127 if shift < 14 else 255)) << shift
            if b < 128:
                break
        return n

    def _tight(self, width, height):
        control = self._take(1)[0]
        if control >> 4 == 8:  # one colour
            self._take(3)
            return
        if control >> 4 == 9:  # JPEG
            self._take(self._length())
            return
        size = 3 * width * height
        if control & 0x40 and self._take(1)[0] == 1:  # a palette
            colours = self._take(1)[0] + 1
            self._take(3 * colours)
            size = (height * (width + 7) // 8 if colours == 2
                    else width * height)
        self._take(size if size < 12 else self._length())

    def update(self):
        """Reads an update; how many pixels came."""
        while True:
            kind = self._take(1)[0]
            if kind == 2:
                continue
            if kind == 3:
                self._take(3)
                self._take(struct.unpack('>I', self._take(4))[0])
                continue
            break
        rectangles = struct.unpack('>xH', self._take(3))[0]
        pixels = 0
        while rectangles:
            _, _, w, h, code = struct.unpack('>4HI', self._take(12))
            if code == -224 & 0xffffffff:  # there are no more
                break
            pixels += self._pixels(code, w, h)
            rectangles -= 1
        return pixels


def threads(pid):
    """Seconds of CPU by name of thread."""
    used, tick = {}, os.sysconf('SC_CLK_TCK')
    for path in glob.glob(f'/proc/{pid}/task/*/stat'):
        with open(path, encoding='ascii') as f:
            name, rest = re.match(r'\d+ \((.*)\) (.*)', f.read()).groups()
        words = rest.split()
        used[name] = (used.get(name, 0)
                      + (int(words[11]) + int(words[12])) / tick)
    return used


def measure(viewer, pid, seconds):
    while viewer.width != WIDTH:
        viewer.ask(0)
        viewer.update()
    viewer.ask(0)
    viewer.update()
    before, start, pixels = threads(pid), time.monotonic(), 0
    viewer.bytes = 0
    while time.monotonic() - start < seconds:
        viewer.ask(1)
        pixels += viewer.update()
    took, after = time.monotonic() - start, threads(pid)
    frames = pixels / (WIDTH * HEIGHT) / took
    cores = {name: (after[name] - before.get(name, 0)) / took
             for name in after}
    print(f'{frames:.1f} full frames/s, {viewer.bytes / took / 1e6:.1f} MB/s; '
          f'viewers {cores.get("lodge-vnc", 0):.2f} cores, '
          f'whole VM {sum(cores.values()):.2f}')
    return frames


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--lodge', default='build/lodge')
    p.add_argument('--kernels', default='build/tests/guest')
    p.add_argument('--engine', default='jit')
    p.add_argument('--seconds', type=float, default=10)
    p.add_argument('--encoding', default='raw', choices=ENCODINGS)
    args = p.parse_args()
    with tempfile.TemporaryFile('w+') as log:
        vm = subprocess.Popen(
            [args.lodge, 'run', '--engine', args.engine, '--kernel',
             args.kernels + '/paint.elf', '--display', 'vnc', '--serial',
             'none', '-m', '64M'], stdin=subprocess.DEVNULL, stdout=log,
            stderr=log)
        try:
            port = None
            while not port:
                if vm.poll() is not None:
                    sys.exit(f'lodge ended with {vm.returncode}')
                time.sleep(0.1)
                log.seek(0)
                port = re.search(r'at port (\d+)', log.read())
            viewer = Viewer(int(port.group(1)), args.encoding)
            return measure(viewer, vm.pid, args.seconds) == 0
        finally:
            vm.kill()
            vm.wait()


if __name__ == '__main__':
    sys.exit(main())
