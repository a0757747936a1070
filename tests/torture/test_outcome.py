"""What `make torture` compares: nothing of a home that matters can differ unseen."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from regrow.base.home import Home
from tests.conftest import REPOSITORY
from tests.torture.outcome import compare, list_leftovers, read_outcome
from tests.torture.window import BEGUN, ENDED, Window, list_arguments


def change_registry(statement: str) -> Callable[[Home], None]:
    def change(home: Home) -> None:
        with closing(sqlite3.connect(home.database)) as connection, connection:
            assert connection.execute(statement).rowcount == 1

    return change


def add_line(home: Home) -> None:
    log = home.decisions / "air-quality.sample.jsonl"
    log.write_text(log.read_text() * 2)


def remove_result(home: Home) -> None:
    (folder,) = (home.store / "air-quality" / "validate").iterdir()
    shutil.rmtree(folder)


def leave_lock(home: Home) -> None:
    home.locks.mkdir(exist_ok=True)
    home.lock("gc").touch()


CHANGES: dict[str, tuple[Callable[[Home], None], str]] = {
    "no alias": (
        change_registry("DELETE FROM registered_model_aliases WHERE alias = 'champion'"),
        "registry aliases",
    ),
    "another tag": (
        change_registry("UPDATE model_version_tags SET value = 'x' WHERE key = 'regrow.key'"),
        "registry version tags",
    ),
    "a decision twice": (add_line, "log air-quality.sample.jsonl"),
    "no result": (remove_result, "stored air-quality/validate/"),
    "a lock": (leave_lock, "left over"),
    "a report": (lambda home: (home.reports / "more.html").touch(), "reports"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_difference_is_found_and_named(name: str, trained: Path, tmp_path: Path) -> None:
    home = Home(Path(shutil.copytree(trained, tmp_path / "home")))
    before = read_outcome(home)
    assert compare(before, read_outcome(home)) == []
    change, where = CHANGES[name]
    change(home)
    [difference] = compare(read_outcome(home), before)
    assert difference.startswith(where)
    assert list_leftovers(home) == (["/locks/gc.lock"] if name == "a lock" else [])


def test_a_process_is_killed_before_the_event_that_is_asked_for(tmp_path: Path) -> None:
    """`regrow status` reads its home's layout: that is one event."""
    home = tmp_path / "home"
    home.mkdir()
    (home / "layout.json").write_text('{"layout": 3}')
    window = Window(str(home), "open", "open", "layout.json")
    for fatal, code in ((0, 0), (1, -9)):
        marks = tmp_path / f"marks-{fatal}"
        marks.mkdir()
        done = subprocess.run(
            [sys.executable, *list_arguments(marks, window, fatal, "status", "--json")],
            cwd=REPOSITORY,
            env={"REGROW_HOME": str(home), "PYTHONPATH": f"src:{REPOSITORY}"},
            capture_output=True,
            start_new_session=True,
            check=False,
        )
        assert done.returncode == code, done.stderr.decode()
        assert (marks / BEGUN).exists()
        assert (marks / ENDED).exists() == (fatal == 0)


@pytest.mark.e2e
def test_some_kills_of_quick_operations() -> None:
    only = [part for name in ("refresh", "gc", "rollback") for part in ("--only", name)]
    done = subprocess.run(
        [sys.executable, "-m", "tests.torture", "--kills", "6", "--jobs", "2", *only],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[-1].split()[:2] == ["all", "6"]
