#!/usr/bin/env python3
"""Runs the same fixed work natively, under QEMU TCG and under Lodge's engines,
compares the results and prints how they fare. docs/bench.md explains it."""
import argparse
import json
import math
import os
import selectors
import signal
import statistics
import subprocess
import sys
import time

OUT = "build/bench"
KERNEL = "build/kernel/vmlinuz"
GROUPS = ["integer", "fp", "programs", "system", "generated", "disk"]
BOOT = "boot"
MEMORY = "1024"


class Failure(Exception):
    pass


class Note:
    """One line on the terminal that says what is going on."""

    def __init__(self):
        self.terminal = sys.stderr.isatty()

    def __call__(self, text):
        if self.terminal:
            sys.stderr.write("\r\033[K" + text)
            sys.stderr.flush()


note = Note()


def read_list():
    """[(name, group)] in the order of the list."""
    with open("tests/perf/list") as f:
        return [tuple(line.split()[:2]) for line in f if line.strip()]


def native_command(names):
    sudo = [] if os.geteuid() == 0 else ["sudo"]
    return sudo + [OUT + "/root/bench/run", OUT + "/root"] + names


def append(names):
    return "console=ttyS0,115200 quiet panic=-1 bench=" + ",".join(names)


def tcg_command(names):
    disk = []
    for n, (file, ro) in enumerate([("root.img", "on"), ("disk.img", "off")]):
        disk += ["-drive", f"if=none,id=d{n},format=raw,readonly={ro},file={OUT}/{file}",
                 "-device", f"virtio-blk-pci,drive=d{n}"]
    return ["qemu-system-x86_64", "-accel", "tcg", "-cpu", "max", "-smp", "1",
            "-m", MEMORY, "-nodefaults", "-no-user-config", "-display", "none",
            "-no-reboot", "-serial", "stdio", "-kernel", KERNEL,
            "-initrd", OUT + "/initrd", "-append", append(names)] + disk


def lodge_command(options, engine, names):
    return [options.lodge, "run", "--engine", engine, "--cpu", options.cpu, "-m", MEMORY + "M",
            "--no-reboot", "--kernel", KERNEL, "--initrd", OUT + "/initrd",
            "--append", append(names), "--disk", OUT + "/root.img,ro",
            "--disk", OUT + "/disk.img"] + options.lodge_option


def cpu_clock(pid):
    """Seconds that all threads of a process have had a CPU so far, those that
    ended included."""
    try:
        # The clock that clock_getcpuclockid(3) names.
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0  # it ended


class Lines:
    """What a process writes, line by line, each with the time it came."""

    def __init__(self, command, log, limit, cpu_time):
        self.limit = limit
        self.log = log
        self.cpu_time = cpu_time
        self.start = 0 if cpu_time else time.monotonic()
        self.process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=log, start_new_session=True)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)

    def __iter__(self):
        rest = b""
        self.renew()
        while True:
            left = self.deadline - time.monotonic()
            if left <= 0 or not self.selector.select(left):
                raise Failure(f"stuck for {self.limit} s")
            data = os.read(self.process.stdout.fileno(), 65536)
            now = self.clock()
            if not data:
                return
            self.log.write(data)
            self.log.flush()
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                yield now, line.decode("latin1").strip()

    def renew(self):
        """There was progress. Kernels complain while they are stuck, so not
        every line is."""
        self.deadline = time.monotonic() + self.limit

    def clock(self):
        if self.cpu_time:
            return cpu_clock(self.process.pid)
        return time.monotonic()

    def close(self, patience):
        """The process ends by itself, or is ended."""
        try:
            return self.process.wait(patience)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            return self.process.wait()
        finally:
            self.selector.close()
            self.process.stdout.close()


def last_line(file):
    with open(file, "rb") as f:
        lines = f.read().decode("latin1").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


