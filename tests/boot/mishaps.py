#!/usr/bin/env python3
"""What happens to media in the worst moment: nothing is written that the guest
did not write, and guest and device go on.

  mishaps.py TEST ENGINE [BUS] --lodge FILE --guest FOLDER --keep FOLDER

TEST is reset (a reset while a disk is being written), ejected (a CD that is
taken out while it is read) or floppy (one that is taken out while it is
written to). FOLDER has vmlinuz and initrd with the drivers
(tools/debian-guests.sh: guest-disks). pclib.py says more.
"""
import sys
import tempfile
import time

from boot import BOOT, PROMPT, Failed
from disks import MB, find, make, want_sum
from pclib import main, medium

SECTOR = 512
ROUNDS = 3


def in_folder(test):
    """The test with a folder for its files."""
    def run(start, args, *where):
        with tempfile.TemporaryDirectory() as folder:
            test(start, args, folder, *where)
    return run


def contents(path):
    with open(path, 'rb') as f:
        return f.read()


def want_sectors_of(path, *all_contents):
    """Each sector is what was there once; returns how many are whose."""
    data = contents(path)
    if len(data) != len(all_contents[0]):
        raise Failed(f'the file has {len(data)} bytes now')
    whose = [0] * len(all_contents)
    for at in range(0, len(data), SECTOR):
        sector = data[at:at + SECTOR]
        for n, known in enumerate(all_contents):
            if sector == known[at:at + SECTOR]:
                whose[n] += 1
                break
        else:
            raise Failed(f'sector {at // SECTOR} is what nobody wrote')
    return whose


def linux(args, *more):
    return ['--kernel', medium(args, 'vmlinuz', 'debian-guests'), '--initrd',
            medium(args, 'initrd', 'debian-guests'), '--append',
            'console=ttyS0 loglevel=1', '-m', '256M', *more]


def count_of(g, file):
    """How often a loop of the guest's has gone round."""
    return int(g.shell(f'wc -l < {file}', r'\n(\d+)\r').group(1))


def wait_rounds(g, file, more):
    have, end = count_of(g, file), time.monotonic() + BOOT
    while count_of(g, file) < have + more:
        if time.monotonic() > end:
            raise Failed('the guest writes no more')
        time.sleep(0.1)


@in_folder
def test_reset(start, args, folder, bus):
    """A guest writes one content over the other, for ever, and is reset."""
    disk, one, two = (f'{folder}/{name}' for name in ('disk', 'one', 'two'))
    old = make(disk, 8 * MB, b'old')
    words = ['--disk', f'{disk},bus={bus}']
    sources = []
    for path, size, word in ((one, 9 * MB, b'one'), (two, 10 * MB, b'two')):
        sources.append(make(path, size, word)[:8 * MB])
        words += ['--disk', f'{path},bus={bus},ro']
    with start(linux(args, *words), serial=True) as vm:
        g = vm.serial
        for n in range(ROUNDS):
            g.expect(PROMPT, BOOT)
            target = find(g, 8 * MB)
            froms = ' '.join(find(g, size * MB) for size in (9, 10))
            # With pieces of all sizes, some of many commands.
            g.shell(f'(while :; do for k in 4 64 1024; do for f in {froms}; '
                    f'do dd if=$f of={target} bs=${{k}}k '
                    f'count=$((8192 / k)) oflag=direct 2>/dev/null; '
                    'echo >> /rounds; done; done; done) & sleep 1; '
                    'echo begun$((1))', 'begun1')
            wait_rounds(g, '/rounds', 2 + n)
            vm.ask('reset')
        g.expect(PROMPT, BOOT)
        data = contents(disk)
        whose = want_sectors_of(disk, old, *sources)
        if not whose[1] + whose[2]:
            raise Failed('the guest wrote nothing')
        print(f'{bus}: {whose} sectors of each content')
        want_sum(g, find(g, 8 * MB), data)
        g.type('poweroff\r')
        g.want_status(0)


@in_folder
def test_ejected(start, args, folder, bus):
    """A drive that loses its CD says so; the next one is read."""
    first, second = folder + '/first', folder + '/second'
    make(first, 16 * MB, b'first')
    other = make(second, 6 * MB, b'second')
    with start(linux(args, '--cdrom', f'{first},bus={bus}'),
               serial=True) as vm:
        g = vm.serial
        g.expect(PROMPT, BOOT)
        g.shell('(while dd if=/dev/sr0 of=/dev/null bs=64k iflag=direct '
                '2>/dev/null; do echo >> /rounds; done; echo >> /ended) & '
                'sleep 1; echo begun$((1))', 'begun1')
        wait_rounds(g, '/rounds', 2)
        vm.ask('eject', device='cdrom0', force=True)
        g.shell('while [ ! -e /ended ]; do sleep 1; done; echo ended$((1))',
                'ended1', BOOT)
        g.shell('dd if=/dev/sr0 of=/dev/null bs=2k count=1; echo $?',
                r'No medium found[^$]*\n1\r')
        vm.ask('insert', device='cdrom0', file=second, format='raw')
        g.shell('while ! dd if=/dev/sr0 of=/dev/null bs=2k count=1; do '
                'sleep 1; done 2>/dev/null; echo back$((1))', 'back1', BOOT)
        want_sum(g, '/dev/sr0', other)
        g.type('poweroff\r')
        g.want_status(0)


@in_folder
def test_floppy(start, args, folder):
    """A floppy that is taken out while it is written to."""
    first, second = folder + '/first', folder + '/second'
    size = 1440 << 10
    old = make(first, size, b'first')
    other = make(second, size, b'second')
    source = make(folder + '/source', size, b'source')
    with start(linux(args, '--floppy', first, '--disk',
                     f'{folder}/source,ro'), serial=True) as vm:
        g = vm.serial
        g.expect(PROMPT, BOOT)
        g.shell('(dd if=/dev/vda of=/dev/fd0 bs=9k conv=fsync; echo > /ended) '
                '2>/dev/null & echo begun$((1))', 'begun1')
        end = time.monotonic() + BOOT
        while contents(first) == old:
            if time.monotonic() > end:
                raise Failed('nothing is written')
            time.sleep(0.05)
        vm.ask('eject', device='floppy0', force=True)
        left = contents(first)
        whose = want_sectors_of(first, old, source)
        print(f'floppy: {whose} sectors of each content')
        vm.ask('insert', device='floppy0', file=second, format='raw')
        g.shell('while [ ! -e /ended ]; do sleep 1; done; echo ended$((1))',
                'ended1', BOOT)
        # The next one is another disk: it is read and written as it is.
        g.shell('dd if=/dev/fd0 of=/tmp/f bs=9k 2>/dev/null; '
                'dd if=/tmp/f of=/dev/fd0 bs=9k conv=fsync 2>/dev/null; '
                'echo again$((1))', 'again1', BOOT)
        want_sum(g, '/dev/fd0', contents(second))
        g.type('poweroff\r')
        g.want_status(0)
    if contents(first) != left:
        raise Failed('a floppy was written to that is not in the drive')
    want_sectors_of(second, other, source)


if __name__ == '__main__':
    sys.exit(main(globals(), 'build/guest-disks'))
