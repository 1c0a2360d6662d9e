#!/usr/bin/env python3
"""End to end: lodge run in a terminal of its own, typed into and read from.

  boot.py TEST ENGINE --lodge FILE --guest FOLDER --kernels FOLDER [--count N]

FOLDER of --guest has vmlinuz and initrd (tools/demo-guest.sh makes them), for
test_disk also root.img (tools/debian-guests.sh does); without them the tests
that need them are skipped (status 77). Nothing here depends on how fast the
guest is, but for generous limits.

  boot.py boots jit --count 24      boots with four CPUs, one after the other
"""
import argparse
import hashlib
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time

from line import PROMPT, Failed, Line

BOOT = 240  # seconds to a prompt, on a busy machine under the interpreter


def signals_as_at_a_terminal():
    """Whoever runs the tests may ignore some, as nohup does."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)


class Run(Line):
    """One `lodge run`; its terminal is a pty, its stderr the same."""

    def __init__(self, args, words, stdin_pipe=False):
        self.master, self.slave = pty.openpty()
        self.before = termios.tcgetattr(self.slave)
        super().__init__(None)
        command = [args.lodge, 'run', '--engine', args.engine] + words
        self.pipe = None
        if stdin_pipe:
            stdin, self.pipe = os.pipe()
        self.p = subprocess.Popen(
            command, stdin=stdin if stdin_pipe else self.slave,
            stdout=self.slave, stderr=self.slave, start_new_session=True,
            preexec_fn=signals_as_at_a_terminal)
        if stdin_pipe:
            os.close(stdin)

    def receive(self, seconds):
        if select.select([self.master], [], [], seconds)[0]:
            return os.read(self.master, 65536)
        return b''

    def write(self, data):
        os.write(self.pipe if self.pipe else self.master, data)

    def want_terminal_as_before(self):
        now = termios.tcgetattr(self.slave)
        if now != self.before:
            raise Failed('the terminal was not restored')

    def want_terminal_raw(self):
        now = termios.tcgetattr(self.slave)
        if now[3] & (termios.ICANON | termios.ECHO):
            raise Failed('the terminal is not in raw mode')

    def close(self):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()


def linux(args, *more):
    return ['--kernel', args.guest + '/vmlinuz', '--initrd',
            args.guest + '/initrd', '--append', 'console=ttyS0', '-m', '256M',
            '--no-reboot'] + list(more)


def spin(args):
    """A kernel that runs for ever, saying so first."""
    return ['--kernel', args.kernels + '/spin.elf', '-m', '16M']


def test_shell(args, start):
    g = start(linux(args))
    g.expect(PROMPT, BOOT)
    g.want_terminal_raw()
    g.shell('uname -a', r'Linux lodge \S+ .* (x86_64|i686) GNU/Linux')
    # Ctrl-C is the guest's.
    g.type('sleep 1000\r')
    g.expect(r'sleep 1000')
    time.sleep(1)
    g.type('\x03')
    g.expect(PROMPT)
    g.shell('echo $((6 * 7)); dmesg | grep -c "BUG:\\|Oops\\|soft lockup"',
            r'42\r\n0\r\n')
    g.type('poweroff\r')
    g.want_status(0)
    g.want_terminal_as_before()


def test_pipe(args, start):
    """Input from a pipe: typed ahead, and its end is no end of the VM."""
    g = start(linux(args), stdin_pipe=True)
    g.expect(PROMPT, BOOT)
    g.type('uname -s; poweroff\n')
    g.expect('Linux')
    g.want_status(0)


def test_smp(args, start):
    g = start(linux(args, '-c', '4'))
    g.expect(PROMPT, BOOT)
    g.shell('nproc', r'\n4\r\n')
    g.shell('cat /sys/devices/system/cpu/online', r'0-3')
    # Forks, pipes, signals and faults on all CPUs at once.
    g.shell('for j in 1 2 3 4 5 6 7 8; do (i=0; while [ $i -lt 6 ]; do '
            'head -c 200000 /dev/zero | sha256sum > /tmp/$j; i=$((i+1)); done)'
            ' & done; wait; cat /tmp/[1-8] | sort -u | wc -l; echo done$((1))',
            r'\n1\r\ndone1', 400)
    g.shell('for j in 1 2 3 4; do dd if=/dev/zero bs=64k count=300 2>/dev/null '
            '| md5sum > /tmp/m$j & done; wait; cat /tmp/m[1-4] | '
            f'grep -c {hashlib.md5(bytes(300 << 16)).hexdigest()}',
            r'\n4\r\n', 400)
    g.shell('dmesg | grep -c "BUG:\\|Oops\\|lockup\\|rcu.*stall"', r'\n0\r\n')
    g.type('poweroff\r')
    g.want_status(0)


def boots_to_prompt(args, start, *more, seconds=BOOT):
    g = start(linux(args, *more))
    g.expect(PROMPT, seconds)
    g.shell('dmesg | grep -c "BUG:\\|Oops\\|general protection"', r'\n0\r\n',
            seconds)
    g.type('poweroff\r')
    g.want_status(0, seconds)


def test_stress(args, start):
    boots_to_prompt(args, start, '-c', '2', '--jit-stress', 'flush,smc,eager')


def test_stress_small(args, start):
    """Hardly any room for translations."""
    boots_to_prompt(args, start, '-c', '2', '--jit-stress', 'small')


def test_check(args, start):
    """In lock step with the interpreter: twenty times as slow."""
    boots_to_prompt(args, start, '-c', '2', '--check', seconds=1000)


def test_uefi(args, start):
    """OVMF loads the kernel and hands it the ACPI tables."""
    if not os.path.exists('/usr/share/OVMF/OVMF_CODE_4M.fd'):
        print('skipped: the package ovmf is not installed')
        return 77
    g = start(linux(args, '--firmware', 'uefi', '-c', '2'))
    g.expect(PROMPT, BOOT)
    g.shell('dmesg | grep "ACPI: Interpreter enabled\\|efi: .*ACPI 2.0" | wc -l',
            r'\n2\r\n')
    g.shell('nproc', r'\n2\r\n')
    g.shell('dmesg | grep -c "ACPI.*Error\\|BUG:"', r'\n0\r\n')
    g.type('poweroff\r')
    g.want_status(0)
    return 0


def test_reboot(args, start):
    g = start(linux(args))
    g.expect(PROMPT, BOOT)
    g.type('reboot\r')
    g.want_status(0)


def test_panic(args, start):
    """A guest that panics and is told to reboot ends the run."""
    words = linux(args)
    words[5] = 'console=ttyS0 panic=-1 rdinit=/nothing root=/dev/none'
    g = start(words)
    g.expect('Kernel panic', BOOT)
    g.want_status(0)


def test_triple(args, start):
    g = start(['--kernel', args.kernels + '/triple.elf', '-m', '16M'])
    g.want_status(1)
    if not re.search(r'lodge: .*triple fault', g.text):
        raise Failed('does not say why')
    g.want_terminal_as_before()


def test_timeout(args, start):
    g = start(spin(args) + ['--timeout', '2'])
    g.want_status(124)
    if '--timeout' not in g.text:
        raise Failed('does not say why')
    g.want_terminal_as_before()


def test_signals(args, start):
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        g = start(spin(args))
        g.expect('spinning')
        g.want_terminal_raw()
        g.p.send_signal(number)
        g.want_status(-number)
        g.want_terminal_as_before()


def test_keys(args, start):
    g = start(spin(args))
    g.expect('spinning')
    g.type('\x03')  # the guest's, in raw mode
    time.sleep(0.5)
    if g.p.poll() is not None:
        raise Failed('Ctrl-C ended the VM in raw mode')
    g.type('\x01h')
    g.expect('Ctrl-A x|end')
    g.type('\x01x')
    g.want_status(0)
    g.want_terminal_as_before()


def test_idle(args, start):
    """An idle guest uses next to no CPU time of the host."""
    g = start(linux(args))
    g.expect(PROMPT, BOOT)
    time.sleep(3)

    def used():
        with open(f'/proc/{g.p.pid}/stat', encoding='ascii') as f:
            field = f.read().rpartition(')')[2].split()
        return (int(field[11]) + int(field[12])) / os.sysconf('SC_CLK_TCK')

    start_at = used()
    time.sleep(5)
    spent = used() - start_at
    if spent > 2:
        raise Failed(f'{spent} s of CPU time in 5 s of idling')
    g.type('poweroff\r')
    g.want_status(0)


def test_alarm(args, start):
    """The clock's alarm rings: with an HPET in IRQ 8's place, where ACPI tells
    of it, and without."""
    for more in ('', ' hpet=disable'):
        words = linux(args)
        words[5] += more
        g = start(words)
        g.expect(PROMPT, BOOT)
        g.shell('cd /sys/class/rtc/rtc0; echo +2 > wakealarm; '
                'while grep -q "alarm_IRQ.*yes" /proc/driver/rtc; do sleep 1; '
                'done; echo rang$((1))', 'rang1', BOOT)
        g.type('poweroff\r')
        g.want_status(0)


def test_boots(args, start):
    """Boots that take turns with power-offs: none may hang."""
    for n in range(args.count):
        began = time.monotonic()
        g = start(linux(args, '-c', '4'))
        g.expect(PROMPT, BOOT)
        prompt = time.monotonic()
        g.type('poweroff\r')
        g.want_status(0)
        print(f'boot {n + 1}: {prompt - began:.1f} s to the prompt, '
              f'{time.monotonic() - prompt:.1f} s to power off', flush=True)
        g.close()


PROGRAM = ('#include <stdio.h>', 'int main(int c, char **v) {',
           'for (int n = 2; n < 20; n++) printf("%d ", n * n / c);',
           'return puts(v[0]) < 0; }')


def systemd_waits(disk):
    """Its limits for devices come from files alone."""
    folder = '/etc/systemd/system.conf.d'
    with tempfile.NamedTemporaryFile('w') as f:
        f.write('[Manager]\nDefaultDeviceTimeoutSec=2h\n')
        f.flush()
        for command in (f'mkdir {folder}', f'write {f.name} {folder}/a.conf'):
            subprocess.run(['/sbin/debugfs', '-w', '-R', command, disk],
                           check=True, capture_output=True)


def compiles_on_disk(args, start, *more, append='', cpus='2', patience=1):
    """A Debian on a disk: log in, compile, power off; its disk stays sound."""
    with tempfile.TemporaryDirectory(dir=args.guest) as folder:
        disk = folder + '/disk.img'
        subprocess.run(['cp', '--sparse=always', args.guest + '/root.img',
                        disk], check=True)
        if patience > 1:
            systemd_waits(disk)
        words = linux(args, '-c', cpus, '--disk', disk, *more)
        words[5] = 'console=ttyS0 root=/dev/vda ' + append
        words[7] = '512M'
        g = start(words)
        g.expect('lodge login: ', BOOT * 4 * patience)
        g.type('root\r')
        g.expect(PROMPT, BOOT * patience)
        for line in PROGRAM:
            g.shell(f"echo '{line}' >> a.c", r'a\.c', 60 * patience)
        g.shell('gcc -O2 -o a a.c && ./a', r'4 9 16 25 .*361 \./a',
                BOOT * patience)
        g.shell('findmnt -no SOURCE,FSTYPE,OPTIONS /', r'/dev/vda ext4 +rw',
                60 * patience)
        g.type('poweroff\r')
        g.want_status(0, BOOT * patience)
        check = subprocess.run(['e2fsck', '-fn', disk], capture_output=True,
                               text=True, env={'PATH': '/usr/sbin:/sbin'})
        if check.returncode:
            raise Failed('the file system is not sound: ' + check.stdout +
                         check.stderr)


def test_disk(args, start):
    compiles_on_disk(args, start)


def test_check_disk(args, start):
    """The same in lock step with the interpreter: a quarter of an hour of CPU
    time; systemd must not lose patience."""
    compiles_on_disk(args, start, '--check', cpus='1', patience=8,
                     append='systemd.default_timeout_start_sec=2h '
                            'systemd.service_watchdogs=0')


def programs(args, start, *more):
    """The guest with node.js and stress-ng, at its prompt."""
    words = linux(args, '-c', '2', '--disk',
                  args.guest + '/root.img,temporary', *more)
    words[5] = 'console=ttyS0 root=/dev/vda rw'
    words[7] = '1G'
    g = start(words)
    g.expect(PROMPT, BOOT * 2)
    return g


def programs_end(g):
    g.shell('dmesg | grep -c "BUG:\\|Oops\\|rcu.*stall\\|segfault"', r'\n0\r\n')
    g.type('echo o > /proc/sysrq-trigger\r')
    g.want_status(0, BOOT)


def test_node(args, start):
    """V8: compiled and changed code, collection, WebAssembly, threads."""
    here = os.path.dirname(os.path.abspath(__file__))
    with open(here + '/node.txt', encoding='ascii') as f:
        want = f.read()
    with tempfile.NamedTemporaryFile(suffix='.img') as disk:
        with open(here + '/node.js', 'rb') as f:
            text = f.read()
        disk.write(text + b'\n' * (-len(text) % 512))  # whole sectors
        disk.flush()
        g = programs(args, start, '--disk', disk.name + ',format=raw,ro')
        g.type('cat /dev/vdb | node\r')
        g.expect(r'node: all done\r', BOOT * 2)
        got = g.text[g.text.index('cat /dev/vdb | node'):].replace('\r', '')
        if want not in got:
            raise Failed('node.js printed something else than node.txt')
        g.expect(PROMPT)
        programs_end(g)


SIGNALS = ('nal abrt chld fd fpe io nest pending pipe q rt segv suspend '
           'trap').split()


def test_stress_ng(args, start):
    """Its stressors of CPUs, memory and signals check their own results."""
    g = programs(args, start)
    g.type('stress-ng --verify --cpu 2 --vm 2 --vm-bytes 64M -t 40 '
           + ' '.join(f'--sig{name} 1' for name in SIGNALS)
           + '; echo ended with $?\r')
    g.expect(r'ended with \d', BOOT * 2)
    report = g.text[g.text.rindex('stress-ng --verify'):]
    if 'ended with 0' not in report or not re.search(
            r'successful run completed', report):
        raise Failed('stress-ng found something')
    g.expect(PROMPT)
    programs_end(g)


# What a test needs of its guest's folder.
LINUX = ('vmlinuz', 'initrd')
NEED = {
    'shell': LINUX, 'pipe': LINUX, 'smp': LINUX, 'reboot': LINUX,
    'panic': LINUX, 'idle': LINUX, 'boots': LINUX, 'uefi': LINUX,
    'alarm': LINUX,
    'disk': LINUX + ('root.img',), 'check_disk': LINUX + ('root.img',),
    'node': LINUX + ('root.img',),
    'stress_ng': LINUX + ('root.img',),
}


def main():
    p = argparse.ArgumentParser()
    p.add_argument('test')
    p.add_argument('engine')
    p.add_argument('--lodge', default='build/lodge')
    p.add_argument('--guest', default='build/guest')
    p.add_argument('--kernels', default='build/tests/guest')
    p.add_argument('--count', type=int, default=2)
    args = p.parse_args()
    test = globals()['test_' + args.test]
    runs = []

    for name in NEED.get(args.test, ()):
        if not os.path.exists(f'{args.guest}/{name}'):
            print(f'skipped: {args.guest}/{name} is missing; `make test` '
                  'or `make test-debian` makes it')
            return 77
    engines = subprocess.run([args.lodge, 'engines'], capture_output=True,
                             text=True, timeout=20).stdout
    if not re.search(rf'^{args.engine} +yes', engines, re.M):
        print(f'skipped: this host does not offer engine {args.engine}')
        return 77

    def start(words, **more):
        runs.append(Run(args, words, **more))
        return runs[-1]

    try:
        return test(args, start) or 0
    except Failed as e:
        print(f'{args.test} {args.engine}: {e}')
        print('--- terminal, its end:')
        print(runs[-1].text[-1500:] if runs else '')
        return 1
    finally:
        for r in runs:
            r.close()


if __name__ == '__main__':
    sys.exit(main())
