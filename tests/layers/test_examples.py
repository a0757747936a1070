"""The examples of docs/examples run, and what they assert holds, on the backend in use."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.support.commands import Launcher

EXAMPLES = sorted((REPOSITORY / "docs" / "examples").glob("*.py"))


@pytest.mark.slow
@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_runs(path: Path, launcher: Launcher, tmp_path: Path) -> None:
    done = launcher.run(path, cwd=tmp_path)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip(), "an example says what it found"


def test_every_example_is_listed() -> None:
    listed = (REPOSITORY / "docs" / "examples" / "README.md").read_text()
    assert EXAMPLES
    assert all(f"[{path.name}]" in listed for path in EXAMPLES)
