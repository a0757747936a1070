"""The examples of docs/examples run, and what they assert holds, on the backend in use."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

EXAMPLES = sorted((REPOSITORY / "docs" / "examples").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(path)], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip(), "an example says what it found"


def test_every_example_is_listed() -> None:
    listed = (REPOSITORY / "docs" / "examples" / "README.md").read_text()
    assert EXAMPLES
    assert all(f"[{path.name}]" in listed for path in EXAMPLES)
