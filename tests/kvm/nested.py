#!/usr/bin/env python3
"""The kvm engine on a real /dev/kvm, without the hardware for it.

  nested.py TEST --lodge FILE --guest FOLDER --inner FOLDER --kernels FOLDER
                 --expect FOLDER [--keep]

QEMU's TCG emulates a CPU with AMD-V; under it runs Debian's kernel with KVM
(--guest, tools/kvm-guest.sh), whose initramfs is given this Lodge with the
libraries it needs, and what it shall boot: Debian's kernel for clouds
(--inner), the test kernels of tests/guest, a boot sector. Where this machine
itself offers kvm in full, the same runs here directly. Status 77: something
that this needs is missing.

That machine has one CPU. With several, QEMU 7.2 does not emulate AMD-V
faithfully: docs/kvm.md, "Tests". Guests of several CPUs run on it all the same.
"""
import argparse
import hashlib
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time

SECONDS = 500
HERE = os.path.dirname(os.path.abspath(__file__))
FIRMWARE = ['/usr/share/seabios/bios-256k.bin',
            '/usr/share/seabios/vgabios-stdvga.bin']
# Says a letter on the serial line and ends the VM with status 11.
BOOT_SECTOR = bytes.fromhex('baf803' 'b04b' 'ee' 'baf400' 'b005' 'ee' 'f4')
# Puts "LATE" on the text screen and stops for good, interrupts off, so that
# nothing stops the CPU after it.
SCREEN_SECTOR = bytes.fromhex('fa' 'b0ff' 'e621' '6800b8' '07' '31ff' 'b41f') + b''.join(
    bytes([0xb0, c, 0xab]) for c in b'LATE') + bytes.fromhex('f4' 'ebfd')
# Sets the 8254 to 1 kHz, counts 3000 of its interrupts by the 8259s and ends the
# VM with status 11.
TICK_SECTOR = bytes.fromhex(
    'fa' '31c0' '8ed8' '8ed0' 'bc007c' 'c7062000347c' 'a32200'
    'b034' 'e643' 'b0a9' 'e640' 'b004' 'e640' '31db' 'b0fe' 'e621' 'fb'
    'f4' '81fbb80b' '72f9' 'baf400' 'b005' 'ee' 'f4') + bytes.fromhex(
        '43' '50' 'b020' 'e620' '58' 'cf')
FULL = 'kvm,irqchip=full'
# What Debian's kernel is told.
LINUX = 'console=ttyS0 quiet panic=-1'


class Missing(Exception):
    pass


def guest_tests():
    spec = importlib.util.spec_from_file_location(
        'guest_run', os.path.join(HERE, '..', 'guest', 'run.py'))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Archive:
    """An initramfs: cpio, "newc"."""

    def __init__(self):
        self.data = bytearray()
        self.folders = set()

    def _entry(self, name, mode, body):
        def pad():
            self.data.extend(b'\0' * (-len(self.data) % 4))

        raw = name.encode() + b'\0'
        fields = [0, mode, 0, 0, 1, 0, len(body), 0, 0, 0, 0, len(raw), 0]
        self.data += b'070701' + b''.join(b'%08x' % f for f in fields) + raw
        pad()
        self.data += body
        pad()

    def add(self, name, body, mode=0o100755):
        folder = os.path.dirname(name)
        parts = folder.split('/') if folder else []
        for n in range(1, len(parts) + 1):
            f = '/'.join(parts[:n])
            if f not in self.folders:
                self.folders.add(f)
                self._entry(f, 0o040755, b'')
        self._entry(name, mode, body)

    def add_file(self, name, path):
        with open(path, 'rb') as f:
            self.add(name, f.read())

    def end(self):
        self._entry('TRAILER!!!', 0, b'')
        return bytes(self.data)


def libraries(program):
    out = subprocess.run(['ldd', program], capture_output=True, text=True,
                         check=True).stdout
    return re.findall(r'(/\S+) \(0x', out)


