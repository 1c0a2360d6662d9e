#!/usr/bin/env python3
"""--display at a terminal of its own.

  display.py LODGE SPIN.elf    (SPIN.elf: a kernel that runs for ever)
"""
import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

LODGE, KERNEL = sys.argv[1], sys.argv[2]
# What a kernel that draws nothing leaves.
BLANK = r'The +screen +is +blank'


class Failed(Exception):
    pass


class Terminal:
    def __init__(self, words, rows=25, cols=80, boot=None):
        self.master, self.slave = pty.openpty()
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ,
                    struct.pack('HHHH', rows, cols, 0, 0))
        self.before = termios.tcgetattr(self.slave)
        self.text = ''
        self.p = subprocess.Popen(
            [LODGE, 'run', '-m', '16M', '--timeout', '60']
            + (boot or ['--kernel', KERNEL]) + words, stdin=self.slave, stdout=self.slave, stderr=self.slave,
            start_new_session=True, env=dict(os.environ, TERM='xterm'))

    def expect(self, pattern, seconds=30):
        end = time.monotonic() + seconds
        while not re.search(pattern, self.text):
            if time.monotonic() > end:
                raise Failed(f'no {pattern!r} in {self.text!r}')
            if select.select([self.master], [], [], 0.1)[0]:
                data = os.read(self.master, 65536).decode('utf-8', 'replace')
                # Without what moves the cursor and sets colours.
                self.text += re.sub(r'\x1b[\[(][0-9;?]*[A-Za-z]', ' ', data)

    def type(self, text):
        self.text = ''
        os.write(self.master, text.encode())

    def want_end(self, status):
        got = self.p.wait(30)
        if got != status:
            raise Failed(f'status {got}, not {status}: {self.text!r}')
        if termios.tcgetattr(self.slave) != self.before:
            raise Failed('the terminal was not restored')


def test_text():
    t = Terminal(['--display', 'text'])
    t.expect(BLANK)
    t.type('\x01h')
    t.expect(r'Ctrl-A d +press Ctrl-Alt-Delete')
    t.type('abc\x1b[A\x1b')  # the guest's
    t.expect(BLANK)
    t.type('\x01x')
    t.want_end(0)


def test_signal():
    t = Terminal(['--display', 'text'])
    t.expect(BLANK)
    t.p.terminate()
    t.want_end(-15)


def test_small():
    t = Terminal(['--display', 'text'], 3, 10)
    t.expect('The')
    fcntl.ioctl(t.slave, termios.TIOCSWINSZ, struct.pack('HHHH', 25, 80, 0, 0))
    t.expect(BLANK)
    t.type('\x01x')
    t.want_end(0)


def test_firmware():
    """Booting a medium the screen is here by itself."""
    t = Terminal([], boot=['--cdrom', 'none', '--no-reboot'])
    try:
        t.expect(r'No +bootable +device')
    except Failed:
        if 'seabios' in t.text:
            return  # its package is not installed
        raise
    t.type('\x01d')  # Ctrl-Alt-Delete
    t.want_end(0)


def test_both():
    t = Terminal(['--display', 'text', '--serial', 'stdio'])
    t.expect('--serial none')
    t.want_end(2)


def test_no_terminal():
    p = subprocess.run([LODGE, 'run', '--kernel', KERNEL, '-m', '16M',
                        '--display', 'text'], stdin=subprocess.DEVNULL,
                       capture_output=True, text=True, timeout=60)
    if p.returncode != 125 or 'no terminal' not in p.stderr:
        raise Failed(f'{p}')


def main():
    helped = subprocess.run([LODGE, 'run', '--display', 'text'], text=True,
                            stdin=subprocess.DEVNULL, capture_output=True,
                            timeout=60).stderr
    if 'ncurses' in helped:
        print('skipped: built without ncurses')
        return 77
    for test in (test_text, test_signal, test_small, test_firmware, test_both,
                 test_no_terminal):
        try:
            test()
        except Failed as e:
            print(f'{test.__name__}: {e}')
            return 1
    return 0


if __name__ == '__main__':
    sys.exit(main())
