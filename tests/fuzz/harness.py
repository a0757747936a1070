"""Reads many hostile inputs in forked workers, and judges what each reader does with them.

A worker that hangs or dies costs its input and is replaced. An input passes if it is read, or is
refused with one of regrow's own errors, within the bounds of time and memory, and writes nothing
outside of its folder.
"""

from __future__ import annotations

import gc
import json
import os
import random
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regrow.base.errors import RegrowError
from tests.conftest import REPOSITORY

MAX_SECONDS = 20.0
MAX_MEMORY_KIB = 300 * 1024
MAX_MESSAGE = 6000
# A worker that says nothing for this long is stuck in code that no signal interrupts.
KILL_AFTER_S = MAX_SECONDS + 10
INPUTS_A_WORKER = 25
WRITES = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate"}
STARTS = {"subprocess.Popen", "os.exec", "os.posix_spawn", "os.system"}


@dataclass(frozen=True)
class Fuzzed:
    """A reader, and inputs for it.

    Attributes:
        name: what it reads.
        modules: its code, below src/regrow, whose coverage is measured.
        make: makes input number n, `make(chance, n)`: its file's name and content; the number -1
            stands for a valid one.
        check: what the reader does first; it raises where an input does not get past that.
        read: reads a file, and may write into a folder.
        expect: looks at what was read of the valid input, and raises if it is wrong.
        prepare: imports what the reader needs, so that it does not count as its memory.
    """

    name: str
    modules: tuple[str, ...]
    make: Callable[[random.Random, int], tuple[str, bytes]]
    check: Callable[[Path], object]
    read: Callable[[Path, Path], Any]
    expect: Callable[[Any], None]
    prepare: Callable[[], object] = lambda: None


@dataclass
class Outcome:
    """What became of one input: "read", "refused", or what is wrong."""

    number: int
    verdict: str
    detail: str = ""
    passed_check: bool = False
    seconds: float = 0.0
    memory_kib: int = 0
    arcs: dict[str, list[list[int]]] = field(default_factory=dict)
    """What its worker has run, in the outcome of the worker's last input."""

    @property
    def is_good(self) -> bool:
        return self.verdict in ("read", "refused")


def run(
    reader: Fuzzed,
    numbers: Sequence[int],
    *,
    workers: int = 2,
    coverage: bool = False,
    on_outcome: Callable[[Outcome], object] = lambda _outcome: None,
) -> list[Outcome]:
    """Reads inputs, several at once, each worker some of them after the other."""
    reader.prepare()
    parts = [list(numbers[start::workers]) for start in range(workers)]
    running: dict[int, _Worker] = {}
    outcomes: list[Outcome] = []
    while running or any(parts):
        for part in parts:
            if part and len(running) < workers:
                worker = _Worker(reader, part[:INPUTS_A_WORKER], coverage=coverage)
                del part[:INPUTS_A_WORKER]
                running[worker.pipe] = worker
        ready = select.select(list(running), [], [], 1.0)[0]
        for pipe, worker in list(running.items()):
            for outcome in worker.collect(ready=pipe in ready):
                outcomes.append(outcome)
                on_outcome(outcome)
            if worker.ended:
                del running[pipe]
                if worker.left:
                    parts.append(worker.left)
    return sorted(outcomes, key=lambda outcome: outcome.number)


class _Worker:
    """A forked process, and the inputs that it has not answered for."""

    def __init__(self, reader: Fuzzed, numbers: list[int], *, coverage: bool) -> None:
        self.left = numbers
        self.ended = False
        self.heard = time.monotonic()
        self.waiting = b""
        self.pipe, write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.pipe)
            status = 1
            try:
                with os.fdopen(write, "w") as stream:
                    _work(reader, numbers, stream, coverage=coverage)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(write)

    def collect(self, *, ready: bool) -> Iterator[Outcome]:
        """What it has answered since; a verdict of our own if it is stuck or dead."""
        if ready:
            received = os.read(self.pipe, 1 << 20)
            self.heard = time.monotonic()
            *lines, self.waiting = (self.waiting + received).split(b"\n")
            for line in lines:
                outcome = Outcome(**json.loads(line))
                self.left.remove(outcome.number)
                yield outcome
            if not received:
                yield from self._end("the process died")
        elif time.monotonic() - self.heard > KILL_AFTER_S:
            os.kill(self.pid, signal.SIGKILL)
            yield from self._end(f"took more than {KILL_AFTER_S:.0f} s")

    def _end(self, verdict: str) -> Iterator[Outcome]:
        self.ended = True
        os.close(self.pipe)
        _pid, status = os.waitpid(self.pid, 0)
        if self.left:
            yield Outcome(self.left.pop(0), verdict, f"status {status}")


