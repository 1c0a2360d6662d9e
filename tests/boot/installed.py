#!/usr/bin/env python3
"""A Debian that is installed on a disk, from the firmware and GRUB on.

  installed.py TEST ENGINE [FIRMWARE] BUS --lodge FILE --guest FOLDER …
  installed.py net ENGINE CARD …

FOLDER of --guest has amd64.img and i386.img (tools/installed-guests.sh).
pclib.py says more.
"""
import hashlib
import mmap
import os
import struct
import subprocess
import sys
import tempfile
import time

from line import PROMPT, Failed
from net import Server, free_port
from pclib import LOADER, STEP, main, medium

LOGIN = 400  # seconds to a login, on a busy machine
DEVICE = {'virtio': 'vda', 'ide': 'sda', 'ahci': 'sda', 'nvme': 'nvme0n1'}
DRIVER = {'virtio': 'virtio_net', 'e1000': 'e1000', 'rtl8139': '8139\\w+',
          'ne2000': 'ne2k-pci'}
COMPLAINTS = ('exception Emask|failed command|I/O error|timeout|BUG:|Oops|'
              'Call Trace|lockup|rcu.*stall|ACPI.*Error')


class Disk:
    """A copy of an installed disk, to be written to."""

    def __init__(self, image, folder):
        self.path = folder + '/disk.img'
        subprocess.run(['cp', '--sparse=always', image, self.path], check=True)

    def replace(self, old, new):
        """What is in the files of the disk, everywhere."""
        with open(self.path, 'r+b') as f, mmap.mmap(f.fileno(), 0) as image:
            at = image.find(old)
            if at < 0:
                raise Failed(f'{old} is nowhere on the disk')
            while at >= 0:
                image[at:at + len(old)] = new
                at = image.find(old)

    def want_sound(self):
        """The file system is clean and without an error."""
        with open(self.path, 'rb') as f:
            f.seek(1024 + 2 * 128 + 32)  # where GPT's third partition begins
            start = struct.unpack('<Q', f.read(8))[0] * 512
        check = subprocess.run(
            ['e2fsck', '-fn', f'{self.path}?offset={start}'], text=True,
            capture_output=True, env={'PATH': '/usr/sbin:/sbin'})
        said = check.stdout + check.stderr
        if check.returncode or 'recovery' in said:
            raise Failed('the file system is not sound: ' + said)


class Machine:
    """What the tests start, one after the other."""

    def __init__(self, start, folder):
        self.start, self.folder = start, folder

    def started(self, firmware, bus, disk, *more):
        if firmware != 'bios':
            firmware += f',vars={self.folder}/vars'
        return self.start(['--firmware', firmware, '--disk',
                           f'{disk.path},bus={bus}', '-m', '512M', '-c', '2',
                           *more], serial=True)


def at_menu(vm, key='\r', entry='Old PC'):
    """Answers GRUB's menu on the serial line."""
    vm.serial.expect('GNU GRUB', LOADER)
    vm.serial.expect(entry, LOADER)
    vm.serial.type(key)


def to_login(vm):
    """A message of the kernel's may come amid the words: ask again then."""
    end = time.monotonic() + LOGIN
    while True:
        try:
            return vm.serial.expect('lodge login: ', STEP)
        except Failed:
            if vm.p.poll() is not None or time.monotonic() > end:
                raise
            vm.serial.type('\r')


def log_in(vm):
    to_login(vm)
    vm.serial.type('root\r')
    vm.serial.expect(PROMPT, STEP)
    # Nothing but what a command prints, in lines as they are.
    vm.serial.shell("bind 'set enable-bracketed-paste off'; stty cols 200; "
                    'dmesg -n 1; echo quiet$((1))', 'quiet1')


def want_no_complaint(vm):
    vm.serial.shell(f"dmesg | grep -E '{COMPLAINTS}' | grep -v Command; "
                    'echo end$((1))', r'\$\(\(1\)\)\r+\nend1\r')


def want_healthy(vm):
    """All services run, what is read is what was installed."""
    vm.serial.shell('systemctl is-system-running --wait; '
                    'systemctl --failed --no-legend --no-pager',
                    r'\nrunning\r', LOGIN)
    vm.serial.shell(
        'cd / && cat var/lib/dpkg/info/{libc6*,systemd,perl-base}.md5sums | '
        'grep -v usr/share | md5sum -c --quiet; echo sums=$?; cd',
        r'\)?\s+sums=0', LOGIN)
    want_no_complaint(vm)


def use_screen(vm, folder):
    """The login in the picture that Linux draws; the keyboard is there."""
    def picture():
        vm.screenshot(folder + '/screen.png')
        with open(folder + '/screen.png', 'rb') as f:
            return f.read()

    def wait_for(condition, show, pattern):
        vm.serial.shell(f'for i in $(seq 60); do {condition} && break; '
                        f'sleep 1; done; {show}', pattern, STEP)

    vm.wait_screen(lambda s: s['kind'] == 'graphics', STEP)
    before = picture()
    vm.type('root\n')
    wait_for('who | grep -q tty1', 'who', r'\nroot +tty1 ')
    vm.type('tty > typed\n')
    wait_for('[ -s typed ]', 'cat typed', r'\n/dev/tty1\r')
    if picture() == before:
        raise Failed('what was typed is not on the screen')


