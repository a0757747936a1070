"""The harness itself: each kind of harm is noticed, and what does none passes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from regrow.base.errors import DataError
from tests.fuzz import harness
from tests.fuzz.harness import Fuzzed, Outcome, run

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="workers are forked")
MIB = 1 << 20


def refuse(text: str) -> None:
    raise DataError(text)


def fail(_path: Path) -> None:
    raise KeyError("a mistake in the code")


def hang(_path: Path) -> None:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGALRM})
    time.sleep(60)


def judge(read: Callable[[Path], Any], *, size: int = 10, number: int = 0) -> Outcome:
    """What the harness says of a reader that does this with a file of so many bytes."""

    def expect(found: Any) -> None:
        assert found == "right"

    def make(_chance: object, _number: int) -> tuple[str, bytes]:
        return "some.file", bytes(size)

    reader = Fuzzed("some", (), make, Path.stat, lambda path, _out: read(path), expect)
    (outcome,) = run(reader, [number], workers=1)
    return outcome


HARM: dict[str, tuple[Callable[[Path], Any], str]] = {
    "an error of the code": (fail, "traceback: KeyError"),
    "a message without end": (lambda _path: refuse("x" * 7000), "a message of 7,000 characters"),
    "memory": (lambda _path: b"x" * (310 * MIB), "MiB for a file of 10 bytes"),
    "writes outside": (
        lambda path: (path.parents[2] / "outside").write_text(""),
        "touched something outside",
    ),
    "starts a program": (
        lambda _path: subprocess.run([sys.executable, "-V"], check=True, capture_output=True),
        "touched something outside",
    ),
    "takes long": (lambda _path: time.sleep(3), "took "),
    "hangs": (hang, "took more than 3 s"),
    "dies": (lambda _path: os._exit(3), "the process died"),
}


@pytest.mark.parametrize("harm", HARM)
def test_harm_is_noticed(harm: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # for what is written outside
    if harm in ("takes long", "hangs"):  # a busy machine may need the time for the others
        monkeypatch.setattr(harness, "MAX_SECONDS", 1.0)
        monkeypatch.setattr(harness, "KILL_AFTER_S", 3.0)
    read, verdict = HARM[harm]
    outcome = judge(read)
    assert verdict in outcome.verdict
    assert not outcome.is_good


def test_the_bounds_are_those_that_are_promised() -> None:
    assert (harness.MAX_SECONDS, harness.MAX_MEMORY_KIB) == (20.0, 300 * 1024)
    assert judge(lambda _path: b"x" * (250 * MIB)).verdict == "read"
    # Four times the file, where that is more.
    assert judge(lambda _path: b"x" * (350 * MIB), size=100 * MIB).verdict == "read"


def test_what_does_no_harm_passes() -> None:
    assert judge(lambda path: (path.parent / "out" / "a").write_text("")).verdict == "read"
    refused = judge(lambda _path: refuse("not a table"))
    assert (refused.verdict, refused.is_good) == ("refused", True)


def test_a_valid_file_must_be_read_with_the_right_values() -> None:
    assert judge(lambda _path: "right", number=-1).verdict == "read"
    assert judge(lambda _path: "wrong", number=-1).verdict == "traceback: AssertionError"
