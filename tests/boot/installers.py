#!/usr/bin/env python3
"""Debian's installers, text and graphical, by BIOS and by UEFI.

  installers.py TEST ENGINE --lodge FILE --guest FOLDER --keep FOLDER

pclib.py says more.
"""
import functools
import hashlib
import itertools
import struct
import sys
import time

from pclib import INSTALLER, LOADER, STEP, main, medium
from picture import Font, load_reduced, unlike
from vm import Failed

# Mean difference of brightness, 0 to 255: no more than that of the same
# picture, of another highlighted line of a list.
SAME, SAME_LIST = 1, 10


def start_installer(start, args, architecture, firmware, *more):
    image = medium(args, f'installer-{architecture}.iso')
    return start(['--cdrom', image, '--boot', 'cdrom', '-m', '1G',
                  '--firmware', firmware, *more],
                 serial=firmware == 'uefi')


def isolinux_prompt(vm):
    """The menu is a picture; Escape leads to the prompt."""
    vm.wait_screen(lambda s: s['kind'] == 'graphics', LOADER)
    time.sleep(2)
    vm.key('esc')
    vm.wait_text(r'^boot:', LOADER)


def text_by_bios(vm):
    isolinux_prompt(vm)
    # Text mode all the way, not the frame buffer that Linux would find.
    vm.type('install vga=normal fb=false nomodeset\n')
    vm.wait_text(r'\[!!\] Select a language', INSTALLER)
    vm.wait_text(r'English +- +English')


def graphical_by_bios(vm):
    isolinux_prompt(vm)
    vm.type('linux initrd=gtk.gz vga=788\n')


def text_by_uefi(vm):
    """The console draws on a frame buffer, of which the text is read."""
    grub_menu(vm, 't')
    vm.font = Font()
    vm.wait_text(r'\[!!\] Select a language', INSTALLER)
    vm.wait_text(r'English +- +English')


def graphical_by_uefi(vm):
    grub_menu(vm, 'g')


def grub_menu(vm, key):
    vm.serial.expect(r'Graphical install', LOADER)
    time.sleep(1)
    vm.key(key)


def choose(vm, title, *keys):
    """Answers the question of that title with keys."""
    vm.wait_text(r'\] ' + title, STEP)
    time.sleep(1)  # it is drawn before it listens
    vm.key(*keys)


def text(start, args, architecture, firmware):
    """On to the keyboard question."""
    with start_installer(start, args, architecture, firmware) as vm:
        {'bios': text_by_bios, 'uefi': text_by_uefi}[firmware](vm)
        choose(vm, 'Select a language', 'enter')
        choose(vm, 'Select your location', 'enter')
        vm.wait_text(r'\] Configure the keyboard', STEP)
        vm.wait_text(r'American English')


def wait_picture(vm, wanted, seconds):
    """Waits until wanted(picture as reduced) of the screen is true."""
    end = time.monotonic() + seconds
    while not wanted(vm.picture().reduced()):
        if time.monotonic() > end:
            raise Failed(f'not the picture wanted within {seconds} s')
        time.sleep(1)


def graphical(start, args, architecture, firmware):
    """The language screen; the highlighted line goes down, and Enter leads
    on."""
    language = load_reduced('installer-language')
    with start_installer(start, args, architecture, firmware) as vm:
        {'bios': graphical_by_bios, 'uefi': graphical_by_uefi}[firmware](vm)
        wait_picture(vm, lambda p: unlike(p, language) < SAME, INSTALLER)
        time.sleep(1)
        vm.key('down')
        wait_picture(vm, lambda p: SAME < unlike(p, language) < SAME_LIST,
                     STEP)
        vm.key('enter')
        wait_picture(vm, lambda p: unlike(p, language) > SAME_LIST, STEP)


def test_tablet(start, args):
    """Linux gets what the pointer does as reports of the USB tablet."""
    reports = b''
    with start_installer(start, args, 'amd64', 'bios') as vm:
        text_by_bios(vm)
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


def test_audio(start, args):
    """Linux' driver measures the clock of the sound card as it plays."""
    with start_installer(start, args, 'amd64', 'bios', '--audio',
                         'ac97') as vm:
        isolinux_prompt(vm)
        vm.type('linux initrd=gtk.gz vga=normal nomodeset quiet '
                'rdinit=/bin/sh\n')
        vm.wait_text('^~ #', INSTALLER)
        vm.type('mount -t proc p /proc; mount -t sysfs s /sys; clear; '
                'modprobe snd-intel8x0; cat /proc/asound/cards; '
                'dmesg | grep clocking\n')
        vm.wait_text(r'82801AA-ICH with STAC9700', STEP)
        vm.wait_text(r'clocking to 48000', STEP)


TESTS = {f'test_{test.__name__}_{architecture}_{firmware}':
         functools.partial(test, architecture=architecture, firmware=firmware)
         for test, architecture, firmware in itertools.product(
             (text, graphical), ('amd64', 'i386'), ('bios', 'uefi'))}
TESTS['test_tablet'] = test_tablet
TESTS['test_audio'] = test_audio

if __name__ == '__main__':
    sys.exit(main(TESTS))