def boot_id(vm):
    return vm.serial.shell('cat /proc/sys/kernel/random/boot_id',
                           r'\n([0-9a-f-]{36})\r').group(1)


def reboot(vm, **menu):
    """From inside, back to a login; what was written is there."""
    before = boot_id(vm)
    vm.serial.shell('seq 100000 | tee kept | md5sum', r'\n([0-9a-f]{32})  -')
    vm.serial.type('reboot\r')
    at_menu(vm, **menu)
    log_in(vm)
    if boot_id(vm) == before:
        raise Failed('it did not reboot')
    vm.serial.shell('seq 100000 | cmp - kept && echo same$((1))', 'same1')


def power_off(vm, disk):
    vm.serial.type('poweroff\r')
    vm.serial.want_status(0, STEP)
    disk.want_sound()


def spent(vm):
    """Seconds of CPU time, whatever else the host does."""
    with open(f'/proc/{vm.p.pid}/stat', encoding='ascii') as f:
        field = f.read().rpartition(')')[2].split()
    return (int(field[11]) + int(field[12])) / os.sysconf('SC_CLK_TCK')


def test_login(machine, disk, firmware, bus):
    """To the login; reboot and poweroff from inside."""
    began = time.monotonic()
    with machine.started(firmware, bus, disk) as vm:
        at_menu(vm)
        log_in(vm)
        print(f'{firmware} {bus}: {time.monotonic() - began:.1f} s to the '
              f'prompt, {spent(vm):.1f} s of CPU time', flush=True)
        vm.serial.shell('findmnt -no SOURCE /', rf'\n/dev/{DEVICE[bus]}p?3\r')
        vm.serial.shell('ls -d /sys/firmware/efi', r'\n/sys/firmware/efi\r'
                        if firmware == 'uefi' else 'cannot access')
        want_healthy(vm)
        use_screen(vm, machine.folder)
        reboot(vm)
        want_no_complaint(vm)
        power_off(vm, disk)


def test_grub(machine, disk, firmware, bus):
    """GRUB installs itself from inside, by UEFI as a boot entry in the
    firmware's settings, and starts the system then."""
    device = '/dev/' + DEVICE[bus]
    with machine.started(firmware, bus, disk) as vm:
        at_menu(vm)
        log_in(vm)
        serial = 'GRUB_TERMINAL=\'console serial\'' if firmware == 'bios' else \
            'GRUB_TERMINAL=console'
        vm.serial.shell(
            f'printf "%s\\n" "GRUB_CMDLINE_LINUX=console=ttyS0" "{serial}" '
            'GRUB_TIMEOUT=30 "GRUB_SERIAL_COMMAND=serial" > /etc/default/grub; '
            'echo set$((1))', 'set1')
        if firmware == 'bios':
            how = '--target=i386-pc ' + device
        else:
            how = '--target=x86_64-efi --bootloader-id=lodge'
            vm.serial.shell(f'mkdir -p /boot/efi; mount {device}*2 /boot/efi; '
                            'echo mounted$?', 'mounted0')
        vm.serial.shell('grub-install ' + how,
                        'Installation finished. No error reported', LOGIN)
        vm.serial.shell('update-grub; echo made$?', 'made0', LOGIN)
        reboot(vm, entry='Debian GNU/Linux')
        vm.serial.shell('cat /proc/cmdline', r'BOOT_IMAGE=/boot/vmlinuz')
        if firmware == 'uefi':
            entry = vm.serial.shell('efibootmgr',
                                    r'\nBoot([0-9A-F]{4})\* lodge').group(1)
            vm.serial.shell('efibootmgr', rf'\nBootCurrent: {entry}\r')
        power_off(vm, disk)


def test_button(machine, disk, bus):
    """The power button, after a reboot."""
    with machine.started('bios', bus, disk) as vm:
        at_menu(vm)
        log_in(vm)
        reboot(vm)
        vm.serial.shell('journalctl -b -u systemd-logind --no-pager',
                        r'Watching system buttons on .*\(Power Button\)')
        vm.ask('stop')
        vm.want_end(0, STEP)
    disk.want_sound()


def test_secure(machine, disk, bus):
    """Shim, GRUB and kernel by their signatures; what is not signed is not
    started."""
    with machine.started('uefi,secure', bus, disk) as vm:
        at_menu(vm)
        log_in(vm)
        vm.serial.shell('dmesg | grep -i "secure boot"', r'Secure boot enabled')
        power_off(vm, disk)
    # Of the kernel, only what it calls itself.
    disk.replace(b'(debian-kernel@', b'(somebody-else@')
    with machine.started('uefi,secure', bus, disk) as vm:
        at_menu(vm)
        vm.serial.expect('bad shim signature', LOADER)


