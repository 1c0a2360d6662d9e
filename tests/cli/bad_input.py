#!/usr/bin/env python3
"""What lodge says to bad input: one sentence, the right status, no file touched.

  bad_input.py LODGE KERNEL.elf [VMLINUZ]

KERNEL.elf is any small multiboot kernel that runs for ever.
"""
import fcntl
import gzip
import os
import socket
import subprocess
import sys
import tempfile

LODGE, KERNEL = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
LINUX = None
if len(sys.argv) > 3 and os.path.exists(sys.argv[3]):
    LINUX = os.path.abspath(sys.argv[3])
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
    ('run --kernel good -m 64M,huge', USAGE, 'hugepages'),
    ('run --kernel good -m 63M,hugepages', USAGE, 'huge pages'),
    ('run --kernel good -m 64M,hugepages,', USAGE, '--memory'),
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
    ('run --kernel=', (USAGE, FAILED), '--kernel'),
    ('run --kernel good -m', USAGE, '-m'),
    ('run --kernel good -m 1.5G', USAGE, '--memory'),
    ('run --kernel good --timeout -1', USAGE, '--timeout'),
    ('run --kernel good --engine', USAGE, '--engine'),
    ('run --kernel good --engine jit --engine interp', USAGE, '--engine'),
    ('run --kernel good -c 2 --cpus 3', USAGE, '--cpus'),
    ('run --kernel good -m 16M --memory 32M', USAGE, '--memory'),
    ('run --kernel good --append a --append b', USAGE, '--append'),
    ('run --kernel missing', FAILED, 'missing'),
    ('run --kernel missing/too', FAILED, 'missing/too'),
    ('run --kernel folder', USAGE, 'folder'),
    ('run --kernel empty', FAILED, 'empty'),
    ('run --kernel fifo', (USAGE, FAILED), 'fifo'),
    ('run --kernel socket', (USAGE, FAILED), 'socket'),
    ('run --kernel /dev/zero', (USAGE, FAILED), '/dev/zero'),
    ('run --kernel loop', (USAGE, FAILED), 'loop'),
    ('run --kernel good/x', FAILED, 'good/x'),
    ('run --kernel secret', FAILED, 'secret'),
    ('run --kernel text', FAILED, 'text'),
    ('run --kernel header', FAILED, 'header'),
    ('run --kernel half', FAILED, 'half'),
    ('run --kernel corrupt', FAILED, 'corrupt'),
    ('run --kernel arm', FAILED, 'arm'),
    ('run --kernel bz-short', FAILED, 'bz-short'),
    ('run --kernel zeros', FAILED, 'zeros'),
    ('run --kernel gzip', FAILED, 'gzip'),
    ('run --kernel linux-cut', FAILED, 'linux-cut'),
    ('run --kernel linux-half', FAILED, 'linux-half'),
    ('run --kernel linux-bad', FAILED, 'linux-bad'),
    ('run --kernel linux -m 16M', FAILED, 'linux'),
    ('run --kernel linux -m 1M', FAILED, '--memory'),
    ('run --kernel linux --initrd text', FAILED, 'text'),
    ('run --kernel linux --initrd zeros', FAILED, 'zeros'),
    ('run --kernel linux --initrd gzip', FAILED, 'gzip'),
    ('run --kernel linux --initrd gzip-cut', FAILED, 'gzip-cut'),
    ('run --kernel linux --initrd gzip-bad', FAILED, 'gzip-bad'),
    ('run --kernel linux --initrd cpio-cut', FAILED, 'cpio-cut'),
    ('run --kernel linux -m 96M --initrd cpio-big', FAILED, 'cpio-big'),
    ('run --kernel good -m 1M', FAILED, 'good'),
    ('run --kernel wide', FAILED, 'wide'),
    ('run --kernel good --initrd missing', FAILED, 'missing'),
    ('run --kernel good --initrd folder', USAGE, 'folder'),
    ('run --kernel good --initrd empty', FAILED, 'empty'),
    ('run --kernel good --initrd=', (USAGE, FAILED), '--initrd'),
    ('run --kernel good --initrd fifo', (USAGE, FAILED), 'fifo'),
    ('run --kernel good --initrd secret', FAILED, 'secret'),
    ('run --kernel good -m 16M --initrd big', FAILED, 'big'),
    ('run --kernel good --net', USAGE, '--net'),
    ('run --kernel good --net bogus', USAGE, 'bogus'),
    ('run --kernel good --net tap:', USAGE, 'tap:'),
    ('run --kernel good --net tap:waytoolongforaname', USAGE, 'waytoolong'),
    ('run --kernel good --net tap:a/b', USAGE, 'a/b'),
    ('run --kernel good --net user,fwd=tcp:1', USAGE, 'fwd=tcp:1'),
    ('run --kernel good --net user,fwd=tcp:0:1', USAGE, 'fwd=tcp:0:1'),
    ('run --kernel good --net user,fwd=tcp:1:65536', USAGE, '65536'),
    ('run --kernel good --net user,fwd=tcp:0.0.0:80:80', USAGE, '0.0.0'),
    ('run --kernel good --net user,fwd=sctp:1:2', USAGE, 'sctp'),
    ('run --boot net', USAGE, '--boot net needs a network card'),
    ('run --kernel good --gdb', USAGE, '--gdb'),
    ('run --kernel good --gdb debugger', USAGE, "'debugger' is no port"),
    ('run --kernel good --gdb 65536', USAGE, '65536'),
    ('run --kernel good --gdb 127.0.0.1', USAGE, '127.0.0.1'),
    ('run --kernel good --gdb ::1:1234', USAGE, '::1:1234'),
    ('run --kernel good --gdb 1234,now', USAGE, "'now' is not wait"),
    ('run --kernel good --gdb 1234,wait=1', USAGE, 'wait'),
    ('run --kernel good --gdb 192.0.2.1:1234', FAILED, '--gdb: port 1234'),
    ('run --kernel good --audio sb16', USAGE, '--audio takes ac97'),
    ('run --kernel good --net tap:x,fwd=tcp:1:2', USAGE, 'fwd='),
    ('run --kernel good --net user,model=ne3000', USAGE, 'ne3000'),
    ('run --kernel good --net user,mac=52:54', USAGE, '52:54'),
    ('run --kernel good --net user,mac=01:00:5e:00:00:01', USAGE, '01:00:5e'),
    ('run --kernel good --net user,restrict=1', USAGE, 'restrict=1'),
    ('run --kernel good --disk', USAGE, '--disk'),
    ('run --kernel good --disk=', USAGE, '--disk'),
    ('run --kernel good --disk missing', FAILED, 'missing'),
    ('run --kernel good --disk folder', USAGE, 'folder'),
    ('run --kernel good --disk empty', FAILED, 'empty'),
    ('run --kernel good --disk locked', FAILED, 'locked'),
    ('run --kernel good --disk fifo', (USAGE, FAILED), 'fifo'),
    ('run --kernel good --disk socket', (USAGE, FAILED), 'socket'),
    ('run --kernel good --disk /dev/null', (USAGE, FAILED), '/dev/null'),
    ('run --kernel good --disk secret', FAILED, 'secret'),
    ('run --kernel good --disk secret,ro', FAILED, 'secret'),
    ('run --kernel good --disk sealed', FAILED, 'sealed'),
    ('run --kernel good --disk disk,format=', (USAGE, FAILED), 'format'),
    ('run --kernel good --disk qcow2', (USAGE, FAILED), 'qcow2'),
    ('run --kernel good --disk disk.qcow2', (USAGE, FAILED), 'disk.qcow2'),
    ('run --kernel good --disk missing,ro', FAILED, 'missing'),
    ('run --kernel good --disk missing,temporary', FAILED, 'missing'),
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
    ('run --kernel good --engine interp --check', USAGE, '--engine jit'),
    ('run --kernel good --engine interp --perf-map', USAGE, '--engine jit'),
    ('run --kernel good --engine jit --jit-stress gently', USAGE, 'gently'),
    ('run --kernel good --engine jit --jit-stress seed=x', USAGE, 'seed'),
    ('run --kernel good --display mirror', USAGE, '--display'),
    ('run --kernel good --display text:1', USAGE, '--display'),
    ('run --kernel good --display vnc:nowhere:1', USAGE, '--display'),
    ('run --kernel good --display vnc:0.0.0.0:5999', USAGE, '--vnc-password'),
    ('run --kernel good --display vnc --vnc-password missing', FAILED,
     'missing'),
    ('run --kernel good --name a/b', USAGE, 'a/b'),
    ('run --firmware missing', FAILED, 'missing'),
    ('run --firmware folder', (USAGE, FAILED), 'folder'),
    ('run --firmware empty', (USAGE, FAILED), 'empty'),
    ('run --firmware text', USAGE, 'text'),
    ('run --firmware big', (USAGE, FAILED), 'big'),
    ('run --firmware text,vars=x', USAGE, 'vars'),
    ('run --firmware bios,secure', USAGE, 'secure'),
    ('run --firmware uefi,colour=red', USAGE, 'colour=red'),
    ('run --firmware uefi,vars=text', (USAGE, FAILED), '--firmware'),
    ('run --firmware uefi,vars=missing/x', FAILED, '--firmware'),
    ('run --firmware text --firmware text', USAGE, '--firmware'),
    ('run --kernel good --firmware bios', USAGE, '--firmware'),
    ('run --kernel good --boot disk', USAGE, '--boot'),
    ('run --firmware text --boot moon', USAGE, 'moon'),
    ('run --firmware text --boot disk,,', USAGE, '--boot'),
    ('info', USAGE, 'NAME'),
    ('run --kernel good --stats folder', FAILED, 'folder'),
    ('run --kernel good --serial file:folder', (USAGE, FAILED), 'folder'),
    ('help frobnicate', USAGE, 'frobnicate'),
]
# Root may read all, unless these are taken from it.
NO_PRIVILEGE = ['setpriv', '--bounding-set=-dac_override,-dac_read_search']


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
    put('big', bytes(32 << 20))
    put('odd', b'x' * 777)
    put('disk', bytes(1 << 20))
    put('locked', bytes(1 << 20))
    os.mkdir('folder')
    os.mkfifo('fifo')
    os.symlink('loop', 'loop')
    with socket.socket(socket.AF_UNIX) as s:
        s.bind('socket')
    put('secret', good)
    os.chmod('secret', 0)
    put('sealed', bytes(1 << 20))
    os.chmod('sealed', 0o444)
    put('qcow2', b'QFI\xfb\0\0\0\3' + bytes(1 << 20))
    put('disk.qcow2', b'no such thing' * 100)
    packed = gzip.compress(os.urandom(20000))
    put('gzip-cut', packed[:-300])
    put('gzip-bad', packed[:5000] + b'?!' + packed[5002:])
    cpio = (b'070701' + b'%08x' * 13 + b'init\0') % (
        1, 0o100755, 0, 0, 1, 0, 5000, 0, 0, 0, 0, 5, 0)
    put('cpio-cut', cpio + b'x' * 3000)
    put('cpio-big', cpio.replace(b'%08x' % 5000, b'%08x' % (99 << 20)) +
        bytes(100 << 20))
    if LINUX:
        make_kernels()