def stripped(program, folder):
    to = os.path.join(folder, os.path.basename(program))
    if shutil.which('strip') and subprocess.run(
            ['strip', '-o', to, program], stderr=subprocess.DEVNULL,
            check=False).returncode == 0:
        return to
    return program


class Job:
    """verb 'run': words go to a guest under kvm; None: they are all of Lodge's.
    around: what the shell does with RUN, that guest; JIT, the same under jit;
    LODGE, the program.
    engine: how kvm is asked for.
    shadow: with KVM's own page tables, where the CPU has nested ones."""

    def __init__(self, name, words, check, files=(), verb='run', around='RUN',
                 engine='kvm', shadow=False):
        self.name, self.words, self.check = name, words, check
        self.files = list(files)
        self.verb, self.around = verb, around
        self.engine = engine
        self.shadow = shadow

    def command(self, lodge, engine, path_of):
        words = [path_of(w[5:]) if w.startswith('FILE:') else w
                 for w in self.words]
        if self.verb:
            words = [self.verb, '--engine', engine] + words
        return shlex.join([lodge] + words)

    def shell(self, lodge, path_of):
        text = self.around.replace('LODGE', lodge)
        text = text.replace('JIT', self.command(lodge, 'jit', path_of))
        return text.replace('RUN', self.command(lodge, self.engine, path_of))


class Program(Job):
    """A program of the build's, not a guest."""

    def shell(self, lodge, path_of):
        return path_of(self.files[0])


# --- what is run ---


def deviations(args, kernel, shadow):
    """KVM's own and, in the nested machine, those of the CPU under it and of
    both together. What QEMU alone does not run is run."""
    platforms = ['kvm']
    if args.nested:
        platforms += ['qemu', 'nested'] + (['shadow'] if shadow else [])
    rows = {}
    for platform in platforms:
        rows.update(guest_tests().deviations(argparse.Namespace(
            kernel=kernel, engine=platform,
            deviations=os.path.join(args.expect, '..', 'deviations.txt'))))
    return {check: why for check, why in rows.items() if check != '*'}


def kernel_jobs(args):
    """The kernels of tests/guest: the same lines as under every engine."""
    run = guest_tests()
    jobs = []

    for name, cpus, engine in [(n, c, 'kvm') for n, cs in KERNELS
                               for c in cs] + [(n, 1, FULL) for n in CHIPS]:
        kernel = os.path.join(args.kernels, name + '.elf')
        if not os.path.exists(kernel):
            raise Missing(f'{kernel} is not built')
        shadow = name in SHADOW

        def check(status, text, name=name, kernel=kernel, shadow=shadow):
            skip = deviations(args, kernel, shadow)
            with open(os.path.join(args.expect, name + '.txt'),
                      encoding='ascii') as f:
                want = run.relevant(f.read(), skip)
            got = run.relevant(text, skip)
            want, got = run.without_absent(want, got)
            if got == want and (status == 1 or (skip and status == 3)):
                return None
            return f'status {status}\n' + '\n'.join(run.difflib.unified_diff(
                want, got, 'expected', 'kvm', lineterm='', n=0))

        jobs.append(Job(name + ('-full' if engine == FULL else f'-c{cpus}'),
                        ['-c', str(cpus), '-m', '64M', '--kernel',
                         'FILE:' + kernel, '--debug-exit', '--no-reboot',
                         '--timeout', '200'], check, [kernel],
                        engine=engine, shadow=shadow))
    return jobs


def linux(args):
    return [os.path.join(args.inner, 'vmlinuz'),
            os.path.join(args.guest, 'inner')]


def linux_words(args, cpus, *append):
    kernel, initrd = linux(args)
    return ['-c', str(cpus), '-m', '256M', '--kernel', 'FILE:' + kernel,
            '--initrd', 'FILE:' + initrd, '--append',
            ' '.join(append or [LINUX]),
            '--timeout', '200']


def linux_job(args, name, words, check, files=(), **how):
    return Job(name, words, check, linux(args) + list(files), **how)