class Session:
    """Some workloads in one process: times, sums and failures by name."""

    def __init__(self):
        self.ms = {}
        self.used = {}
        self.sum = {}
        self.failed = {}
        self.boot = None
        self.current = None
        self.begin = 0
        self.said = ""
        self.fatal = ""
        self.done = False

    def line(self, now, start, text):
        """Whether it is a line of progress."""
        word, _, rest = text.partition(" ")
        if word == "INIT":
            self.boot = (now - start) * 1000
        elif word == "BEGIN":
            self.current, self.begin, self.said = rest, now, ""
        elif word == "END" and rest == self.current:
            self.ms[rest] = (now - self.begin) * 1000
        elif word == "SAID":
            self.said = rest
        elif word == "SUM":
            name, status, used, *result = rest.split()
            self.used[name] = int(used) / 1000
            self.sum[name] = " ".join(result)
            if status != "0":
                self.failed[name] = f"status {int(status):#x} {self.said}".strip()
            self.current = None
        elif word == "FATAL" or "Kernel panic" in text:
            self.fatal = text
        elif word == "DONE":
            self.done = True
        elif word != "WARM":
            return False
        return True

    def run(self, command, log, limit, cpu_time, label):
        lines = Lines(command, log, limit, cpu_time)
        why, patience = "", 0
        try:
            note(f"{label}: boot")
            for now, text in lines:
                if self.line(now, lines.start, text):
                    lines.renew()
                if self.done:
                    break
                if self.current:
                    note(f"{label}: {self.current}")
            patience = 10
        except Failure as e:
            why = str(e)
        finally:
            status = lines.close(patience)
        if self.done:
            return
        why = self.fatal or why or (
            f"ended early with status {status}: {last_line(log.name)}")
        if self.current:
            self.failed[self.current] = why
        else:
            self.fatal = why


class Way:
    """One way to run the work: natively, under QEMU, under an engine."""

    def __init__(self, name, command, options):
        self.name, self.command = name, command
        self.limit, self.cpu_time = options.limit, options.cpu_time
        self.ms, self.sums, self.failed = {}, {}, {}
        self.log = open(f"{OUT}/{name}.log", "wb")

    def round(self, names, label):
        """Runs all names once; after a crash, the rest in a new process."""
        left = list(names)
        while left:
            session = Session()
            session.run(self.command(left), self.log, self.limit,
                        self.cpu_time, label)
            if self.cpu_time and self.name == "native":
                session.ms = session.used
            if session.boot:
                self.ms.setdefault(BOOT, []).append(session.boot)
            for name, ms in session.ms.items():
                self.ms.setdefault(name, []).append(ms)
            for name, result in session.sum.items():
                self.sums.setdefault(name, set()).add(result)
            self.failed.update(session.failed)
            over = set(session.sum) | set(session.failed)
            if not over or session.fatal:
                for name in left:
                    if name not in over:
                        self.failed[name] = session.fatal or "did not run"
                return
            left = [name for name in left if name not in over]

    def median(self, name):
        if name in self.failed or name not in self.ms:
            return None
        return statistics.median(self.ms[name])


def compare(ways, names):
    """Every result must be the native one, each time."""
    for name in names:
        good = ways[0].sums.get(name)
        for way in ways:
            sums = way.sums.get(name)
            if name not in way.failed and (sums != good or len(sums or "") != 1):
                way.failed[name] = f"result {sums}, natively {good}"


def geometric(values):
    values = [v for v in values if v and v > 0]
    return math.exp(sum(map(math.log, values)) / len(values)) if values else None


def ratio(a, b):
    return a / b if a and b else None


