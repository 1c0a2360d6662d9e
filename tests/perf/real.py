#!/usr/bin/env python3
"""How real-mode code fares: SeaBIOS from power-on to its boot sector, and the
work of that boot sector (real.asm), under QEMU TCG and under Lodge's engines.
Results must be the same everywhere. Milliseconds, medians; rounds take turns.
SeaBIOS waits for devices (some 120 ms for the tablet on the xHCI, which both
machines have) and looks at them meanwhile: of its time it is the elapsed one
from the start of the process, of the work the CPU time of the whole process.

  real.py [--lodge FILE] [--engine NAME]... [--runs N] [--lodge-option WORD]...
"""
import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

from bench import Failure, Lines

HERE = os.path.dirname(os.path.abspath(__file__))
LIMIT = 240  # seconds without a line
STEPS = {'s': 'SeaBIOS to boot sector', 'p': 'sieve', 'c': 'CRC',
         'o': 'insertion sort', 'f': 'far calls', 'm': 'rep movsw'}


def image(folder):
    """The boot sector as a disk."""
    path = folder + '/real.img'
    subprocess.run(['nasm', '-f', 'bin', '-o', path, HERE + '/real.asm'],
                   check=True)
    os.truncate(path, 1440 << 10)
    return path


def command(options, way, disk):
    if way == 'tcg':
        return ['qemu-system-x86_64', '-accel', 'tcg', '-m', '64',
                '-nodefaults', '-no-user-config', '-display', 'none',
                '-vga', 'std', '-device', 'qemu-xhci', '-device', 'usb-tablet',
                '-serial', 'stdio', '-device', 'isa-debug-exit,iobase=0xf4',
                '-drive',
                f'if=ide,format=raw,snapshot=on,file={disk}']
    return [options.lodge, 'run', '--engine', way, '-m', '64M', '--display',
            'none', '--serial', 'stdio', '--debug-exit', '--disk',
            disk + ',ro,bus=ide,format=raw'] + options.lodge_option


def once(words, log):
    """{step: (milliseconds, result)}"""
    began, steps = time.monotonic(), {}
    lines = Lines(words, log, LIMIT, True)
    before = 0
    try:
        for now, text in lines:
            if text[:1] in STEPS and len(text) == 5:
                if text[0] == 's':
                    steps['s'] = ((time.monotonic() - began) * 1000, '')
                else:
                    steps[text[0]] = ((now - before) * 1000, text[1:])
                before = now
                lines.renew()
            if len(steps) == len(STEPS):
                break
    finally:
        lines.close(5)
    if len(steps) != len(STEPS):
        raise Failure(f'{words[0]} came no further than {list(steps)}')
    return steps


def show(ways, runs):
    results = {way: [r for r in runs[way]] for way in ways}
    print(f"{'':24}" + ''.join(f'{way + " ms":>12}' for way in ways) +
          ''.join(f'{way + " over tcg":>17}' for way in ways if way != 'tcg'))
    for step, name in STEPS.items():
        ms = {way: statistics.median(r[step][0] for r in results[way])
              for way in ways}
        row = f'{name:24}' + ''.join(f'{ms[way]:12.0f}' for way in ways)
        row += ''.join(f'{ms["tcg"] / ms[way]:16.1f}×' for way in ways
                       if way != 'tcg')
        print(row)
        if len({r[step][1] for way in ways for r in results[way]}) != 1:
            raise Failure(f'the results of {name} differ')


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--lodge', default='build/lodge')
    p.add_argument('--engine', action='append')
    p.add_argument('--runs', type=int, default=3)
    p.add_argument('--lodge-option', action='append', default=[])
    options = p.parse_args()
    ways = ['tcg'] + (options.engine or ['jit', 'interp'])
    runs = {way: [] for way in ways}
    with tempfile.TemporaryDirectory() as folder, \
            open(folder + '/log', 'wb') as log:
        disk = image(folder)
        try:
            for _ in range(options.runs):
                for way in ways:
                    runs[way].append(once(command(options, way, disk), log))
            show(ways, runs)
        except Failure as e:
            print(f'real.py: {e}')
            return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