def linux_jobs(args):
    """Debian's kernel for clouds to its init."""
    jobs = []
    for cpus in (1, 2):
        def check(status, text, cpus=cpus):
            if f'inner init: {cpus} CPUs' not in text or status != 0:
                return f'status {status}: {text[-1500:]}'
            if 'clock kvm-clock' not in text and 'clock tsc' not in text:
                return f'another clock: {text[-500:]}'
            return None

        jobs.append(linux_job(args, f'linux-c{cpus}', linux_words(
            args, cpus) + ['--no-reboot'], check))
    return jobs


def disk_jobs(args):
    """It reads a disk, and is reset."""
    disk = os.path.join(args.tmp, 'disk.img')
    data = bytes((n * n >> 7 & 255) for n in range(1 << 20))
    with open(disk, 'wb') as f:
        f.write(data)

    def read(status, text):
        if status or hashlib.md5(data).hexdigest() not in text:
            return f'status {status}: {text[-1500:]}'
        return None

    again = os.path.join(args.tmp, 'again.img')
    once = os.path.join(args.tmp, 'once.img')
    for image in (again, once):
        with open(image, 'wb') as f:
            f.truncate(1 << 20)
    return [
        linux_job(args, 'disk', linux_words(args, 1, LINUX, 'lodge.disk=2') +
                  ['--no-reboot', '--disk', 'FILE:' + disk], read, [disk]),
        linux_job(args, 'disk-full', linux_words(
            args, 1, LINUX, 'lodge.disk=2 nolapic noapic pci=nomsi') +
                  ['--no-reboot', '--disk', 'FILE:' + disk], read, [disk],
                  engine=FULL),
        linux_job(args, 'reboot', linux_words(args, 2, LINUX, 'lodge.reboot') +
                  ['--disk', 'FILE:' + again], twice, [again]),
        linux_job(args, 'reboot-full', linux_words(args, 2, LINUX,
                                                   'lodge.reboot') +
                  ['--disk', 'FILE:' + once], twice, [once], engine=FULL)]


def twice(status, text):
    if status or text.count('inner init') != 2:
        return f'status {status}: {text[-1500:]}'
    return None


def other_jobs(args):
    """Two guests beside each other; one that takes Lodge for Hyper-V."""
    def hyperv(status, text):
        if 'inner init' not in text or 'Microsoft Hyper-V' not in text:
            return f'status {status}: {text[-1500:]}'
        return None

    return [
        linux_job(args, 'beside', linux_words(args, 1) + ['--no-reboot'],
                  twice, around='JIT & RUN; wait'),
        linux_job(args, 'hyperv', linux_words(
            args, 1, 'console=ttyS0 panic=-1') +
            ['--no-reboot', '--cpu', 'host,+hyperv'], hyperv)]


def boot_disk(args, name, code):
    """A disk that has but a boot sector, and how it is booted."""
    image = os.path.join(args.tmp, name)
    for f in FIRMWARE:
        if not os.path.exists(f):
            raise Missing(f'{f} is not here')
    with open(image, 'wb') as f:
        f.write(code.ljust(510, b'\0') + b'\x55\xaa')
        f.truncate(1 << 20)
    return image, ['-m', '64M', '--disk', 'FILE:' + image, '--display', 'none',
                   '--timeout', '100']


def bios_jobs(args):
    """The firmware to a boot sector."""
    def check(status, text):
        return None if status == 11 else f'status {status}: {text[-800:]}'

    image, words = boot_disk(args, 'boot.img', BOOT_SECTOR)
    return [Job('bios', words + ['--serial', 'stdio', '--debug-exit'], check,
                [image])]


def tick_jobs(args):
    """The kernel's 8254 and 8259s, in a guest that is paused now and then."""
    def check(status, text):
        return None if status == 11 else f'status {status}: {text[-800:]}'

    image, words = boot_disk(args, 'tick.img', TICK_SECTOR)
    return [Job('ticks-full', words + ['--serial', 'none', '--debug-exit',
                                       '--name', 'kvm-ticks'], check, [image],
                around='RUN & p=$!; for n in 1 2 3 4; do sleep 1; '
                'LODGE pause kvm-ticks && LODGE resume kvm-ticks; done; '
                'wait $p', engine=FULL)]


