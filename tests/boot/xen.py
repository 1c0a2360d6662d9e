#!/usr/bin/env python3
"""Xen, and a Debian that is its dom0, on the serial line.

  xen.py TEST ENGINE --lodge FILE --guest FOLDER --keep FOLDER

pclib.py says more.
"""
import os
import sys

from line import PROMPT
from pclib import LOADER, STEP, Skip, main, medium

DOM0 = 600  # seconds to a prompt, on a busy machine


def xen(start, args, key, cpus, *words):
    """From GRUB's menu to where Xen makes dom0, with as many CPUs."""
    vm = start(['--cdrom', medium(args, 'xen.iso'), '--boot', 'cdrom', '-m',
                '1G', '-c', str(cpus), *words], serial=True)
    try:
        vm.serial.expect(r'Debian on disk', LOADER)
        vm.key(key)
        vm.serial.expect(r'Xen version 4\.17', STEP)
        vm.serial.expect(rf'Brought up {cpus} CPU', DOM0)
        vm.serial.expect(r'Building a PV Dom0', DOM0)
    except BaseException:
        vm.__exit__(*sys.exc_info())
        raise
    return vm


def test_shell(start, args):
    """A shell in dom0, on two virtual CPUs."""
    with xen(start, args, 's', 2) as vm:
        vm.serial.expect(r'Hypervisor detected: Xen PV', DOM0)
        vm.serial.expect(r'~ # ', DOM0)
        vm.serial.type('mount -t proc p /proc; grep -c ^processor '
                       '/proc/cpuinfo; echo en""d\r')
        vm.serial.expect(r'\n2\s+end', STEP)


def test_login(start, args):
    """A Debian on a disk is dom0: login, programs, its end is the VM's."""
    disk = args.guest + '/../guest-installed/amd64.img'
    if not os.path.exists(disk):
        raise Skip(f'{disk} is missing; tools/installed-guests.sh makes it')
    with xen(start, args, 'd', 1, '--disk', disk + ',temporary') as vm:
        vm.serial.expect(r'lodge login: ', DOM0)
        vm.serial.type('root\r')
        vm.serial.expect(PROMPT, STEP)
        vm.serial.shell('cat /sys/hypervisor/type', r'\sxen\s')
        vm.serial.shell('python3 -V || perl -e "print 6*7"', r'Python 3|42')
        vm.serial.type('poweroff\r')
        vm.want_end(0, DOM0)


if __name__ == '__main__':
    sys.exit(main(globals()))
