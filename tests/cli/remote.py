#!/usr/bin/env python3
"""The control socket and its verbs, on a kernel that runs for ever.

  remote.py LODGE SPIN.elf
"""
import json
import os
import select
import socket
import stat
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'boot'))
from vm import VM, Failed  # noqa: E402

LODGE, KERNEL = sys.argv[1], sys.argv[2]
RUN = ['--kernel', KERNEL, '-m', '16M', '--timeout', '120']


def need(what, *why):
    if not what:
        raise Failed(' '.join(str(w) for w in why))


def verb(vm, line, status=0, says=''):
    p = subprocess.run([LODGE] + line.split(' '), env=vm.env, timeout=60,
                       stdin=subprocess.DEVNULL, capture_output=True,
                       text=True)
    need(p.returncode == status, line, 'status', p.returncode, p.stderr)
    need(says in (p.stdout if status == 0 else p.stderr), line, 'says',
         p.stdout, p.stderr)
    if status:
        need(p.stderr.startswith('lodge: ') and p.stderr.count('\n') == 1,
             line, 'not one sentence:', p.stderr)
    return p.stdout


def test_verbs(vm):
    verb(vm, 'ls', says='running')
    info = json.loads(verb(vm, 'info vm --format json'))
    need(info['pid'] == vm.p.pid and info['memory'] == 16 << 20
         and info['state'] == 'running', info)
    verb(vm, 'info vm', says='engine')
    verb(vm, 'pause vm')
    verb(vm, 'pause vm')
    verb(vm, 'ls', says='paused')
    verb(vm, 'stop vm', 125, 'paused')
    verb(vm, 'type vm x', 125, 'paused')
    verb(vm, 'key vm enter', 125, 'paused')
    verb(vm, 'mouse vm move 1 1', 125, 'paused')
    verb(vm, 'resume vm')
    verb(vm, 'resume vm')
    verb(vm, 'ls', says='running')
    need(json.loads(verb(vm, 'ls --format json'))[0]['name'] == 'vm', 'ls')
    verb(vm, 'restart vm')
    verb(vm, 'mouse vm move 3 -4')
    verb(vm, 'mouse vm click right')
    verb(vm, 'mouse vm wheel -1')


def test_wrong(vm):
    """Each is one sentence, and the VM goes on."""
    for line, status, says in (
            ('info', 2, 'NAME'), ('info nobody', 125, "'lodge ls'"),
            ('info ../vm', 2, 'no name'), ('info .', 2, 'no name'),
            ('info vm --format xml', 2, '--format'),
            ('pause vm more', 2, 'more'), ('stop vm', 125, '--force'),
            ('stop vm --wait soon', 2, '--wait'),
            ('screenshot vm', 2, 'FILE.png'), ('type vm', 2, 'TEXT'),
            ('key vm hyper-x', 2, 'hyper'), ('key vm a-', 2, "''"),
            ('key vm a-b-c-d-e-f-g-h-i', 2, '8'),
            ('type vm \u00e4', 2, '0xc3'),
            ('mouse vm jump', 2, 'move DX DY'), ('mouse vm move 1', 2, 'DX'),
            ('mouse vm move 1 1e9', 2, 'DX'), ('mouse vm move 1 nan', 2, 'DX'),
            ('mouse vm press nose', 2, 'left'),
            ('mouse vm to 0.5 0.5', 125, 'absolute'),
            ('insert vm cdrom7 ' + KERNEL, 125, "'cdrom7'"),
            ('insert vm cdrom7 /nothing', 125, '/nothing'),
            ('eject vm cdrom7', 125, "'cdrom7'")):
        verb(vm, line, status, says)
    need(vm.ask('info')['state'] == 'running', 'it stopped')
    second = subprocess.run([LODGE, 'run', '--name', 'vm'] + RUN, env=vm.env,
                            timeout=60, stdin=subprocess.DEVNULL,
                            capture_output=True, text=True)
    need(second.returncode == 125 and '--name' in second.stderr, second)
    bad = subprocess.run([LODGE, 'run', '--name', 'a/b'] + RUN, env=vm.env,
                         timeout=60, stdin=subprocess.DEVNULL,
                         capture_output=True, text=True)
    need(bad.returncode == 2, bad)


