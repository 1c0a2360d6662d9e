#!/usr/bin/env python3
"""README's two commands on a bare Debian 12, with a network and then without.

  tests/bare.py [--folder FOLDER] [--only run|test]

In FOLDER (build/bare) it makes a Debian with git, gcc and make and nothing
else, clones this repository's HEAD there, and runs `make run`, into whose
guest it types `uname -a` and `poweroff`, and `make test`; then both again
where no network is. Needs root, mmdebstrap and a network; takes an hour.
"""
import argparse
import os
import pty
import re
import select
import subprocess
import sys
import time

PROMPT = r'lodge:[^\n]*# '
# A bare system's /dev, /proc and /sys come and go with the mount namespace.
INSIDE = '''
cd "$0"
for d in dev proc sys; do mount --rbind /$d $d; done
[ "$2" = online ] || ip link set lo up
exec env -i HOME=/root TERM=vt100 PATH=/usr/sbin:/usr/bin:/sbin:/bin \
    chroot . sh -c "cd /root/lodge && $1"
'''


def make_root(folder):
    tar = folder + '/root.tar'
    root = folder + '/root'
    os.makedirs(folder, exist_ok=True)
    if not os.path.exists(tar):
        subprocess.run(['mmdebstrap', '--quiet', '--variant=minbase',
                        '--include=git,gcc,make', 'bookworm',
                        tar + '.part.tar'], check=True)
        os.rename(tar + '.part.tar', tar)
    subprocess.run(['rm', '-rf', root], check=True)
    os.mkdir(root)
    subprocess.run(['tar', '-C', root, '-xpf', tar], check=True)
    subprocess.run(['cp', '-L', '/etc/resolv.conf', root + '/etc/'],
                   check=True)
    subprocess.run(['git', 'clone', '-q', '.', root + '/root/lodge'],
                   check=True)
    return root


class Command:
    """A command in the bare system, at a terminal of its own."""

    def __init__(self, root, command, online, log):
        self.text, self.log = '', log
        words = ['unshare', '--mount'] + ([] if online else ['--net'])
        words += ['sh', '-ec', INSIDE, root, command,
                  'online' if online else 'offline']
        pid, self.terminal = pty.fork()
        if not pid:
            os.execvp(words[0], words)
        self.pid = pid

    def read(self, seconds):
        """False at the end."""
        if not select.select([self.terminal], [], [], seconds)[0]:
            return True
        try:
            new = os.read(self.terminal, 65536).decode('utf-8', 'replace')
        except OSError:
            new = ''
        self.text += new
        self.log.write(new)
        self.log.flush()
        return bool(new)

    def expect(self, pattern, seconds):
        end = time.monotonic() + seconds
        while not re.search(pattern, self.text):
            if time.monotonic() > end or not self.read(1):
                sys.exit(f'no {pattern!r} in:\n{self.text[-2000:]}')
        self.text = self.text[re.search(pattern, self.text).end():]

    def type(self, text):
        os.write(self.terminal, text.encode())

    def status(self, seconds):
        end = time.monotonic() + seconds
        while self.read(1):
            if time.monotonic() > end:
                sys.exit(f'still running:\n{self.text[-2000:]}')
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def make_run(c):
    c.expect(PROMPT, 3600)
    c.type('uname -a\r')
    c.expect(r'Linux lodge \S+ .* x86_64 GNU/Linux', 60)
    c.expect(PROMPT, 60)
    c.type('poweroff\r')
    return c.status(120), 'the guest powered off'


def make_test(c):
    status = c.status(7200)
    return status, c.text.rstrip().rpartition('\n')[2].strip()


def main():
    p = argparse.ArgumentParser()
    p.add_argument('--folder', default='build/bare')
    p.add_argument('--only', choices=['run', 'test'])
    args = p.parse_args()
    root = make_root(args.folder)
    worst = 0

    with open(args.folder + '/log', 'w', encoding='utf-8') as log:
        for online in (True, False):
            for name, how in (('run', make_run), ('test', make_test)):
                if args.only not in (None, name):
                    continue
                start = time.monotonic()
                status, says = how(Command(root, 'make ' + name, online, log))
                print(f'make {name}, {"with a" if online else "no"} network: '
                      f'status {status}, {time.monotonic() - start:.0f} s, '
                      f'{says}', flush=True)
                worst |= status
    return int(worst != 0)


if __name__ == '__main__':
    sys.exit(main())
