#!/usr/bin/env python3
"""What lodge says to bad input: one sentence, the right status, no file touched.

  bad_input.py LODGE KERNEL.elf     (any small multiboot kernel)
"""
import fcntl
import os
import subprocess
import sys
import tempfile

LODGE, KERNEL = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
USAGE, FAILED = 2, 125

# Arguments after `lodge`, status, what the sentence must name.
# {x}: a file of the folder that make_files() fills.
CASES = [
    ('frobnicate', USAGE, 'frobnicate'),
    ('run', USAGE, '--kernel'),
    ('run --wat', USAGE, '--wat'),
    ('run -z', USAGE, '-z'),
    ('run --kernel', USAGE, '--kernel'),
    ('run --kernel good stray', USAGE, 'stray'),
    ('run --kernel good --kernel good', USAGE, '--kernel'),
    ('run --kernel good --no-reboot=1', USAGE, '--no-reboot'),
    ('run --kernel good -c 0', USAGE, '--cpus'),
    ('run --kernel good -c 256', USAGE, '--cpus'),
    ('run --kernel good -c -1', USAGE, '--cpus'),
    ('run --kernel good -c 2x', USAGE, '--cpus'),
    ('run --kernel good -m 0', USAGE, '--memory'),
    ('run --kernel good -m 4K', USAGE, '--memory'),
    ('run --kernel good -m 5000001', USAGE, '--memory'),
    ('run --kernel good -m 12Q', USAGE, '--memory'),
    ('run --kernel good -m -5M', USAGE, '--memory'),
    ('run --kernel good -m 99999999999T', USAGE, '--memory'),
    ('run --kernel good -m 16777215T', (USAGE, FAILED), 'memory'),
    ('run --kernel good -m 100T', (USAGE, FAILED), 'memory'),
    ('run --kernel good --timeout 0', USAGE, '--timeout'),
    ('run --kernel good --timeout soon', USAGE, '--timeout'),
    ('run --kernel good --engine warp', USAGE, '--engine'),
    ('run --kernel good --cpu 8086', USAGE, '--cpu'),
    ('run --kernel good --cpu x86-64,+warp', USAGE, '--cpu'),
    ('run --kernel good --entry 8', USAGE, '--entry'),
    ('run --kernel good --entry 64', USAGE, 'good'),
    ('run --kernel missing', FAILED, 'missing'),
    ('run --kernel missing/too', FAILED, 'missing/too'),
    ('run --kernel folder', USAGE, 'folder'),
    ('run --kernel empty', FAILED, 'empty'),
    ('run --kernel text', FAILED, 'text'),
    ('run --kernel header', FAILED, 'header'),
    ('run --kernel half', FAILED, 'half'),
    ('run --kernel corrupt', FAILED, 'corrupt'),
    ('run --kernel arm', FAILED, 'arm'),
    ('run --kernel bz-short', FAILED, 'bz-short'),
    ('run --kernel zeros', FAILED, 'zeros'),
    ('run --kernel gzip', FAILED, 'gzip'),
    ('run --kernel good -m 1M', FAILED, 'good'),
    ('run --kernel wide', FAILED, 'wide'),
    ('run --kernel good --initrd missing', FAILED, 'missing'),
    ('run --kernel good --initrd folder', USAGE, 'folder'),
    ('run --kernel good --initrd empty', FAILED, 'empty'),
    ('run --kernel good -m 16M --initrd big', FAILED, 'big'),
    ('run --kernel good --disk', USAGE, '--disk'),
    ('run --kernel good --disk=', USAGE, '--disk'),
    ('run --kernel good --disk missing', FAILED, 'missing'),
    ('run --kernel good --disk folder', USAGE, 'folder'),
    ('run --kernel good --disk empty', FAILED, 'empty'),
    ('run --kernel good --disk locked', FAILED, 'locked'),
    ('run --kernel good --disk disk --disk disk', FAILED, 'disk'),
    ('run --kernel good --disk disk,format=floppy', (USAGE, FAILED), 'floppy'),
    ('run --kernel good --disk disk,colour=red', USAGE, 'colour=red'),
    ('run --kernel good --disk disk,ro,temporary', USAGE, 'temporary'),
    ('run --kernel good --serial pigeon', USAGE, '--serial'),
    ('run --kernel good --serial', USAGE, '--serial'),
    ('run --kernel good --serial file:', USAGE, '--serial'),
    ('run --kernel good --serial unix:', USAGE, '--serial'),
    ('run --kernel good --serial file:missing/x', FAILED, 'missing/x'),
    ('run --kernel good --serial unix:missing/x', FAILED, 'missing/x'),
    ('run --kernel good --serial stdio --serial stdio', USAGE, '--serial'),
    ('run --kernel good --stats missing/x', FAILED, 'missing/x'),
    ('run --kernel good --display mirror', USAGE, '--display'),
    ('run --kernel good --display text:1', USAGE, '--display'),
    ('run --kernel good --display vnc:nowhere:1', USAGE, '--display'),
    ('run --kernel good --display vnc:0.0.0.0:5999', USAGE, '--vnc-password'),
    ('run --kernel good --display vnc --vnc-password missing', FAILED,
     'missing'),
    ('run --kernel good --name a/b', USAGE, 'a/b'),
    ('info', USAGE, 'NAME'),
    ('help frobnicate', USAGE, 'frobnicate'),
]