def screen_jobs(args):
    """What KVM keeps back for the screen is on it when somebody looks, though
    the guest does nothing more."""
    def check(status, text):
        kept = re.search(r'"late_stores": (\d+)', text)
        if text.startswith('LATE') and kept and int(kept.group(1)) >= 4:
            return None
        return f'status {status}: {text[-800:]}'

    image, words = boot_disk(args, 'screen.img', SCREEN_SECTOR)
    return [Job('screen', words + ['--serial', 'none', '--name', 'kvm-screen',
                                   '--stats', '/proc/self/fd/1'], check, [image],
                around='RUN & for n in $(seq 60); do sleep 1; '
                'LODGE screen kvm-screen 2>/dev/null | grep LATE && break; '
                'done; LODGE stop -f kvm-screen; wait')]


def debugger_jobs(args):
    """What a debugger asks of all engines, of this one, too."""
    program = os.path.join(args.kernels, '..', 'unit', 'debugger_test')

    def check(status, text):
        if status or text.count('\nkvm\n') < 2:
            return f'status {status}: {text[-2500:]}'
        return None

    return [Program('debugger', [], check, [program])] if os.path.exists(
        program) else []


def engine_jobs(args):
    """Where kvm is in full, auto takes it."""
    kernel = os.path.join(args.kernels, 'faults.elf')

    def listed(status, text):
        if status or not re.search(r'^kvm +yes ', text, re.M):
            return text
        return None

    def chosen(status, text):
        return None if 'engine kvm' in text else text[-500:]

    return [Job('engines', ['engines'], listed, verb=None),
            Job('auto', ['run', '-v', '-m', '64M', '--kernel',
                         'FILE:' + kernel, '--debug-exit', '--timeout', '60'],
                chosen, [kernel], verb=None)]


KERNELS = [
    ('faults', [1]), ('strict', [1]), ('privilege', [1]), ('paging', [1]),
    ('gates', [1]), ('modes', [1]), ('gates64', [1]), ('paging32', [1]),
    ('tasks', [1]), ('smc', [1]), ('escape', [1]), ('apic', [1]),
    ('timer', [1]), ('smp', [4]),
]
# Those about chips that may be the kernel's.
CHIPS = ['apic', 'timer']
# These need their control registers looked at, as KVM does when the page tables
# that the CPU uses are its own; where the guest's are used, TCG takes values
# that no CPU takes, and cannot enter the guest again.
SHADOW = {'strict', 'modes', 'paging32'}
SHADOW_PAGING = ['rmmod kvm_amd', 'insmod /lib/modules/kvm-amd.ko npt=0']
TESTS = {
    'guests': [engine_jobs, linux_jobs, kernel_jobs, bios_jobs, screen_jobs,
               tick_jobs, debugger_jobs],
    'more': [disk_jobs, other_jobs],
}


# --- where it is run ---


def script(jobs):
    lines = []
    shadow = False
    for j in sorted(jobs, key=lambda j: j.shadow):
        if j.shadow and not shadow:
            lines += SHADOW_PAGING
            shadow = True
        command = j.shell('./lodge', lambda p: '/' + files_name(p))
        lines += [f'echo "=== {j.name}"',
                  f'{{ {command}; }} </dev/null 2>&1; s=$?; echo',
                  f'echo "=== end {j.name} $s"']
    return '\n'.join(lines) + '\n'


def files_name(path):
    return 'lodge/' + os.path.basename(os.path.dirname(os.path.abspath(
        path))) + '-' + os.path.basename(path)


