#!/usr/bin/env python3
"""Disks on every bus: what the guest reads and writes is what is in the file.

  disks.py BUS ENGINE --lodge FILE --guest FOLDER

BUS is virtio, ide, ahci, nvme, or floppy. FOLDER has vmlinuz and initrd with
the drivers (tools/debian-guests.sh makes them: guest-disks); without them the
test is skipped (status 77).
"""
import argparse
import hashlib
import os
import re
import sys
import tempfile

from boot import BOOT, PROMPT, Failed, Run

MB = 1 << 20
BUSES = ('virtio', 'ide', 'ahci', 'nvme', 'floppy')
COMPLAINTS = r'exception Emask\|failed command\|I/O error\|timeout\|BUG:\|Oops'


def make(path, size, word):
    """A file that is different everywhere; returns its bytes."""
    data = b''.join(hashlib.sha512(b'%s %d' % (word, n)).digest()
                    for n in range(size // 64))
    with open(path, 'wb') as f:
        f.write(data)
    return data


def find(g, size):
    """The disk of that size: a kernel names disks in any order."""
    return g.shell(f"awk '$3 == {size >> 10} {{ print \"/dev/\" $4 }}' "
                   '/proc/partitions', r'\n(/dev/\w+)\r').group(1)


def want_sum(g, device, data):
    found = g.shell('sha256sum ' + device, r'([0-9a-f]{64})  /dev', 600)
    if found.group(1) != hashlib.sha256(data).hexdigest():
        raise Failed(f'{device} is not what is in the file')


def copy_half(g, device, half):
    """The first half over the second, with a flush at the end."""
    kb = half >> 10
    g.shell(f'dd if={device} of=/tmp/half bs=1k count={kb}; '
            f'dd if=/tmp/half of={device} bs=1k seek={kb} conv=fsync; '
            'echo copied$((1))', r'copied1', 600)


def run(args, start, folder):
    disk, scratch, cd = (f'{folder}/{name}.img'
                         for name in ('disk', 'scratch', 'cd'))
    size = 1440 << 10 if args.bus == 'floppy' else 16 * MB
    data = make(disk, size, b'disk')
    words = ['--kernel', args.guest + '/vmlinuz', '--initrd',
             args.guest + '/initrd', '--append', 'console=ttyS0', '-m', '256M',
             '--no-reboot']
    if args.bus == 'floppy':
        words += ['--floppy', disk]
    else:
        words += ['--disk', f'{disk},bus={args.bus}',
                  '--disk', f'{scratch},bus={args.bus},temporary']
        other = make(scratch, size // 2, b'scratch')
    if args.bus in ('ide', 'ahci'):
        words += ['--cdrom', f'{cd},bus={args.bus}']
        medium = make(cd, 2 * MB, b'medium')
    g = start(words)
    g.expect(PROMPT, BOOT)
    device = '/dev/fd0' if args.bus == 'floppy' else find(g, size)
    want_sum(g, device, data)
    copy_half(g, device, size // 2)
    want_sum(g, device, data[:size // 2] * 2)
    if args.bus != 'floppy':
        second = find(g, size // 2)
        copy_half(g, second, size // 4)
        want_sum(g, second, other[:size // 4] * 2)
    if args.bus in ('ide', 'ahci'):
        want_sum(g, '/dev/sr0', medium)
    g.shell(f'dmesg | grep -c "{COMPLAINTS}"', r'\n0\r\n')
    g.type('poweroff\r')
    g.want_status(0)
    with open(disk, 'rb') as f:
        if f.read() != data[:size // 2] * 2:
            raise Failed('the file is not what the guest wrote')
    if args.bus != 'floppy':
        with open(scratch, 'rb') as f:
            if f.read() != other:
                raise Failed('a temporary disk changed its file')


def main():
    p = argparse.ArgumentParser()
    p.add_argument('bus', choices=BUSES)
    p.add_argument('engine')
    p.add_argument('--lodge', default='build/lodge')
    p.add_argument('--guest', default='build/guest-disks')
    args = p.parse_args()
    runs = []

    for name in ('vmlinuz', 'initrd'):
        if not os.path.exists(f'{args.guest}/{name}'):
            print(f'skipped: {args.guest}/{name} is missing; '
                  'tools/debian-guests.sh makes it')
            return 77

    def start(words):
        runs.append(Run(args, words))
        return runs[-1]

    try:
        with tempfile.TemporaryDirectory() as folder:
            run(args, start, folder)
    except Failed as e:
        print(f'{args.bus} {args.engine}: {e}')
        print(re.sub(r'\r', '', runs[-1].text[-1500:]) if runs else '')
        return 1
    finally:
        for r in runs:
            r.close()
    return 0


if __name__ == '__main__':
    sys.exit(main())