def test_socket(vm):
    """Requests as no client of ours sends them."""
    path = f'{vm.folder}/lodge/vm'
    need(stat.S_IMODE(os.stat(path).st_mode) == 0o600, 'socket mode')
    need(stat.S_IMODE(os.stat(vm.folder + '/lodge').st_mode) == 0o700,
         'folder mode')
    need(vm.greeting['name'] == 'vm' and vm.greeting['pid'] == vm.p.pid,
         vm.greeting)

    def refused(line, code):
        vm.send(line)
        answer = vm._receive(30)
        need(not answer['ok'] and answer['code'] == code, line[:80], answer)
        return answer

    refused(b'hello\n', 'format')
    refused(b'["info"]\n', 'usage')
    refused(b'{"command": 7}\n', 'usage')
    refused(b'{"command": "info", "args": []}\n', 'usage')
    refused(b'{"command": "info", "extra": 1}\n', 'usage')
    refused(b'{"command": "dance"}\n', 'unsupported')
    refused(b'{"command": "type", "args": {"text": 5}}\n', 'usage')
    refused(b'{"command": "type", "args": {"text": "a\\u0000"}}\n', 'format')
    refused(b'[' * 60000 + b'\n', 'format')
    need(refused(b'{"id": [1], "command": "dance"}\n',
                 'unsupported')['id'] == [1], 'id')
    # Many at once are answered in turn; blank lines are none.
    vm.send(b'\n \n' + b''.join(b'{"id": %d, "command": "info"}\n' % i
                                for i in range(50)))
    for i in range(50):
        need(vm._receive(30)['id'] == i, 'order')
    # A line without an end, and too many clients.
    others = []
    for _ in range(40):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(30)
        s.connect(path)
        others.append(s)
    greeted = sum(1 for s in others if s.recv(1000))
    need(greeted == 15, greeted, 'clients')
    others[0].sendall(b'x' * 65536)
    last = b''
    while data := others[0].recv(65536):
        last += data
    need(b'"range"' in last, last)
    for s in others:
        s.close()
    need(vm.ask('info')['cpus'] == 1, 'info')


def console(vm, wanted):
    """`lodge console` until it has shown that."""
    p = subprocess.Popen([LODGE, 'console', 'vm'], env=vm.env,
                         stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    text, end = b'', time.monotonic() + 60
    while wanted not in text and time.monotonic() < end:
        if select.select([p.stdout], [], [], 1)[0]:
            text += os.read(p.stdout.fileno(), 4096)
    need(wanted in text, text)
    return p


def test_console(vm):
    """Here the serial line is nowhere, in the next VM it waits for this."""
    verb(vm, 'console vm', 125, '--serial console')
    with VM(LODGE, RUN + ['--serial', 'console']) as other:
        first = console(other, b'spinning')
        verb(other, 'console vm', 125, 'already')
        first.kill()
        first.wait()
        verb(other, 'restart vm')
        second = console(other, b'spinning')
        other.p.kill()
        need(second.wait(60) == 0, 'the console of a VM that has gone')


def test_end(vm):
    verb(vm, 'pause vm')
    verb(vm, 'stop vm --force')
    vm.want_end(0)
    need(not os.path.exists(f'{vm.folder}/lodge/vm'), 'the socket stays')
    verb(vm, 'ls', says='NAME')
    verb(vm, 'info vm', 125, 'vm')


def test_stale(vm):
    """The socket of a VM that was killed is taken over."""
    vm.p.kill()
    vm.p.wait()
    path = f'{vm.folder}/lodge/vm'
    need(os.path.exists(path), 'no socket to take over')
    verb(vm, 'info vm', 125, 'lodge ls')
    p = subprocess.Popen([LODGE, 'run', '--name', 'vm', '--serial', 'none']
                         + RUN, env=vm.env, stdin=subprocess.DEVNULL)
    vm.p = p
    vm._connect()
    need(vm.ask('info')['pid'] == p.pid, 'another one')


def main():
    for test in (test_verbs, test_wrong, test_socket, test_console, test_end,
                 test_stale):
        try:
            with VM(LODGE, RUN) as vm:
                test(vm)
        except Failed as e:
            print(f'{test.__name__}: {e}')
            return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