def initramfs(args, jobs):
    a = Archive()
    program = stripped(args.lodge, args.tmp)
    a.add_file('lodge/lodge', program)
    programs = [args.lodge] + [j.files[0] for j in jobs
                               if isinstance(j, Program)]
    for lib in sorted({lib for p in programs for lib in libraries(p)}):
        a.add_file(lib.lstrip('/'), lib)
    for f in FIRMWARE:
        if os.path.exists(f):
            a.add_file(f.lstrip('/'), f)
    for path in sorted({f for j in jobs for f in j.files}):
        a.add_file(files_name(path), path)
    a.add('lodge/inside', script(jobs).encode())
    return with_archive(os.path.join(args.guest, 'initrd'), a, args.tmp)


def with_archive(initramfs_file, archive, folder):
    """A copy of an initramfs in that folder, with this in it."""
    to = os.path.join(folder, 'with-' + os.path.basename(initramfs_file))
    with open(initramfs_file, 'rb') as f:
        base = f.read()
    with open(to, 'wb') as f:
        f.write(base + b'\0' * (-len(base) % 4) + archive.end())
    return to


def machine(args, initrd, log):
    return ['qemu-system-x86_64', '-accel', 'tcg', '-cpu', args.cpu, '-smp',
            '1', '-m', '1536', '-display', 'none', '-nodefaults', '-serial',
            'file:' + log, '-monitor', 'stdio', '-no-reboot', '-kernel',
            os.path.join(args.guest, 'vmlinuz'), '-initrd', initrd, '-append',
            'console=ttyS0 quiet tsc=reliable panic=-1']


def run_machine(args, initrd):
    """What it said. A key is pressed now and then: QEMU's thread of the CPU
    sets and clears a bit in interrupt_request at VMRUN and #VMEXIT without a
    lock, and what another thread sets there just then is lost, such as the
    timer's interrupt. The next one of any kind brings both."""
    log = os.path.join(args.tmp, 'console')
    end = time.monotonic() + SECONDS
    with subprocess.Popen(machine(args, initrd, log), stdin=subprocess.PIPE,
                          stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL) as p:
        try:
            while p.poll() is None and time.monotonic() < end:
                p.stdin.write(b'sendkey shift\n')
                p.stdin.flush()
                time.sleep(0.5)
        except BrokenPipeError:
            pass
        finally:
            p.kill()
    with open(log, 'rb') as f:
        return f.read().decode('latin-1').replace('\r', '')


def run_nested(args, jobs):
    if not shutil.which('qemu-system-x86_64'):
        raise Missing('qemu-system-x86_64 is not installed')
    for name in ('vmlinuz', 'initrd', 'inner'):
        if not os.path.exists(os.path.join(args.guest, name)):
            raise Missing(f'{args.guest}/{name} is missing; tools/kvm-guest.sh '
                          'makes it')
    if any('san.so' in lib for lib in libraries(args.lodge)):
        raise Missing('a build with sanitizers is too slow in that machine')
    text = run_machine(args, initramfs(args, jobs))
    if args.keep:
        with open(args.keep, 'w', encoding='latin-1') as f:
            f.write(text)
    results = {}
    for j in jobs:
        m = re.search(rf'=== {re.escape(j.name)}\n(.*?)\n?=== end '
                      rf'{re.escape(j.name)} (\d+)', text, re.S)
        results[j.name] = (int(m.group(2)), m.group(1)) if m else \
            (-1, 'no end of it\n' + text[-1500:])
    return results


def run_here(args, jobs):
    results = {}
    for j in jobs:
        p = subprocess.run(['sh', '-c', j.shell(args.lodge, lambda p: p)],
                           stdin=subprocess.DEVNULL,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                           timeout=300, check=False)
        results[j.name] = (p.returncode,
                           p.stdout.decode('latin-1').replace('\r', ''))
    return results


def offers_kvm(args):
    out = subprocess.run([args.lodge, 'engines'], capture_output=True,
                         text=True, timeout=20).stdout
    m = re.search(r'^kvm +(\w+)', out, re.M)
    if not m:
        raise Missing('this build has no kvm engine')
    return m.group(1)


def host_jobs(args):
    """A /dev/kvm of whatever kind emulates real mode."""
    return bios_jobs(args) + screen_jobs(args) + tick_jobs(args)