def make_kernels():
    """Debian's kernel, whole, cut, and damaged where it is packed."""
    with open(LINUX, 'rb') as f:
        linux = f.read()
    half = len(linux) // 2
    for name, data in (('linux', linux), ('linux-cut', linux[:-4096]),
                       ('linux-half', linux[:half]),
                       ('linux-bad', linux[:half] + bytes(4096) +
                        linux[half + 4096:])):
        with open(name, 'wb') as f:
            f.write(data)


def snapshot():
    out = {}
    for folder, _, names in os.walk('.'):
        for name in names:
            path = os.path.join(folder, name)
            s = os.lstat(path)
            out[path] = (s.st_size, s.st_mtime_ns, s.st_mode)
    return out


def run_case(line, status, names):
    words = line.split(' ')
    if words[0] == 'run' and '--timeout' not in words:
        words[1:1] = ['--timeout', '5'] # should it start after all
    p = subprocess.run(NO_PRIVILEGE + [LODGE] + words, stdin=subprocess.DEVNULL,
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


def may_run(line):
    """Debian's kernel may be missing, and setpriv not be allowed to."""
    words = line.replace(',', ' ').split(' ')
    if not LINUX and any(w.startswith('linux') for w in words):
        return False
    return NO_PRIVILEGE or os.geteuid() or not {'secret', 'sealed'} & set(words)


def main():
    failures = []
    if os.geteuid() or subprocess.run(
            NO_PRIVILEGE + ['true'], capture_output=True).returncode:
        NO_PRIVILEGE.clear()
    cases = [c for c in CASES if may_run(c[0])]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        make_files()
        with open('locked', 'r+b') as held:
            # Both ways in which programs lock images.
            fcntl.lockf(held, fcntl.LOCK_EX)
            fcntl.flock(held, fcntl.LOCK_EX)
            before = snapshot()
            for case in cases:
                failures += run_case(*case)
                if snapshot() != before:
                    failures.append(f'lodge {case[0]}: touched a file')
                    before = snapshot()
        os.chdir('/')
    print('\n'.join(failures))
    print(f'{len(cases)} of {len(CASES)} cases, {len(failures)} complaints')
    return bool(failures)


if __name__ == '__main__':
    sys.exit(main())