def make_files():
    def put(name, data):
        with open(name, 'wb') as f:
            f.write(data)

    with open(KERNEL, 'rb') as f:
        good = f.read()
    put('good', good)
    put('empty', b'')
    put('text', b'this is not a kernel\n' * 100)
    put('header', good[:40])
    put('half', good[:200])
    put('zeros', bytes(70000))
    put('corrupt', good[:28] + b'\xff' * 24 + bytes(len(good)))
    put('arm', good[:18] + b'\x28\0' + good[20:52] + bytes(40000))
    bz = bytearray(0x400)
    bz[0x1fe:0x200] = b'\x55\xaa'
    bz[0x202:0x208] = b'HdrS\x0f\x02'
    bz[0x1f1] = 20
    put('bz-short', bytes(bz))
    put('gzip', b'\x1f\x8b\x08' + bytes(1000))
    # One segment of 3 GB.
    phoff = int.from_bytes(good[28:32], 'little')
    put('wide', good[:phoff + 20] + (3 << 30).to_bytes(4, 'little')
        + good[phoff + 24:])
    put('big', b'x' * (32 << 20))
    put('odd', b'x' * 777)
    put('disk', bytes(1 << 20))
    put('locked', bytes(1 << 20))
    os.mkdir('folder')


def snapshot():
    out = {}
    for folder, _, names in os.walk('.'):
        for name in names:
            path = os.path.join(folder, name)
            s = os.stat(path)
            out[path] = (s.st_size, s.st_mtime_ns, s.st_mode)
    return out


def run_case(line, status, names):
    words = line.split(' ')
    if words[0] == 'run' and '--timeout' not in words:
        words[1:1] = ['--timeout', '5'] # should it start after all
    p = subprocess.run([LODGE] + words, stdin=subprocess.DEVNULL,
                       capture_output=True, timeout=60)
    text = p.stderr.decode('utf-8', 'replace')
    wrong = []
    if p.returncode not in (status if isinstance(status, tuple)
                            else (status,)):
        wrong.append(f'status {p.returncode}, not {status}')
    if not text.startswith('lodge: ') or text.count('\n') != 1:
        wrong.append('not one sentence')
    if names not in text:
        wrong.append(f'does not name {names}')
    if p.stdout:
        wrong.append('wrote to stdout')
    if len(text) > 400:
        wrong.append('a long sentence')
    return [f'lodge {line}: {w}: {text.strip()}' for w in wrong]


def main():
    failures = []
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        make_files()
        with open('locked', 'r+b') as held:
            # Both ways in which programs lock images.
            fcntl.lockf(held, fcntl.LOCK_EX)
            fcntl.flock(held, fcntl.LOCK_EX)
            before = snapshot()
            for case in CASES:
                failures += run_case(*case)
                if snapshot() != before:
                    failures.append(f'lodge {case[0]}: touched a file')
                    before = snapshot()
        os.chdir('/')
    print('\n'.join(failures))
    print(f'{len(CASES)} cases, {len(failures)} complaints')
    return bool(failures)


if __name__ == '__main__':
    sys.exit(main())