def test_host(args):
    """This machine's own /dev/kvm, and that auto is not taken in by it."""
    offered = offers_kvm(args)
    p = subprocess.run([args.lodge, 'run', '-v', '-m', '64M', '--kernel',
                        os.path.join(args.kernels, 'faults.elf'),
                        '--debug-exit', '--timeout', '100'],
                       stdin=subprocess.DEVNULL, capture_output=True,
                       text=True, errors='replace', timeout=150, check=False)
    took = re.search(r'engine (\w+)\.', p.stderr)
    if not took or (took.group(1) == 'kvm') != (offered == 'yes'):
        print(f'kvm is offered ({offered}), auto: {p.stderr}')
        return 1
    if offered == 'no':
        print('auto does without; skipped: no /dev/kvm to run guests on')
        return 77
    fat = too_fat(args)
    if fat:
        print(fat)
        return 1
    return report(host_jobs(args), run_here(args, host_jobs(args)))


def resident(pid, but):
    """KB resident in all mappings but the one of that many bytes."""
    kb, counts = 0, True
    with open(f'/proc/{pid}/smaps', encoding='ascii',
              errors='replace') as f:
        for line in f:
            m = re.match(r'([0-9a-f]+)-([0-9a-f]+) ', line)
            if m:
                counts = int(m.group(2), 16) - int(m.group(1), 16) != but
            elif line.startswith('Rss:') and counts:
                kb += int(line.split()[1])
    return kb


def threads(pid):
    names = []
    for t in os.listdir(f'/proc/{pid}/task'):
        with open(f'/proc/{pid}/task/{t}/comm', encoding='ascii') as f:
            names.append(f.read().strip())
    return names


def too_fat(args):
    """None, or how much more than its guest's memory a VM has resident."""
    kernel = os.path.join(args.inner, 'vmlinuz')
    if not os.path.exists(kernel) or any(
            'san.so' in lib for lib in libraries(args.lodge)):
        return None
    p = subprocess.Popen([args.lodge, 'run', '--engine', 'kvm', '-m', '128M',
                          '--kernel', kernel, '--serial', 'none',
                          '--timeout', '60'], stdin=subprocess.DEVNULL,
                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while p.poll() is None and 'lodge-cpu0' not in threads(p.pid):
            time.sleep(0.05)
        time.sleep(1) # what is given back after the start is
        if p.poll() is not None:
            return f'ended with status {p.returncode}'
        kb = resident(p.pid, 128 << 20)
        print(f'{kb} KB resident beside the guest\'s memory')
        return f'{kb} KB are more than 6 MB' if kb > 6144 else None
    finally:
        p.kill()
        p.wait()


def report(jobs, results):
    bad = 0
    for j in jobs:
        status, text = results[j.name]
        why = j.check(status, text)
        if j.engine == FULL and "KVM has no 8259s" in text:
            why = None # newer kernels can be built without
        print(f'{j.name}: {"ok" if why is None else why}')
        bad += why is not None
    return 1 if bad else 0


def main():
    p = argparse.ArgumentParser()
    p.add_argument('test', choices=sorted(TESTS) + ['host'])
    p.add_argument('--only')
    p.add_argument('--cpu', default='EPYC')
    p.add_argument('--keep', help='the console of the nested machine goes here')
    for name in ('lodge', 'guest', 'inner', 'kernels', 'expect'):
        p.add_argument('--' + name, required=True)
    args = p.parse_args()
    with tempfile.TemporaryDirectory() as args.tmp:
        try:
            if args.test == 'host':
                return test_host(args)
            args.nested = offers_kvm(args) != 'yes'
            jobs = [j for make in TESTS[args.test] for j in make(args)
                    if not args.only or re.match(args.only, j.name)]
            if args.nested:
                return report(jobs, run_nested(args, jobs))
            return report(jobs, run_here(args, jobs))
        except Missing as e:
            print('skipped:', e)
            return 77


if __name__ == '__main__':
    sys.exit(main())
