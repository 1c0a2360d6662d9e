#!/usr/bin/env python3
"""What a second vCPU is worth: the same work once, and twice at the same time,
natively and in a guest with two vCPUs. Scaling is the throughput of two over
that of one: 2 x (time of one) / (time of two at once). What the host itself
loses with both its cores busy is in the native column; the ratio is what is
Lodge's. Medians; rounds take turns, so that what disturbs hits both.

By elapsed time, which wants a host with nothing else to do, and by CPU time,
4 x (of one) / (of two), which does not but hides waiting.

  smp.py [--lodge FILE] [--guest FOLDER] [--engine NAME] [--runs N]
         [--only WORK]

The guest is the one of `make run`: Debian's kernel for clouds and a static
busybox, which is also what runs natively.
"""
import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)) + '/../boot')
from boot import BOOT, PROMPT, Failed, Run, linux  # noqa: E402

BUSYBOX = '/bin/busybox'
# A file of 8 MB and what is done with it; $B is busybox.
PREPARE = 'cat $B $B $B $B > text'
WORK = {
    'sha256': 'for k in 1 2 3 4 5 6 7 8; do $B sha256sum text; done',
    'gzip': 'for k in 1 2; do $B gzip -c text; done',
    'shell': 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done',
    'exec': 'i=0; while [ $i -lt 400 ]; do $B true; i=$((i+1)); done',
}


def copies(work, n):
    """Each on a CPU of its own."""
    return f"export B W='{work}'; " + ' '.join(
        f'$B taskset {1 << k} $B sh -c "$W" > /dev/null 2>&1 &'
        for k in range(n)) + ' wait'


class Native:
    """A shell of busybox in an empty folder."""

    def __init__(self):
        self.folder = tempfile.TemporaryDirectory(dir='/dev/shm')
        self.run(PREPARE)

    def cpu_time(self):
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        return used.ru_utime + used.ru_stime

    def run(self, command):
        subprocess.run([BUSYBOX, 'sh', '-c', f'B={BUSYBOX}; {command}'],
                       cwd=self.folder.name, check=True,
                       stderr=subprocess.DEVNULL)


class Guest:
    def __init__(self, args):
        self.vm = Run(args, linux(args, '-c', '2'))
        self.vm.expect(PROMPT, BOOT)
        self.number = 0
        self.run('stty -echo; cd /tmp; B=/bin/busybox; ' + PREPARE)

    def cpu_time(self):
        with open(f'/proc/{self.vm.p.pid}/stat', encoding='ascii') as f:
            field = f.read().rpartition(')')[2].split()
        return (int(field[11]) + int(field[12])) / os.sysconf('SC_CLK_TCK')

    def run(self, command):
        self.number += 1
        self.vm.type(f'{command}; echo ended $((100 + {self.number}))\r')
        self.vm.expect(rf'ended {100 + self.number}\r', BOOT)


def timed(where, command):
    """Elapsed and CPU time."""
    began, used = time.monotonic(), where.cpu_time()
    where.run(command)
    return time.monotonic() - began, where.cpu_time() - used


def measure(sides, names, runs):
    """{(side, work): [(scaling, scaling by CPU time)]}"""
    found = {}
    for n in range(-1, runs):  # the first round translates
        for name in names:
            for side, where in sides.items():
                one = timed(where, copies(WORK[name], 1))
                two = timed(where, copies(WORK[name], 2))
                if n >= 0:
                    found.setdefault((side, name), []).append(
                        (2 * one[0] / two[0], 4 * one[1] / two[1]))
    return found


def table(found, names, engine, kind):
    """kind: 0 elapsed, 1 CPU time"""
    print(f'{["elapsed", "CPU time"][kind]:10}{"native":>8}{engine:>8}'
          f'{"ratio":>8}')
    middle = {key: statistics.median(v[kind] for v in values)
              for key, values in found.items()}
    for side in ('native', 'guest'):
        middle[side, 'mean'] = statistics.geometric_mean(
            middle[side, name] for name in names)
    for name in names + ['mean']:
        a, b = middle['native', name], middle['guest', name]
        print(f'{name:10}{a:7.2f}x{b:7.2f}x{b / a:8.2f}')


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--lodge', default='build/lodge')
    p.add_argument('--guest', default='build/guest')
    p.add_argument('--engine', default='jit')
    p.add_argument('--runs', type=int, default=5)
    p.add_argument('--only', choices=WORK)
    args = p.parse_args()
    names = [args.only] if args.only else list(WORK)
    guest = Guest(args)
    try:
        found = measure({'native': Native(), 'guest': guest}, names, args.runs)
    except Failed as e:
        print(e, guest.vm.text[-1000:], sep='\n')
        return 1
    finally:
        guest.vm.close()
    for kind in (0, 1):
        table(found, names, args.engine, kind)
    print(f'load average {os.getloadavg()[0]:.1f}; of this work alone: 1.5')
    return 0


if __name__ == '__main__':
    sys.exit(main())
