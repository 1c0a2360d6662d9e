#!/usr/bin/env python3
"""GDB itself, on a guest: lodge run --gdb.

  gdb.py TEST ENGINE --lodge FILE --guest FOLDER --kernels FOLDER

--kernels has tests/guest's; --guest, for `linux`, Debian's vmlinuz and initrd
(tools/demo-guest.sh). Status 77: something that this needs is missing.
"""
import argparse
import json
import os
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time

from line import PROMPT, Failed, Line

SECONDS = 200


class Run(Line):
    """One `lodge run` with its serial line on pipes and --gdb 0."""

    def __init__(self, lodge, words, env=None):
        super().__init__(None)
        self.errors = tempfile.TemporaryFile()
        self.p = subprocess.Popen(
            [lodge, 'run', '--timeout', str(SECONDS)] + words,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors,
            env=env)

    def receive(self, seconds):
        if select.select([self.p.stdout], [], [], seconds)[0]:
            return os.read(self.p.stdout.fileno(), 65536)
        return b''

    def write(self, data):
        self.p.stdin.write(data)
        self.p.stdin.flush()

    def said(self):
        self.errors.seek(0)
        return self.errors.read().decode('utf-8', 'replace')

    def port(self):
        end = time.monotonic() + 20
        while time.monotonic() < end:
            found = re.search(r'listening at port (\d+)', self.said())
            if found:
                return found.group(1)
            time.sleep(0.02)
        raise Failed('no port was told: ' + self.said())

    def close(self):
        if self.p.poll() is None:
            self.p.kill()
        self.p.wait()


class Gdb(Line):
    """gdb at the prompt; ask() gives what a command printed."""

    PROMPT = r'\(gdb\) $'

    def __init__(self, words):
        super().__init__(None)
        self.p = subprocess.Popen(
            ['gdb', '-nx', '-q', '-iex', 'set pagination off', '-iex',
             'set confirm off', '-iex', 'set width 0'] + words,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=dict(os.environ, TERM='dumb'))
        self.expect(self.PROMPT)

    receive = Run.receive
    write = Run.write
    close = Run.close

    def ask(self, command, seconds=SECONDS):
        self.write(command.encode() + b'\n')
        found = self.expect(self.PROMPT, seconds)
        return self.text[:found.start()].rpartition('(gdb) ')[2]

    def want(self, command, pattern):
        answer = self.ask(command)
        if not re.search(pattern, answer):
            raise Failed(f'{command!r}: {pattern!r} is not in:\n{answer}')
        return answer


def symbols(args, folder):
    """The test kernel as a 64-bit file, for GDB's symbols."""
    to = os.path.join(folder, 'debug.elf')
    subprocess.run(['objcopy', '-I', 'elf32-i386', '-O', 'elf64-x86-64',
                    args.kernels + '/debug.elf', to], check=True)
    return to


def test_kernel(args, start):
    """Points, steps, watches, threads, and a guest that notices nothing."""
    with tempfile.TemporaryDirectory() as folder:
        vm = start(Run, args.lodge, [
            '--engine', args.engine, '--kernel', args.kernels + '/debug.elf',
            '-m', '64M', '-c', '2', '--debug-exit', '--gdb', '0,wait'])
        g = start(Gdb, [symbols(args, folder)])
        g.want('target remote :' + vm.port(), r'in \S*start')
        g.want('info threads', r'\* 1 .*CPU 0, running[\s\S]* 2 .*waits for')
        g.ask('break middle')
        g.want('continue', r'Breakpoint 1, \S+ in middle')
        g.want('print $rdi', '= 1\n')
        g.want('x/i $pc', r'=> 0x[0-9a-f]+ <middle>:')
        g.want('bt 2', r'#0 .* in middle[\s\S]*#1 .* in test_main')
        pc = g.ask('print/x $pc')
        g.ask('stepi')
        g.want('print/x $pc == ' + pc.split()[-1], '= 0x0')
        g.ask('delete')
        g.ask('hbreak leaf')
        g.want('continue', r'Breakpoint 2, \S+ in leaf')
        g.want('finish', r'Run till exit')
        g.want('print (long)counter', '= 3\n') # the first was stepped into
        g.want('continue', r'Breakpoint 2, \S+ in leaf')
        g.want('info registers eflags cr0 efer', r'PG[\s\S]*LMA')
        g.ask('delete')
        watched(g)
        g.ask('print (long)other')
        g.want('monitor registers', r'CPU 0: 64-bit')
        g.want('thread 2', 'second')
        g.ask('set scheduler-locking on')
        g.want('stepi', 'second')
        g.ask('set scheduler-locking off')
        g.ask('thread 1')
        memory(g)
        # The guest's own traps come while these are set; but for a CPU with
        # one set of debug registers.
        if args.engine != 'kvm':
            g.ask('break finish')
            g.want('continue', r'Breakpoint \d+, \S+ in finish')
            g.ask('delete')
        g.want('continue', r'exited (normally|with code 01)')
        vm.expect(r'PASS \d+', 30)
        status = vm.p.wait(30)
        if status != 1:
            raise Failed(f'status {status}: {vm.said()}')


