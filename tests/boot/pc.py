#!/usr/bin/env python3
"""A PC from its firmware on: guests on their own media, read from the screen
and typed to.

  pc.py TEST ENGINE --lodge FILE --guest FOLDER --keep FOLDER

pclib.py says more.
"""
import hashlib
import struct
import sys
import tempfile
import time

from pclib import INSTALLER, LOADER, STEP, main, medium, wait_serial
from vm import Failed

MEMTEST = 1200  # seconds for a pass over a small memory


def choose(vm, title, *keys):
    """Answers the installer's question of that title with keys."""
    vm.wait_text(r'\] ' + title, STEP)
    time.sleep(1)  # it is drawn before it listens
    vm.key(*keys)


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
        with start(['--firmware', 'uefi', '--disk', path + ',ro', '-m', '128M',
                    '--serial', f'file:{folder}/serial']) as vm:
            wait_serial(vm, folder,
                        r'failed to load Boot\d+ .*: Not Found', LOADER)
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
        words = ['--firmware', f'uefi,vars={folder}/vars.fd', '-m', '256M',
                 '--serial', f'file:{folder}/serial']
        for mark in ('one', 'two'):
            with start(words) as vm:
                wait_serial(vm, folder, r'Shell> *$', LOADER)
                if vm.ask('info')['screen']['kind'] != 'graphics':
                    raise Failed('the screen shows no picture')
                if mark == 'two':
                    vm.type('set lodge\n')
                    wait_serial(vm, folder, r'lodge *= *kept', STEP)
                else:
                    vm.type('set lodge kept\n')
                    wait_serial(vm, folder, r'kept\s+Shell> *$', STEP)
                # It ends while this is being typed.
                vm.send(b'{"command": "type", "args": '
                        b'{"text": "reset -s\\n"}}\n')
                vm.want_end(0, STEP)


def to_language_screen(vm):
    """From the CD's boot loader to the installer's first question."""
    # The menu is a picture; Escape leads to the prompt.
    vm.wait_screen(lambda s: s['kind'] == 'graphics', LOADER)
    time.sleep(2)
    vm.key('esc')
    vm.wait_text(r'^boot:', LOADER)
    # Text mode all the way, not the frame buffer that Linux would find.
    vm.type('install vga=normal fb=false nomodeset\n')
    vm.wait_text(r'\[!!\] Select a language', INSTALLER)
    vm.wait_text(r'English +- +English')


def start_installer(start, args, architecture):
    image = medium(args, f'installer-{architecture}.iso')
    return start(['--cdrom', image, '--boot', 'cdrom', '-m', '1G'])


def installer(start, args, architecture):
    """Debian's installer in text mode, on to the keyboard question."""
    with start_installer(start, args, architecture) as vm:
        to_language_screen(vm)
        choose(vm, 'Select a language', 'enter')
        choose(vm, 'Select your location', 'enter')
        vm.wait_text(r'\] Configure the keyboard', STEP)
        vm.wait_text(r'American English')


def test_installer_amd64(start, args):
    installer(start, args, 'amd64')


def test_installer_i386(start, args):
    installer(start, args, 'i386')


def test_tablet(start, args):
    """Linux gets what the pointer does as reports of the USB tablet."""
    reports = b''
    with start_installer(start, args, 'amd64') as vm:
        to_language_screen(vm)
        time.sleep(1)
        vm.key('alt-f2')
        vm.wait_text('Please press Enter')
        vm.key('enter')
        vm.wait_text('^~ #', STEP)
        vm.type('modprobe xhci_pci; modprobe usbhid; modprobe hid-generic; '
                'while [ ! -e /dev/hidraw0 ]; do sleep 1; done; '
                '(cat /dev/hidraw0 > /tmp/reports) & sleep 2; echo begin\n')
        vm.wait_text('^begin', STEP)
        for buttons, x, y, more in (
                (0, 0, 0.5, {'wheel': -1}), (0, 1, 1, {}),
                (1, 0.5, 0.25, {'press': 'left'}),
                (0, 0.5, 0.25, {'release': 'left'}),
                (0, 0.25, 0, {'wheel': 2})):
            vm.ask('mouse', x=x, y=y, **more)
            reports += struct.pack('<BHHb', buttons, int(x * 0xffff) >> 1,
                                   int(y * 0xffff) >> 1,
                                   -more.get('wheel', 0))
        vm.type('md5sum /tmp/reports\n')
        want = hashlib.md5(reports).hexdigest()
        found = vm.wait_text(r'^([0-9a-f]{32}) ', STEP).group(1)
        if found != want:
            raise Failed(f'the reports have sum {found}, not {want}')


def test_freedos(start, args):
    """A prompt from a floppy; what is typed is done."""
    image = medium(args, 'freedos.img')
    with start(['--floppy', image + ',ro', '--boot', 'floppy', '-m',
                '16M']) as vm:
        vm.wait_text(r'^A:\\>', LOADER)
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