def _work(reader: Fuzzed, numbers: Sequence[int], stream: Any, *, coverage: bool) -> None:
    sys.dont_write_bytecode = True
    sandbox = Path(tempfile.mkdtemp(prefix="fuzz-"))
    tempfile.tempdir = str(sandbox)
    os.chdir(sandbox)
    watch = _Watch(sandbox)
    errors = os.open(sandbox / "stderr", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    os.dup2(errors, 2)
    sys.addaudithook(watch.hook)
    measured = _start_coverage(reader) if coverage else None
    gc.collect()
    gc.freeze()  # what is imported is not looked at again before each input
    try:
        for number in numbers:
            outcome = _read_one(reader, number, sandbox / str(number), watch)
            if measured is not None and number == numbers[-1]:
                outcome.arcs = _stop_coverage(measured)
            stream.write(json.dumps(vars(outcome)) + "\n")
            stream.flush()
    finally:
        shutil.rmtree(sandbox, ignore_errors=True)


def _read_one(reader: Fuzzed, number: int, folder: Path, watch: _Watch) -> Outcome:
    out = folder / "out"
    out.mkdir(parents=True)
    name, content = reader.make(random.Random(f"{reader.name} {number}"), number)
    path = folder / name
    path.write_bytes(content)
    outcome = Outcome(number, "read")
    with suppress(Exception):
        reader.check(path)
        outcome.passed_check = True
    gc.collect()
    before = _reset_peak()
    signal.signal(signal.SIGALRM, _interrupt)
    signal.setitimer(signal.ITIMER_REAL, MAX_SECONDS)
    started = time.monotonic()
    watch.active = True
    try:
        found = reader.read(path, out)
        if number < 0:
            reader.expect(found)
        del found
    except RegrowError as error:
        outcome.verdict, outcome.detail = "refused", str(error)
        if len(outcome.detail) > MAX_MESSAGE:
            outcome.verdict = f"a message of {len(outcome.detail):,} characters"
    except BaseException as error:
        outcome.verdict = f"traceback: {type(error).__name__}"
        outcome.detail = traceback.format_exc()[-3000:]
    finally:
        watch.active = False
        signal.setitimer(signal.ITIMER_REAL, 0)
    outcome.seconds = round(time.monotonic() - started, 3)
    outcome.memory_kib = max(0, _read_peak() - before)
    _judge_bounds(outcome, len(content), watch)
    printed = os.pread(2, 1 << 20, 0).decode(errors="replace")
    os.ftruncate(2, 0)
    if "Traceback" in printed and outcome.is_good:
        outcome.verdict, outcome.detail = "printed a traceback", printed[-3000:]
    shutil.rmtree(folder)
    return outcome


def _judge_bounds(outcome: Outcome, size: int, watch: _Watch) -> None:
    allowed_kib = max(MAX_MEMORY_KIB, 4 * size // 1024)
    if outcome.memory_kib > allowed_kib:
        outcome.verdict = f"took {outcome.memory_kib // 1024} MiB for a file of {size:,} bytes"
    if outcome.seconds >= MAX_SECONDS:
        outcome.verdict = f"took {outcome.seconds:.0f} s"
    if watch.found:
        outcome.verdict, outcome.detail = "touched something outside", "; ".join(watch.found[:5])
        watch.found.clear()


class _Watch:
    """Notes every attempt to write outside of a folder, or to start a program."""

    def __init__(self, sandbox: Path) -> None:
        self.sandbox = os.path.realpath(sandbox)
        self.active = False
        self.found: list[str] = []

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.active:
            return
        if event in STARTS:
            self.found.append(f"{event} {arguments[:1]}")
        elif event == "open":
            path, mode, flags = arguments
            writes = set(mode or "") & set("wax+") or (flags or 0) & (os.O_WRONLY | os.O_RDWR)
            if writes and isinstance(path, (str, bytes, os.PathLike)):
                self._look(event, path)
        elif event in WRITES:
            self._look(event, arguments[0])

    def _look(self, event: str, path: Any) -> None:
        place = os.path.realpath(os.fsdecode(path))
        if not place.startswith((self.sandbox + os.sep, "/dev/", "/proc/")):
            self.found.append(f"{event} {place}")


def _interrupt(_signal: int, _frame: object) -> None:
    raise TimeoutError(f"more than {MAX_SECONDS:.0f} s")


def _reset_peak() -> int:
    """Forgets the peak so far; returns the memory that the process has now, in KiB."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    return _read_status("VmRSS:")


def _read_peak() -> int:
    return _read_status("VmHWM:")


def _read_status(name: str) -> int:
    text = Path("/proc/self/status").read_text()
    return int(text.partition(name)[2].split()[0])


def _start_coverage(reader: Fuzzed) -> Any:
    import coverage

    files = [str(REPOSITORY / "src" / "regrow" / name) for name in reader.modules]
    measured = coverage.Coverage(data_file=None, branch=True, include=files, config_file=False)
    measured.start()
    return measured


def _stop_coverage(measured: Any) -> dict[str, list[list[int]]]:
    measured.stop()
    data = measured.get_data()
    return {name: [list(arc) for arc in data.arcs(name) or ()] for name in data.measured_files()}


def measure_branches(reader: Fuzzed, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The share of the reader's branches that all inputs together have taken, by coverage.py."""
    import coverage

    union: dict[str, set[tuple[int, int]]] = {}
    for outcome in outcomes:
        for name, arcs in outcome.arcs.items():
            union.setdefault(name, set()).update((start, end) for start, end in arcs)
    with tempfile.TemporaryDirectory() as folder:
        files = [str(REPOSITORY / "src" / "regrow" / name) for name in reader.modules]
        measured = coverage.Coverage(
            data_file=f"{folder}/data", branch=True, include=files, config_file=False
        )
        measured.get_data().add_arcs(union)
        measured.save()
        report = Path(folder) / "report.json"
        measured.json_report(outfile=str(report), morfs=files)
        totals: dict[str, Any] = json.loads(report.read_text())["totals"]
    return totals
