#!/usr/bin/env python3
"""Exits for a random read of 4 KB by virtio-blk: Lodge's and QEMU's, side by
side in the nested machine of nested.py.

  tests/kvm/exits.py [--lodge build/lodge] [--reads N]

Needs what `make test` has prepared, and gcc with a static C library. KVM
counts the exits (/sys/kernel/debug/kvm); the first count is taken while the
guest sleeps before its reads, the second when it says that they are done.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile

import nested

ROOT = os.path.join(nested.HERE, '..', '..')
BIOS = '/usr/share/seabios/bios-256k.bin'
LOADER = '/usr/share/qemu/linuxboot_dma.bin'

INIT = '''#!/bin/sh
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for m in $(cat /lib/modules/order); do insmod "$m"; done
/reads /dev/vda 64
echo ready
sleep 5
/reads /dev/vda READS
echo done
sleep 5
poweroff -f
'''

LINUX = "--append 'console=ttyS0 quiet panic=-1'"
COMMANDS = {
    'lodge': './lodge run --engine kvm -m 128M --kernel vmlinuz '
             f'--initrd inner {LINUX} --no-reboot --disk disk.img',
    'qemu': './qemu -L . -accel kvm -cpu host -m 128 -kernel vmlinuz '
            f'-initrd inner {LINUX[1:]} -no-reboot -display none -nodefaults '
            '-serial stdio -monitor none '
            '-drive file=disk.img,format=raw,if=virtio',
}

INSIDE = '''mount -t debugfs debug /sys/kernel/debug
dd if=/dev/zero of=disk.img bs=1M count=64 2>/dev/null
await() {
    for n in $(seq 400); do
        grep -q "$1" said && return
        sleep 0.2
    done
    cat said
}
run() {
    sh -c "$2" </dev/null >said 2>&1 &
    await ready
    sleep 2
    from=$(cat /sys/kernel/debug/kvm/exits)
    await done
    echo "$1 exits $(($(cat /sys/kernel/debug/kvm/exits) - from))"
    wait
}
'''


def inner(args, archive):
    """The guest's initramfs, with the reader in it."""
    init = os.path.join(args.tmp, 'init')
    to = os.path.join(args.tmp, 'inner')
    reads = os.path.join(args.tmp, 'reads')
    with open(init, 'w', encoding='ascii') as f:
        f.write(INIT.replace('READS', str(args.reads)))
    subprocess.run(['gcc', '-O2', '-static', '-o', reads, os.path.join(
        nested.HERE, 'reads.c')], check=True)
    subprocess.run(['tools/initrd.sh', to, init], cwd=ROOT, check=True,
                   env=dict(os.environ, KERNEL='build/kernel',
                            MODULES='virtio_pci virtio_blk'))
    a = nested.Archive()
    a.add_file('reads', reads)
    archive.add_file('lodge/inner', nested.with_archive(to, a, args.tmp))


def outer(args):
    """The nested machine's initramfs."""
    qemu = '/usr/bin/qemu-system-x86_64'
    a = nested.Archive()
    for name, path in (('lodge', nested.stripped(args.lodge, args.tmp)),
                       ('qemu', qemu), ('bios-256k.bin', BIOS),
                       ('linuxboot_dma.bin', LOADER),
                       ('vmlinuz', os.path.join(args.inner, 'vmlinuz'))):
        a.add_file('lodge/' + name, path)
    for lib in sorted(set(nested.libraries(args.lodge) +
                          nested.libraries(qemu))):
        a.add_file(lib.lstrip('/'), lib)
    for f in nested.FIRMWARE:
        a.add_file(f.lstrip('/'), f)
    inner(args, a)
    a.add('lodge/inside', (INSIDE + ''.join(
        f'run {who} "{how}"\n' for who, how in COMMANDS.items())).encode())
    return nested.with_archive(os.path.join(args.guest, 'initrd'), a,
                               args.tmp)


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--lodge', default=os.path.join(ROOT, 'build/lodge'))
    p.add_argument('--reads', type=int, default=4096)
    p.add_argument('--cpu', default='EPYC')
    args = p.parse_args()
    args.guest = os.path.join(ROOT, 'build/guest-kvm')
    args.inner = os.path.join(ROOT, 'build/guest')
    with tempfile.TemporaryDirectory() as args.tmp:
        text = nested.run_machine(args, outer(args))
    counts = dict(re.findall(r'^(\w+) exits (\d+)$', text, re.M))
    for who in COMMANDS:
        if who not in counts:
            sys.exit(f'{who} came to no end: {text[-1500:]}')
        print(f'{who}: {int(counts[who]) / args.reads:.2f} exits for a read')


if __name__ == '__main__':
    main()