def watched(g):
    g.ask('watch *(long *)&counter')
    g.want('continue', r'Old value = 3\nNew value = 6\n')
    g.want('x/i $pc', '<leaf')
    g.ask('delete')
    g.ask('watch *(char *)((char *)&bytes + 9)')
    g.want('continue', r'New value = 7')
    g.want('print *(char *)((char *)&bytes + 10)', "= 0 ")
    g.ask('delete')


def memory(g):
    """Written, and read back; what is nowhere is an error."""
    g.ask('set var *(int *)&other = 0x12345678')
    g.want('x/wx &other', '0x12345678')
    g.want('x/x 0x123456789000', 'Cannot access')
    g.ask('monitor physical on')
    g.want('x/wx &other', '0x12345678')
    g.ask('monitor physical off')


def test_leave(args, start):
    """Attached and left, both ways; the VM's other ways to end stay open."""
    with tempfile.TemporaryDirectory() as folder:
        env = dict(os.environ, XDG_RUNTIME_DIR=folder)

        def state():
            out = subprocess.run(
                [args.lodge, 'info', 'left', '--format', 'json'], env=env,
                capture_output=True, text=True, timeout=30)
            return json.loads(out.stdout)['state']

        def attach():
            g = start(Gdb, [])
            g.ask('set architecture i386:x86-64')
            g.want('target remote :' + vm.port(), r'in \?\?')
            if state() != 'debugger':
                raise Failed('it is ' + state())
            return g

        vm = start(Run, args.lodge, [
            '--engine', args.engine, '--kernel', args.kernels + '/spin.elf',
            '-m', '16M', '--gdb', '0', '--name', 'left'], env)
        vm.expect('spinning')
        for way in ('detach', 'disconnect', None):
            g = attach()
            g.ask('hbreak *$pc')
            if way:
                g.ask(way)
            g.close()
            end = time.monotonic() + 30 # a lost one is noticed a little later
            while state() != 'running':
                if time.monotonic() > end:
                    raise Failed(f'{way}: it is ' + state())
                time.sleep(0.05)
        g = attach()
        subprocess.run([args.lodge, 'stop', '--force', 'left'], env=env,
                       check=True, timeout=30)
        if vm.p.wait(30):
            raise Failed(f'status {vm.p.returncode}: {vm.said()}')


def test_linux(args, start):
    """Debian's kernel: a function of its symbol table, a watch, Ctrl-C."""
    vm = start(Run, args.lodge, [
        '--engine', args.engine, '--kernel', args.guest + '/vmlinuz',
        '--initrd', args.guest + '/initrd', '--append',
        'console=ttyS0 nokaslr quiet', '-m', '256M', '-c', '2', '--no-reboot',
        '--gdb', '0'])
    vm.expect(PROMPT, SECONDS)
    vm.write(b'grep -E " (vfs_read|jiffies_64)$" /proc/kallsyms\r')
    at = {}
    for _ in range(2):
        found = vm.expect(r'([0-9a-f]{16}) \w (vfs_read|jiffies_64)\s')
        at[found.group(2)] = found.group(1)
    vm.expect(PROMPT)
    g = start(Gdb, [])
    g.ask('set architecture i386:x86-64')
    g.want('target remote :' + vm.port(), r'in \?\?')
    g.want('info threads', r'CPU 0[\s\S]*CPU 1')
    g.ask(f'hbreak *0x{at["vfs_read"]}')
    vm.write(b'cat /proc/version\r')
    g.want('continue', 'Breakpoint 1, 0x' + at['vfs_read'])
    g.want('x/i $pc', at['vfs_read'])
    for _ in range(3):
        g.want('stepi', r'0x[0-9a-f]+ in')
    g.ask('delete')
    g.ask(f'watch *(long *)0x{at["jiffies_64"]}')
    g.want('continue', r'New value = ')
    g.ask('delete')
    g.want('detach', 'detached')
    vm.expect('Linux version')
    vm.expect(PROMPT)
    vm.write(b'poweroff\r')
    if vm.p.wait(SECONDS):
        raise Failed('it did not power off: ' + vm.said())


def why_not(args):
    if not shutil.which('gdb'):
        return 'gdb is not installed; tools/setup.sh test installs it'
    if args.test == 'linux' and not os.path.exists(args.guest + '/initrd'):
        return f'{args.guest}/initrd is missing; `make test` makes it'
    engines = subprocess.run([args.lodge, 'engines'], capture_output=True,
                             text=True, timeout=20).stdout
    if not re.search(rf'^{args.engine} +yes', engines, re.M):
        return f'this host does not offer engine {args.engine}'
    return None


def main():
    p = argparse.ArgumentParser()
    p.add_argument('test', choices=['kernel', 'leave', 'linux'])
    p.add_argument('engine')
    p.add_argument('--lodge', default='build/lodge')
    p.add_argument('--guest', default='build/guest')
    p.add_argument('--kernels', default='build/tests/guest')
    args = p.parse_args()
    why = why_not(args)
    if why:
        print('skipped:', why)
        return 77
    started = []

    def start(kind, *words):
        started.append(kind(*words))
        return started[-1]

    try:
        globals()['test_' + args.test](args, start)
        return 0
    except Failed as e:
        print(f'{args.test} {args.engine}: {e}')
        for s in started:
            print('---', type(s).__name__)
            print(s.text[-2000:])
        return 1
    finally:
        for s in started:
            s.close()


if __name__ == '__main__':
    sys.exit(main())
