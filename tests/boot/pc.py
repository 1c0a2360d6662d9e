#!/usr/bin/env python3
"""A PC from its firmware on: guests on their own media, read from the screen
and typed to.

  pc.py TEST ENGINE --lodge FILE --guest FOLDER --keep FOLDER

pclib.py says more.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

from pclib import LOADER, STEP, main, medium
from vm import Failed

MEMTEST = 1200  # seconds for a pass over a small memory


def test_nothing(start, args):
    """No medium: the firmware says so. Its keyboard works, too."""
    with start(['--cdrom', 'none', '-m', '64M', '--no-reboot']) as vm:
        vm.wait_text(r'^SeaBIOS', LOADER)
        vm.wait_text(r'No bootable device', LOADER)
        info = vm.ask('info')
        if info['screen']['columns'] != 80 or info['boot'] != 'firmware':
            raise Failed(str(info))
        vm.screenshot(vm.folder + '/screen.png')
        with open(vm.folder + '/screen.png', 'rb') as f:
            if f.read(8) != b'\x89PNG\r\n\x1a\n':
                raise Failed('the screenshot is no PNG')
        vm.type('abc')
        vm.send(b'{"command": "key", "args": {"keys": "ctrl-alt-delete"}}\n')
        vm.want_end(0, LOADER)  # its handler resets the machine


def test_unbootable(start, args):
    """Media that are not bootable: the firmware's own words, on the screen."""
    with tempfile.TemporaryDirectory() as folder:
        path = folder + '/medium'
        with open(path, 'wb') as f:
            f.write(bytes(1440 << 10))
        for words, answer in (
                (['--disk', path + ',ro,bus=virtio'], 'not a bootable disk'),
                (['--disk', path + ',ro,bus=ide'], 'not a bootable disk'),
                (['--disk', path + ',ro,bus=ahci'], 'not a bootable disk'),
                (['--disk', path + ',ro,bus=nvme'], 'not a bootable disk'),
                (['--floppy', path + ',ro'], 'not a bootable disk'),
                (['--cdrom', path], r'Could not read from CDROM \(code \d+\)')):
            with start(words + ['-m', '32M']) as vm:
                vm.wait_text('No bootable device', LOADER)
                vm.wait_text('^Boot failed: ' + answer)
        with start(['--firmware', 'uefi', '--disk', path + ',ro', '-m', '128M'],
                   serial=True) as vm:
            vm.serial.expect(r'failed to load Boot\d+ .*: Not Found', LOADER)
            vm.wait_screen(lambda s: s['kind'] == 'graphics', LOADER)


def memtest(start, words):
    """memtest86+ through its first pass, without an error."""
    with start(words) as vm:
        vm.wait_text(r'<Enter> to start', LOADER)
        vm.key('enter')
        vm.wait_text(r'Pass: +1 +Errors: 0', MEMTEST)


def test_memtest(start, args):
    memtest(start, ['--cdrom', medium(args, 'memtest86+x64.iso'), '-m', '8M'])


def test_memtest_uefi(start, args):
    """The same from a UEFI: it draws its own screen, on which time goes on."""
    image = medium(args, 'memtest86+x64.iso')
    with start(['--firmware', 'uefi', '--cdrom', image, '-m', '128M']) as vm:
        vm.wait_screen(lambda s: (s['width'], s['height']) == (640, 480),
                       LOADER)
        time.sleep(2)  # it is drawn before it listens
        vm.key('enter')
        end, pictures = time.monotonic() + STEP, set()
        while len(pictures) < 4:
            if time.monotonic() > end:
                raise Failed('nothing moves on the screen')
            vm.screenshot(vm.folder + '/screen.png')
            with open(vm.folder + '/screen.png', 'rb') as f:
                pictures.add(f.read())
            time.sleep(1)


def grub(start, words, drive):
    with start(words + ['-m', '64M']) as vm:
        vm.wait_text(r'GNU GRUB', LOADER)
        vm.key('c')
        vm.wait_text(r'^grub>', STEP)
        vm.type('ls\n')
        vm.wait_text(drive, STEP)


def test_grub_cdrom(start, args):
    grub(start, ['--cdrom', medium(args, 'grub-rescue-cdrom.iso')], r'\(cd')


def test_grub_floppy(start, args):
    grub(start, ['--floppy', medium(args, 'grub-rescue-floppy.img') + ',ro'],
         r'\(fd0\)')


def test_uefi(start, args):
    """OVMF to its shell, which powers off; its settings are kept."""
    with tempfile.TemporaryDirectory() as folder:
        words = ['--firmware', f'uefi,vars={folder}/vars.fd', '-m', '256M']
        for mark in ('one', 'two'):
            with start(words, serial=True) as vm:
                vm.serial.expect(r'Shell> *$', LOADER)
                if vm.ask('info')['screen']['kind'] != 'graphics':
                    raise Failed('the screen shows no picture')
                if mark == 'two':
                    vm.type('set lodge\n')
                    vm.serial.expect(r'lodge *= *kept', STEP)
                else:
                    vm.type('set lodge kept\n')
                    vm.serial.expect(r'kept\s+Shell> *$', STEP)
                # It ends while this is being typed.
                vm.send(b'{"command": "type", "args": '
                        b'{"text": "reset -s\\n"}}\n')
                vm.want_end(0, STEP)


def test_real(start, args):
    """A boot sector's work in real mode (of the benchmark), which the jit
    translates."""
    source = os.path.dirname(os.path.abspath(__file__)) + '/../perf/real.asm'
    with tempfile.TemporaryDirectory() as folder:
        disk, stats = folder + '/disk', folder + '/stats'
        subprocess.run(['nasm', '-f', 'bin', '-o', disk, source], check=True)
        os.truncate(disk, 1440 << 10)
        with start(['--disk', disk + ',ro,bus=ide,format=raw', '-m', '32M',
                    '--debug-exit', '--stats', stats], serial=True) as vm:
            for result in ('p17A9', 'cEA72', 'o83C7', 'fFDC0', 'm0000'):
                vm.serial.expect(result, LOADER)
            vm.want_end(1, STEP)
        with open(stats, encoding='utf-8') as f:
            cpu = json.load(f)['cpus'][0]
        if args.engine == 'jit' and cpu['translations_16_bit'] < 100:
            raise Failed(f'16-bit code is not translated: {cpu}')


def test_freedos(start, args):
    """A prompt from a floppy; what is typed is done."""
    image = medium(args, 'freedos.img')
    with start(['--floppy', image + ',ro', '--boot', 'floppy', '-m',
                '16M']) as vm:
        vm.wait_text(r'^A:\\>', LOADER)
        if 'A20' in vm.text():  # HIMEM turns it off and on to see how
            raise Failed('the A20 gate does not close')
        vm.type('dir\n')
        vm.wait_text(r'^ *\d+ file', STEP)
        vm.wait_text(r'bytes free')
        # The floppy has no MEM, but COMMAND has MEMORY.
        vm.type('mem\n')
        vm.wait_text(r'Bad command or filename - "MEM"', STEP)
        vm.type('memory\n')
        vm.wait_text(r'^Heap +: free +\d+ bytes', STEP)
        vm.type('cpulevel\n')
        vm.wait_text(r'This CPU calls itself: \[Lodge', STEP)


if __name__ == '__main__':
    sys.exit(main(globals()))
