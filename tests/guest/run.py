#!/usr/bin/env python3
"""Runs one test kernel and compares what it prints with expect/KERNEL.txt.

  run.py PLATFORM KERNEL.elf EXPECT.txt DEVIATIONS.txt [--lodge FILE] [--cpus N]
         [--update]

PLATFORM: a CPU engine of Lodge (interp, jit, ...), one of VARIANTS below, or
qemu. deviations.txt has the lines in which an engine is known to differ from
the manuals; they are left out of the comparison, and so is the sum in the last
line. Status 77: the platform is not here.
"""
import argparse
import difflib
import fnmatch
import os
import shutil
import subprocess
import sys

SECONDS = 100
# Platforms that are an engine with options.
VARIANTS = {
    'jit-check': ['--check', '--jit-stress', 'eager'],
    'jit-stress': ['--jit-stress', 'small,flush,smc,eager'],
}
# Kernels that want a VGA, and how to ask for one.
WITH_VGA = ['escape']
VGA = {'qemu': ['-vga', 'std'], 'lodge': ['--display', 'vnc']}


def command(args):
    kind = 'qemu' if args.platform == 'qemu' else 'lodge'
    return machine(args) + (VGA[kind] if kernel_name(args) in WITH_VGA else [])


def kernel_name(args):
    return os.path.splitext(os.path.basename(args.kernel))[0]


def machine(args):
    if args.platform == 'qemu':
        return ['qemu-system-x86_64', '-accel', 'tcg', '-cpu', 'max', '-smp',
                str(args.cpus), '-m', '64', '-display', 'none', '-nodefaults',
                '-serial', 'stdio', '-monitor', 'none', '-no-reboot',
                '-device', 'isa-debug-exit,iobase=0xf4,iosize=4', '-kernel',
                args.kernel]
    return [args.lodge, 'run', '--engine', args.engine, '-c', str(args.cpus),
            '-m', '64M', '--kernel', args.kernel, '--debug-exit',
            '--no-reboot', '--timeout',
            str(SECONDS)] + VARIANTS.get(args.platform, [])


def offered(args):
    """None, or why this platform cannot run here."""
    if args.platform == 'qemu':
        if not shutil.which('qemu-system-x86_64'):
            return 'qemu-system-x86_64 is not installed'
        return None
    out = subprocess.run([args.lodge, 'engines'], capture_output=True,
                         text=True, timeout=20).stdout
    for line in out.splitlines():
        if line.split()[:2] == [args.engine, 'yes']:
            return None
    return f'this host does not offer engine {args.engine}'


def deviations(args):
    """{check: reason} of this platform and kernel; '*' for the kernel. A check
    may be a pattern: 'ud2, *'."""
    name = kernel_name(args)
    rows = {}
    with open(args.deviations, encoding='ascii') as f:
        for line in f:
            part = [p.strip() for p in line.split('|')]
            if len(part) == 4 and part[0] == args.engine and part[1] == name:
                rows[part[2]] = part[3]
    return rows


def run(args):
    try:
        p = subprocess.run(command(args), stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                           timeout=SECONDS + 15)
    except subprocess.TimeoutExpired as e:
        return 124, (e.stdout or b'').decode('latin-1'), 'no end in sight'
    # A BIOS of the platform may have said something before the kernel.
    text = p.stdout.decode('latin-1').replace('\r', '')
    return p.returncode, text, p.stderr.decode('latin-1')


def check_name(line):
    return line.partition(' FAIL, ')[0].rpartition(': ')[0]


def skipped(name, skip):
    return name in skip or any(fnmatch.fnmatchcase(name, s) for s in skip)


def relevant(text, skip):
    lines = text.splitlines()
    if skip:
        lines = [l for l in lines if not skipped(check_name(l), skip)
                 and not l.startswith(('PASS ', 'FAIL '))]
    return lines


def without_absent(want, got):
    """Without what this CPU does not offer: lines "group: none"."""
    groups = tuple(l[:-len(': none')] for l in got if l.endswith(': none'))
    if not groups:
        return want, got
    last = ('PASS ', 'FAIL ')
    return ([l for l in want if not l.startswith(groups + last)],
            [l for l in got if not l.startswith(groups + last)])


def main():
    p = argparse.ArgumentParser()
    for name in ('platform', 'kernel', 'expect', 'deviations'):
        p.add_argument(name)
    p.add_argument('--lodge', default='build/lodge')
    p.add_argument('--cpus', type=int, default=1)
    p.add_argument('--update', action='store_true')
    args = p.parse_args()
    args.engine = args.platform.split('-')[0]

    why = offered(args)
    skip = deviations(args)
    if not why and '*' in skip:
        why = skip['*']
    if why:
        print('skipped:', why)
        return 77
    status, text, errors = run(args)
    if args.update and status == 1:
        with open(args.expect, 'w', encoding='ascii') as f:
            f.write(text)
        return 0
    with open(args.expect, encoding='ascii') as f:
        want = relevant(f.read(), skip)
    got = relevant(text, skip)
    if args.platform == 'qemu':
        want, got = without_absent(want, got)
    if got == want and (status == 1 or (skip and status == 3)):
        return 0
    sys.stdout.writelines(l + '\n' for l in difflib.unified_diff(
        want, got, 'expected', args.platform, lineterm='', n=1))
    print(f'{args.platform}: status {status} {errors.strip()[-400:]}')
    return 1


if __name__ == '__main__':
    sys.exit(main())
