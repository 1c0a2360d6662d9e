"""A terminal or serial line to a guest: waits for text and types."""
import queue
import re
import socket
import threading
import time

PROMPT = r'lodge:[^\n]*# '
COLOURS = re.compile(r'\x1b[\[(][0-9;?]*[A-Za-z]')
CUT_SHORT = re.compile(r'\x1b([\[(][0-9;?]*)?$')


class Failed(Exception):
    """What a test waited for did not come."""


class Line:
    """What came is in text, without colours and cursor moves. Who inherits
    has write(bytes), and receive(seconds), which returns what has come."""

    def __init__(self, process):
        """process: subprocess.Popen of lodge; None until it is known."""
        self.p = process
        self.text = ''
        self.seen = 0
        self.cut = ''

    def _read(self, seconds):
        data = self.receive(seconds)
        new = self.cut + data.decode('utf-8', 'replace')
        cut = CUT_SHORT.search(new)
        self.cut = cut.group() if cut else ''
        if cut:
            new = new[:cut.start()]
        self.text += COLOURS.sub('', new)
        return data

    def drain(self):
        """A line that nobody reads makes the guest wait."""
        while self._read(0):
            pass

    def skip(self):
        """What has come is of no interest any more."""
        self.drain()
        self.seen = len(self.text)

    def expect(self, pattern, seconds=60):
        """Waits for the pattern behind the last one that was found."""
        end = time.monotonic() + seconds
        while True:
            ended = self.p.poll() is not None
            more = self._read(0 if ended else 0.2)
            found = re.compile(pattern).search(self.text, self.seen)
            if found:
                self.seen = found.end()
                return found
            if ended and not more:
                raise Failed(f'ended ({self.p.returncode}) before '
                             f'{pattern!r}')
            if time.monotonic() > end:
                raise Failed(f'no {pattern!r} within {seconds} s')

    def type(self, text):
        self.write(text.encode())

    def shell(self, command, pattern, seconds=60):
        """Types a command at the prompt; what it prints must match."""
        self.type(command + '\r')
        found = self.expect(pattern, seconds)
        self.expect(PROMPT, seconds)
        return found

    def status(self, seconds=60):
        """The exit status of lodge run."""
        end = time.monotonic() + seconds
        while self.p.poll() is None:
            if time.monotonic() > end:
                raise Failed(f'still running after {seconds} s')
            self._read(0.1)
        self._read(0)
        return self.p.returncode

    def want_status(self, want, seconds=60):
        got = self.status(seconds)
        if got != want:
            raise Failed(f'status {got}, not {want}')


class SocketLine(Line):
    """The serial line of a VM with `--serial unix:PATH`. It is read at all
    times, also while the screen is waited for: what is not read makes the
    guest's console wait, ten milliseconds a byte with interrupts off."""

    def __init__(self, process, path):
        super().__init__(process)
        self.s = socket.socket(socket.AF_UNIX)
        self.s.connect(path)
        self.came = queue.SimpleQueue()
        self.reader = threading.Thread(target=self._take, daemon=True)
        self.reader.start()

    def _take(self):
        try:
            while data := self.s.recv(65536):
                self.came.put(data)
        except OSError:
            pass  # reset, by its end

    def receive(self, seconds):
        if self.p.poll() is not None:
            self.reader.join()  # has got all then
        try:
            return self.came.get(timeout=seconds)
        except queue.Empty:
            return b''

    def write(self, data):
        self.s.sendall(data)

    def close(self):
        """When the process has ended."""
        self.reader.join()
        self.s.close()
