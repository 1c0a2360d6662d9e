#!/usr/bin/env python3
"""Boot loaders from their own media: their prompts, each takes a command.

  loaders.py TEST ENGINE --lodge FILE --guest FOLDER --keep FOLDER

pclib.py says more.
"""
import sys

from pclib import LOADER, STEP, main, medium


def ipxe_prompt(vm):
    vm.wait_text(r'Press Ctrl-B', LOADER)
    vm.key('ctrl-b')
    vm.wait_text(r'^iPXE>', STEP)


def test_ipxe(start, args):
    """From a CD, with a driver of its own for the card."""
    with start(['--cdrom', medium(args, 'ipxe.iso'), '-m', '64M', '--net',
                'user,model=e1000,mac=52:54:00:0a:0b:0c']) as vm:
        ipxe_prompt(vm)
        vm.type('ifstat\n')
        vm.wait_text(r'net0: 52:54:00:0a:0b:0c using 82540em', STEP)
        vm.type('dhcp && show net0/ip\n')
        vm.wait_text(r'net0\.dhcp/ip:ipv4 = 10\.0\.2\.15', STEP)


def test_ipxe_lkrn(start, args):
    """The same as a kernel, which another loader loads from a floppy."""
    image = medium(args, 'syslinux.img')
    with start(['--floppy', image + ',ro', '-m', '64M']) as vm:
        vm.wait_text(r'^boot:', LOADER)
        vm.type('ipxe\n')
        ipxe_prompt(vm)
        vm.type('show version\n')
        vm.wait_text(r'builtin/version:string = 1\.', STEP)


def test_ipxe_rom(start, args):
    """As what a BIOS boots from the network with, on each card."""
    for card in ('virtio', 'e1000', 'rtl8139', 'ne2000'):
        with start(['--boot', 'net', '-m', '64M', '--net',
                    f'user,model={card}']) as vm:
            ipxe_prompt(vm)
            vm.type('dhcp && show net0/ip\n')
            vm.wait_text(r'net0\.dhcp/ip:ipv4 = 10\.0\.2\.15', STEP)


def commands(start, words):
    """A loader of the Syslinux project and what it is told."""
    with start(words + ['-m', '64M']) as vm:
        vm.wait_text(r'^Lodge tests this loader\n.*boot:', LOADER)
        vm.type('nonsense\n')
        vm.wait_text(r'nonsense\.+ ?failed: No such file', STEP)
        vm.type('ls.c32\n')
        vm.wait_text(r'libcom32\.c32', STEP)
        vm.type('cpuid.c32 0\n')
        vm.wait_text(r'^ebx : +\d+ 0x', STEP)


def test_syslinux(start, args):
    commands(start, ['--floppy', medium(args, 'syslinux.img') + ',ro'])


def test_isolinux(start, args):
    commands(start, ['--cdrom', medium(args, 'isolinux.iso')])


def u_boot(start, args, rom):
    """As firmware; its keyboard and its serial line."""
    image = medium(args, f'u-boot-{rom}.rom')
    disk = medium(args, 'syslinux.img')
    with start(['--firmware', image, '-m', '256M', '--disk',
                disk + ',bus=ide,ro'], serial=True) as vm:
        vm.serial.expect(r'Hit any key to stop', LOADER)
        vm.serial.expect(r'\n=> ', STEP)
        vm.type('echo a${board}b\n')
        vm.serial.expect(r'aqemu-x86b\s+=> ', STEP)
        vm.serial.type('ls ide 0\r')
        vm.serial.expect(r'syslinux\.cfg', STEP)


def test_u_boot_x86(start, args):
    u_boot(start, args, 'x86')


def test_u_boot_x86_64(start, args):
    u_boot(start, args, 'x86_64')


if __name__ == '__main__':
    sys.exit(main(globals()))
