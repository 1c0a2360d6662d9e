#!/usr/bin/env python3
"""Exits that come out to Lodge, with its own 8259s, IOAPIC and 8254 and with
the kernel's (docs/kvm.md, "Whose chips"), in the nested machine of nested.py.

  tests/kvm/chips.py [--lodge build/lodge] [--reads N]

The guests: Debian's kernel to its init and N reads of a disk, with MSI-X, with
interrupt lines by the IOAPIC and by the 8259s, without any APIC; and a boot
sector that counts 3,000 ticks of 1 ms. Needs what exits.py needs.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

import exits
import nested

WORDS = ['', 'pci=nomsi', 'pci=nomsi noapic', 'pci=nomsi noapic nolapic']
CHIPS = ['split', 'full']
RUN = './lodge run --no-reboot --stats stats --engine kvm,irqchip='


def jobs():
    """Names and commands."""
    for words in WORDS:
        for chips in CHIPS:
            yield (f'{words or "as it is"}: {chips}',
                   f'{RUN}{chips} -m 128M --kernel vmlinuz --initrd inner '
                   f'--disk disk.img --append '
                   f"'console=ttyS0 quiet panic=-1 {words}'")
    for chips in CHIPS:
        yield (f'ticks: {chips}',
               f'{RUN}{chips} -m 64M --disk tick.img --display none '
               '--serial none --debug-exit')


def script():
    lines = ['dd if=/dev/zero of=disk.img bs=1M count=64 2>/dev/null']
    for name, command in jobs():
        lines += [f'{command} </dev/null >said 2>&1',
                  f'echo "=== {name}"; tr -d "\\n" <stats; echo']
    return '\n'.join(lines) + '\n'


def outer(args):
    """The nested machine's initramfs."""
    tick = nested.boot_disk(args, 'tick.img', nested.TICK_SECTOR)[0]
    a = nested.Archive()
    for name, path in (('lodge', nested.stripped(args.lodge, args.tmp)),
                       ('tick.img', tick),
                       ('vmlinuz', os.path.join(args.inner, 'vmlinuz'))):
        a.add_file('lodge/' + name, path)
    for path in nested.libraries(args.lodge) + nested.FIRMWARE:
        a.add_file(path.lstrip('/'), path)
    exits.inner(args, a)
    a.add('lodge/inside', script().encode())
    return nested.with_archive(os.path.join(args.guest, 'initrd'), a, args.tmp)


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--lodge', default=os.path.join(exits.ROOT, 'build/lodge'))
    p.add_argument('--reads', type=int, default=512)
    p.add_argument('--cpu', default='EPYC')
    args = p.parse_args()
    args.guest = os.path.join(exits.ROOT, 'build/guest-kvm')
    args.inner = os.path.join(exits.ROOT, 'build/guest')
    with tempfile.TemporaryDirectory() as args.tmp:
        text = nested.run_machine(args, outer(args))
    for name, _ in jobs():
        m = re.search(rf'^=== {re.escape(name)}\n({{.*}})$', text, re.M)
        if not m:
            sys.exit(f'{name} came to no end: {text[-1500:]}')
        cpu = json.loads(m.group(1))['cpus'][0]
        print(f'{name}:', sum(v for k, v in cpu.items()
                              if k.startswith('exits_')), 'exits')


if __name__ == '__main__':
    main()