class Table:
    def __init__(self, ways):
        self.native, *self.guests = ways
        self.tcg = next((w for w in self.guests if w.name == "tcg"), None)
        self.engines = [w for w in self.guests if w is not self.tcg]

    def head(self):
        row = f"{'':14}{'native ms':>10}"
        for way in self.guests:
            row += f"{way.name + ' ×':>10}"
        if self.tcg:
            for way in self.engines:
                row += f"{way.name + ' over tcg':>18}"
        return row

    def ratios(self, name):
        """Slowdowns of all guests, then speed-ups of engines over TCG."""
        base = self.native.median(name)
        row = [ratio(w.median(name), base) for w in self.guests]
        if self.tcg:
            row += [ratio(self.tcg.median(name), w.median(name))
                    for w in self.engines]
        return row

    def text(self, label, ms, values, failed=()):
        row = f"{label:14}" + (f"{ms:10.0f}" if ms else f"{'':10}")
        for n, value in enumerate(values):
            wide = 10 if n < len(self.guests) else 18
            bad = n < len(self.guests) and self.guests[n].name in failed
            cell = "FAILED" if bad else f"{value:.2f}" if value else "-"
            row += f"{cell:>{wide}}"
        return row

    def workload(self, name):
        failed = [w.name for w in self.guests if name in w.failed]
        return self.text("  " + name, self.native.median(name),
                         self.ratios(name), failed)

    def group(self, group, names):
        rows = [self.ratios(name) for name in names]
        means = [geometric(column) for column in zip(*rows)]
        return self.text(group, None, means), means

    def boot(self):
        row = f"{'boot to init':14}{'':10}"
        for way in self.guests:
            ms = way.median(BOOT)
            row += f"{ms / 1000:8.2f} s" if ms else f"{'-':>10}"
        if self.tcg:
            for way in self.engines:
                value = ratio(self.tcg.median(BOOT), way.median(BOOT))
                row += f"{value:18.2f}" if value else f"{'-':>18}"
        return row


def report(ways, table, work):
    print(table.head())
    means = {}
    for group in GROUPS:
        names = [n for n, g in work if g == group]
        if not names:
            continue
        text, means[group] = table.group(group, names)
        print(text)
        for name in names:
            print(table.workload(name))
    print(table.boot())
    for way in ways:
        for name, why in sorted(way.failed.items()):
            print(f"FAILED {way.name} {name}: {why}")
    return means


def save(file, ways, work, means):
    with open(file, "w") as f:
        json.dump({
            "ms": {w.name: w.ms for w in ways},
            "failed": {w.name: w.failed for w in ways},
            "groups": dict(work),
            "columns": [w.name for w in ways[1:]]
            + [w.name + " over tcg" for w in ways[1:] if w.name != "tcg"],
            "means": means}, f, indent=1)
        f.write("\n")


def arguments():
    p = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    p.add_argument("--only", metavar="NAME", action="append",
                   help="only this workload or group; may be given again")
    p.add_argument("--engine", metavar="NAME", action="append",
                   help="Lodge engine; may be given again (jit)")
    p.add_argument("--no-tcg", action="store_true", help="leave QEMU out")
    p.add_argument("--runs", type=int, default=3, help="rounds (3)")
    p.add_argument("--limit", type=int, default=180,
                   help="seconds without progress after which a guest is ended (180)")
    p.add_argument("--cpu-time", action="store_true",
                   help="CPU time of all threads instead of time elapsed: "
                   "for a busy host")
    p.add_argument("--json", metavar="FILE", help="write figures there, too")
    p.add_argument("--lodge", default="build/lodge", help="program to measure")
    p.add_argument("--cpu", default="host", help="Lodge's CPU model (host)")
    p.add_argument("--lodge-option", default=[], action="append",
                   metavar="OPTION", help="one more option of lodge run")
    return p.parse_args()


def main():
    # Guests run in sessions of their own: none may be left behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    options = arguments()
    work = read_list()
    if options.only:
        known = {n for row in work for n in row}
        unknown = set(options.only) - known
        if unknown:
            sys.exit(f"--only: no workload or group '{unknown.pop()}'; there are: "
                     + " ".join(GROUPS + [n for n, g in work]))
        work = [w for w in work if set(w) & set(options.only)]
    names = [n for n, g in work]
    ways = [Way("native", native_command, options)]
    if not options.no_tcg:
        ways.append(Way("tcg", tcg_command, options))
    for engine in options.engine or ["jit"]:
        ways.append(Way(engine, lambda n, e=engine: lodge_command(options, e, n),
                        options))
    # The ways take turns, so that a busy minute of the host hits all of them.
    for n in range(options.runs):
        for way in ways:
            way.round(names, f"round {n + 1} of {options.runs}, {way.name}")
    note("")
    compare(ways, names)
    means = report(ways, Table(ways), work)
    if options.json:
        save(options.json, ways, work, means)
    return 1 if any(w.failed for w in ways) else 0


if __name__ == "__main__":
    sys.exit(main())