def test_text(machine, disk, bus):
    """On the screen and by the keyboard alone: GRUB, login, reboot."""
    with machine.started('bios', bus, disk) as vm:
        vm.wait_text('Text screen', LOADER)
        vm.key('t')
        vm.wait_text('^lodge login:', LOGIN)
        vm.type('root\n')
        vm.wait_text('^root@lodge:~#', STEP)
        vm.type('clear; uname -sm; tty\n')
        vm.wait_text('^Linux x86_64', STEP)
        vm.wait_text(r'^/dev/tty1', STEP)
        vm.key('alt-f2')
        vm.wait_text('^lodge login:', STEP)
        vm.serial.skip()  # the first start's menu
        vm.key('ctrl-alt-delete')
        vm.serial.expect('GNU GRUB', LOADER)
        vm.ask('stop', force=True)
        vm.want_end(0, STEP)
    disk.want_sound()


def test_old(machine, disk, bus):
    """Without ACPI, I/O APIC and other CPUs: interrupts by the PICs, and the
    PCI BIOS says where they go."""
    with machine.started('bios', bus, disk) as vm:
        at_menu(vm, 'o')
        log_in(vm)
        vm.serial.shell('nproc', r'\n1\r')
        vm.serial.shell('grep -c XT-PIC /proc/interrupts', r'\n([4-9]|1\d)\r')
        vm.serial.shell('grep -c IO-APIC /proc/interrupts', r'\n0\r')
        want_healthy(vm)
        reboot(vm, key='o')
        vm.serial.type('poweroff\r')
        # A PC without ACPI has no way to switch itself off.
        vm.serial.expect('Power down|System halted', STEP)
        vm.ask('stop', force=True)
        vm.want_end(0, STEP)
    disk.want_sound()


def test_old_i386(machine, disk, bus):
    test_old(machine, disk, bus)


def test_i386(machine, disk, bus):
    """The kernel for CPUs without PAE: two levels of page tables."""
    with machine.started('bios', bus, disk) as vm:
        at_menu(vm)
        log_in(vm)
        vm.serial.shell('uname -rm', r'-686 i686\r')
        want_healthy(vm)
        reboot(vm)
        power_off(vm, disk)


def ssh(folder, port, command, data):
    """What a command prints that runs in the guest and gets data."""
    done = subprocess.run(
        ['ssh', '-p', str(port), '-i', folder + '/key', '-F', 'none',
         '-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null',
         '-o', 'BatchMode=yes', '-o', 'LogLevel=ERROR', 'root@127.0.0.1',
         command], input=data, capture_output=True, timeout=STEP)
    if done.returncode:
        raise Failed(f'ssh ended with {done.returncode}: {done.stderr}')
    return done.stdout


def test_net(machine, disk, card):
    """An address by DHCP, 100 MB from the host's loopback, SSH through a
    forward."""
    server, port = Server('127.0.0.1', 100000000), free_port()
    key = machine.folder + '/key'
    subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', key],
                   check=True)
    with open(key + '.pub', encoding='ascii') as f:
        public = f.read().strip()
    with machine.started('bios', 'virtio', disk, '--net',
                         f'user,model={card},fwd=tcp:{port}:22') as vm:
        at_menu(vm)
        log_in(vm)
        vm.serial.shell(
            'for i in $(seq 60); do ip -4 addr | grep -q 10.0.2.15 && break; '
            'sleep 1; done; ip -4 -br addr',
            r'\ne\w+ +U\w+ +10\.0\.2\.15/24 ', STEP)
        vm.serial.shell('readlink /sys/class/net/e*/device/driver',
                        rf'/{DRIVER[card]}\r')
        began, before = time.monotonic(), spent(vm)
        vm.serial.shell(f'wget -q -O - http://10.0.2.2:{server.http_port}/ | '
                        'sha256sum', r'\n' + server.sum, LOGIN)
        print(f'{card}: 100 MB in {time.monotonic() - began:.1f} s, '
              f'{spent(vm) - before:.1f} s of CPU time', flush=True)
        vm.serial.shell(f"mkdir -p .ssh; echo '{public}' > "
                        '.ssh/authorized_keys; echo key$((1))', 'key1')
        data = os.urandom(3 << 20)
        if ssh(machine.folder, port, 'hostname', b'') != b'lodge\n':
            raise Failed('another machine answers')
        if ssh(machine.folder, port, 'tee copy', data) != data:
            raise Failed('SSH brought back something else')
        vm.serial.shell('sha256sum copy', r'\n' +
                        hashlib.sha256(data).hexdigest())
        want_no_complaint(vm)
        power_off(vm, disk)


def on_disk(test):
    """The test with a machine and a disk of its own."""
    def run(start, args, *where):
        architecture = 'i386' if 'i386' in args.test else 'amd64'
        image = medium(args, architecture + '.img', 'installed-guests')
        with tempfile.TemporaryDirectory(dir=args.guest) as folder:
            test(Machine(start, folder), Disk(image, folder), *where)
    return run


TESTS = {name: on_disk(test) for name, test in list(globals().items())
         if name.startswith('test_')}

if __name__ == '__main__':
    sys.exit(main(TESTS, 'build/guest-installed'))
