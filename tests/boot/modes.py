#!/usr/bin/env python3
"""Video modes, pixel by pixel as QEMU draws them.

  modes.py pictures ENGINE --lodge FILE --keep FOLDER

Both boot a floppy (modes.asm, by nasm) that sets a mode, fills the screen's
memory and waits for a key. pclib.py says more.
"""
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time

from pclib import LOADER, STEP, Skip, main
from picture import Picture
from vm import Failed

# How far colours may be off: QEMU makes 0xa8 of 0x2a of 6 bits, where it is
# 0xaa here; it rounds the 5 bits of some modes likewise.
ROUNDED, ROUNDED_5 = 3, 7
OF_5_BITS = (0x10d, 0x110, 0x113)

# The number, how memory is filled, registers of one's own (port, index,
# value). Not 0 and 1: QEMU has no characters of 18 pixels. Not 102: its map
# mask has no effect in modes of VBE.
MODES = [
    (0x02, 'CELLS'), (0x03, 'CELLS'), (0x07, 'MONO'), (0x04, 'CELLS'),
    (0x05, 'CELLS'), (0x06, 'CELLS'), (0x0d, 'PLANES'), (0x0e, 'PLANES'),
    (0x0f, 'PLANES'), (0x10, 'PLANES'), (0x11, 'PLANES'), (0x12, 'PLANES'),
    (0x13, 'BYTES'), (0x100, 'BANKS'), (0x101, 'BANKS'), (0x103, 'BANKS'),
    (0x105, 'BANKS'), (0x10d, 'BANKS'), (0x10e, 'BANKS'), (0x10f, 'BANKS'),
    (0x110, 'BANKS'), (0x111, 'BANKS'), (0x112, 'BANKS'), (0x113, 'BANKS'),
    (0x114, 'BANKS'), (0x115, 'BANKS'), (0x118, 'BANKS'),
    # Unchained: four planes of bytes.
    (0x13, 'PLANES', (0x3c4, 4, 0x06), (0x3d4, 0x14, 0), (0x3d4, 0x17, 0xe3)),
    # From elsewhere in memory.
    (0x03, 'CELLS', (0x3d4, 0x0c, 0x01), (0x3d4, 0x0d, 0x23)),
    (0x12, 'PLANES', (0x3d4, 0x0c, 0x12), (0x3d4, 0x0d, 0x34)),
    # Split at row 200; longer rows.
    (0x12, 'PLANES', (0x3d4, 0x0c, 0x40), (0x3d4, 7, 0x0b), (0x3d4, 9, 0),
     (0x3d4, 0x18, 0xc8)),
    (0x12, 'PLANES', (0x3d4, 0x13, 0x32)),
    # Another palette; a plane that is not shown.
    (0x10, 'PLANES', (0x3c0, 1, 0x3f), (0x3c0, 2, 0x15)),
    (0x12, 'PLANES', (0x3c0, 0x12, 0x05)),
]


def floppy(folder):
    path = folder + '/modes.img'
    with open(folder + '/modes.inc', 'w', encoding='ascii') as f:
        for number, kind, *registers in MODES:
            f.write(', '.join([f'mode {number:#x}', kind] + [
                f'{port:#x}, {value << 8 | index:#x}'
                for port, index, value in registers]) + '\n')
    source = os.path.dirname(os.path.abspath(__file__)) + '/modes.asm'
    subprocess.run(['nasm', '-f', 'bin', '-I', folder + '/', '-o', path,
                    source], check=True)
    os.truncate(path, 1440 << 10)
    return path


class Qemu:
    """QEMU with that floppy, its screen and its keyboard."""

    def __init__(self, image, folder):
        self.path = folder + '/qemu.ppm'
        self.ours, theirs = socket.socketpair()
        self.serial, line = socket.socketpair()
        self.serial.settimeout(LOADER)
        self.ours.settimeout(STEP)
        self.p = subprocess.Popen(
            ['qemu-system-x86_64', '-accel', 'tcg', '-m', '16', '-display',
             'none', '-nodefaults', '-vga', 'std', '-drive',
             f'file.filename={image},file.locking=off,format=raw,if=floppy,'
             'readonly=on', '-boot', 'a',
             '-chardev', f'socket,id=qmp,fd={theirs.fileno()}', '-mon',
             'qmp,mode=control', '-chardev',
             f'socket,id=line,fd={line.fileno()}', '-serial', 'chardev:line'],
            pass_fds=(theirs.fileno(), line.fileno()))
        theirs.close()
        line.close()
        self.answers = self.ours.makefile('r')
        self.ask('qmp_capabilities')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.p.kill()
        self.p.wait()

    def ask(self, command, **words):
        self.ours.sendall(json.dumps(
            {'execute': command, 'arguments': words}).encode())
        while True:
            answer = json.loads(self.answers.readline())
            if 'error' in answer:
                raise Failed(f'QEMU: {command}: {answer}')
            if 'return' in answer:
                return

    def wait_shown(self):
        return self.serial.recv(1).decode()

    def picture(self):
        """Its size, and its pixels."""
        self.ask('screendump', filename=self.path)
        with open(self.path, 'rb') as f:
            data = f.read()
        head = re.match(rb'P6\n(\d+) (\d+)\n255\n', data)
        return (int(head[1]), int(head[2])), data[head.end():]

    def key(self):
        self.ask('send-key', keys=[{'type': 'qcode', 'data': 'spc'}])


def want_like(here, there, limit):
    """Of the same size, no colour further off than that."""
    size = (here.width, here.height)
    if size != there[0]:
        raise Failed(f'it is {size} here, {there[0]} under QEMU')
    far = [i for i, (a, b) in enumerate(zip(b''.join(here.colours), there[1]))
           if abs(a - b) > limit]
    if far:
        y, x = divmod(far[0] // 3, size[0])
        raise Failed(f'{len(far)} of {len(there[1])} colours differ, the '
                     f'first at {x}, {y}')


def compare(number, vm, qemu):
    limit = ROUNDED_5 if number in OF_5_BITS else ROUNDED
    here, end = vm.picture(), time.monotonic() + 10
    while True:
        try:
            return want_like(here, qemu.picture(), limit)
        except Failed:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)  # it may be drawing still


def test_pictures(start, args):
    for tool in ('qemu-system-x86_64', 'nasm'):
        if not shutil.which(tool):
            raise Skip(f'{tool} is not installed')
    with tempfile.TemporaryDirectory() as folder:
        image = floppy(folder)
        with start(['--floppy', image + ',ro', '--boot', 'floppy', '-m',
                    '16M'], serial=True) as vm, Qemu(image, folder) as qemu:
            for number, kind, *registers in MODES:
                shown = vm.serial.expect(r'[.!$]', LOADER).group()
                try:
                    if (shown, qemu.wait_shown()) != ('.', '.'):
                        raise Failed('there is no such mode')
                    compare(number, vm, qemu)
                except Failed as e:
                    raise Failed(f'mode {number:#x}, {kind}, {registers}: {e}')
                vm.key('space')
                qemu.key()


if __name__ == '__main__':
    sys.exit(main(globals()))
