"""Drives a VM by its control socket: reads its screen, types, takes pictures.

    with VM(lodge, ['--floppy', 'freedos.img'], keep='build/failed') as vm:
        vm.wait_text(r'A:\\\\>', 120)
        vm.type('dir\\n')
        vm.wait_text(r'COMMAND +COM')
        vm.key('ctrl-alt-delete')

When the block ends in an exception, a picture of the screen, its text and what
`lodge run` said are kept in the folder `keep` (NAME.png, .txt, .log), and the
text is printed. docs/control.md has the protocol.
"""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from line import Failed, SocketLine
from picture import Picture


class VM:
    def __init__(self, lodge, words, name='vm', keep=None, serial=False):
        """words: of `lodge run`. The serial line is off unless they name it,
        or serial says that .serial shall be one (line.py)."""
        self.name, self.keep = name, keep
        self.lodge = os.path.abspath(lodge)
        self.folder = tempfile.mkdtemp(prefix='lodge-')
        self.env = dict(os.environ, XDG_RUNTIME_DIR=self.folder)
        self.buffer = b''
        self.fds = []
        self.serial = None
        self.font = None  # picture.Font: reads text in graphics modes, too
        words = list(words)
        if serial:
            words += ['--serial', f'unix:{self.folder}/serial']
        if '--serial' not in words:
            words += ['--serial', 'none']
        if '--display' not in words and self._knows('--display'):
            words += ['--display', 'none']
        with open(self.folder + '/log', 'wb') as log:
            self.p = subprocess.Popen(
                [self.lodge, 'run', '--name', name] + words, env=self.env,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            self._connect()
            if serial:
                self.serial = SocketLine(self.p, self.folder + '/serial')
        except BaseException:
            self.close()
            raise

    def _knows(self, option):
        text = subprocess.run([self.lodge, 'help', 'run'], timeout=20,
                              capture_output=True, text=True).stdout
        return option in text

    def __enter__(self):
        return self

    def __exit__(self, kind, *_):
        if kind:
            self._keep_evidence()
        self.close()

    def log(self):
        with open(self.folder + '/log', encoding='utf-8',
                  errors='replace') as f:
            return f.read()

    def close(self):
        if self.p.poll() is None:
            self.p.kill()
            self.p.wait()
        if self.serial:
            self.serial.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    # --- the control socket ---

    def _connect(self):
        end = time.monotonic() + 30
        while True:
            self.s = socket.socket(socket.AF_UNIX)
            try:
                self.s.connect(f'{self.folder}/lodge/{self.name}')
                break
            except OSError:
                self.s.close()
            if self.p.poll() is not None:
                raise Failed(f'lodge ended with {self.p.returncode}: '
                             + self.log())
            if time.monotonic() > end:
                raise Failed('lodge opened no control socket')
            time.sleep(0.05)
        self.greeting = self._receive(30)
        if self.greeting.get('protocol') != 1:
            raise Failed(f'greeting: {self.greeting}')

    def _receive(self, seconds):
        self.s.settimeout(seconds)
        while b'\n' not in self.buffer:
            try:
                data, fds, _, _ = socket.recv_fds(self.s, 1 << 20, 1)
            except TimeoutError:
                raise Failed(f'lodge does not answer in {seconds} s') from None
            except OSError:
                data, fds = b'', []
            self.fds += fds
            if not data:
                raise Failed('the VM has ended: ' + self.log())
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b'\n')
        return json.loads(line)

    def send(self, line):
        self.s.sendall(line)

    def ask(self, command, seconds=120, **args):
        """The result of a command, as a dictionary."""
        self.send(json.dumps({'command': command, 'args': args}).encode()
                  + b'\n')
        answer = self._receive(seconds)
        if not answer['ok']:
            raise Failed(f"{command}: {answer['code']}: {answer['error']}")
        return answer['result']

    # --- screen and keys ---

    def rows(self):
        """The text screen's lines; in graphics modes none, or what .font
        finds."""
        try:
            return self.ask('screen')['text']
        except Failed as e:
            if 'state:' not in str(e):
                raise
        return self.picture().text(self.font) if self.font else []

    def picture(self):
        path = self.folder + '/screen.png'
        self.screenshot(path)
        return Picture(path)

    def text(self):
        return '\n'.join(self.rows())

    def wait_text(self, pattern, seconds=60):
        """Waits until the screen's text matches; returns the match."""
        end = time.monotonic() + seconds
        while True:
            found = re.search(pattern, self.text(), re.M)
            if found:
                return found
            if self.p.poll() is not None:
                raise Failed(f'lodge ended with {self.p.returncode} before '
                             f'{pattern!r}: {self.log()}')
            if time.monotonic() > end:
                raise Failed(f'no {pattern!r} on the screen within '
                             f'{seconds} s')
            time.sleep(0.2)

    def wait_screen(self, test, seconds=60):
        """Waits until test(info of the screen) is true: its kind, its size."""
        end = time.monotonic() + seconds
        while not test(self.ask('info')['screen']):
            if time.monotonic() > end:
                raise Failed('the screen is '
                             + str(self.ask('info')['screen']))
            time.sleep(0.2)

    def type(self, text):
        """Types; a newline is Enter. Returns when the guest has taken it."""
        self.ask('type', seconds=300, text=text)

    def key(self, *chords):
        for chord in chords:
            self.ask('key', keys=chord)

    def screenshot(self, path):
        self.ask('screenshot')
        fd = self.fds.pop()
        with open(fd, 'rb') as picture, open(path, 'wb') as out:
            picture.seek(0)
            shutil.copyfileobj(picture, out)

    # --- the end ---

    def wait_end(self, seconds=60):
        """The exit status of lodge run."""
        if self.serial:
            return self.serial.status(seconds)
        try:
            return self.p.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failed(f'still running after {seconds} s') from None

    def want_end(self, status, seconds=60):
        got = self.wait_end(seconds)
        if got != status:
            raise Failed(f'status {got}, not {status}: {self.log()}')

    def stop(self):
        self.p.send_signal(signal.SIGTERM)
        return self.wait_end()

    def _keep_evidence(self):
        try:
            text = self.text()
        except (Failed, OSError) as e:
            text = f'(no text: {e})'
        print(f'--- screen of {self.name}:\n{text}\n--- lodge said:\n'
              f'{self.log()[-3000:]}')
        if self.serial:
            print(f'--- serial line, its end:\n{self.serial.text[-3000:]}')
        if not self.keep:
            return
        os.makedirs(self.keep, exist_ok=True)
        stem = f'{self.keep}/{self.name}'
        with open(stem + '.txt', 'w', encoding='utf-8') as f:
            f.write(text + '\n')
        with open(stem + '.log', 'w', encoding='utf-8') as f:
            f.write(self.log())
        if self.serial:
            with open(stem + '.serial', 'w', encoding='utf-8') as f:
                f.write(self.serial.text)
        try:
            self.screenshot(stem + '.png')
            print(f'--- picture: {stem}.png')
        except (Failed, OSError) as e:
            print(f'--- no picture: {e}')
