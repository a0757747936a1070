"""The layout version of a home: migrated once, by whoever writes; refused if it is newer."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from regrow.base.digests import digest_file
from regrow.base.errors import UserError
from regrow.base.home import Home
from regrow.base.layout import LAYOUT, check_layout, ensure_layout
from regrow.base.locks import exclusive
from regrow.base.model_digests import TAG, record_old_versions
from tests.conftest import Regrow
from tests.support.homes import unpack_old_home

MIGRATE = (
    "import pathlib, sys; from regrow.base.home import Home; "
    "from regrow.base.layout import ensure_layout; ensure_layout(Home(pathlib.Path(sys.argv[1])))"
)
DEADLINE_S = 120


def files_of(home: Path) -> dict[str, bytes]:
    """The content of every file but locks, by its path."""
    return {
        path.relative_to(home).as_posix(): path.read_bytes()
        for path in home.rglob("*")
        if path.is_file() and path.parent.name != "locks"
    }


def make_old(folder: Path, trainings: int) -> Home:
    """A home of layout 1 with a finished result and many interrupted trainings."""
    result = folder / "store" / "air-quality" / "train" / "abc" / "manifest.json"
    result.parent.mkdir(parents=True)
    result.write_text("{}")
    for number in range(trainings):
        training = folder / "scratch" / "air-quality" / "train" / f"{number:04}" / "seed-0"
        training.mkdir(parents=True)
        (training / "checkpoint.npz").write_bytes(b"weights")
    return Home(folder)


def start_migration(home: Home) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MIGRATE, str(home)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def count_trainings(home: Home) -> int:
    return len(list(home.scratch.glob("*/*/*")))


def test_a_new_home_gets_the_present_layout(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    ensure_layout(home)
    assert files_of(home.path) == {"layout.json": json.dumps({"layout": LAYOUT}, indent=1).encode()}
    assert check_layout(home) == LAYOUT


def test_a_migrated_home_loses_its_interrupted_trainings_only(tmp_path: Path) -> None:
    home = Home(unpack_old_home(tmp_path))
    old = files_of(home.path)
    ensure_layout(home)
    lost = {name for name in old if name.startswith("scratch/")}
    assert lost
    new = files_of(home.path)
    assert new.pop("layout.json")
    assert new.pop("mlflow.db")
    lost.add("mlflow.db")
    assert new == {name: content for name, content in old.items() if name not in lost}


def test_versions_from_before_get_the_digests_of_their_models(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    home = Home(unpack_old_home(tmp_path))
    gone = next(home.artifacts.glob("image-similarity/models/*"))
    gone.rename(tmp_path / "elsewhere")
    ensure_layout(home)
    with closing(sqlite3.connect(home.database)) as database:
        tags = database.execute(
            "SELECT name, version, value FROM model_version_tags WHERE key = ?", (TAG,)
        ).fetchall()
    assert sorted((name, version) for name, version, _ in tags) == [
        ("air-quality.sample", 1),
        ("air-quality.sample", 2),
        ("digit-localisation", 1),
    ]
    files = {digest_file(path) for path in home.artifacts.rglob("model.keras")}
    assert {json.loads(value)["data/model.keras"] for *_, value in tags} == files
    assert caplog.text.count("recorded the digest of its model") == 3
    record_old_versions(home)
    assert caplog.text.count("recorded the digest of its model") == 3


@pytest.mark.parametrize("content", [b"", b"no database" * 100])
def test_a_database_that_cannot_be_read_does_not_stop_a_migration(
    tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    home = make_old(tmp_path / "home", 0)
    home.database.write_bytes(content)
    ensure_layout(home)
    assert check_layout(home) == LAYOUT
    assert "are not recorded" in caplog.text


@pytest.mark.parametrize("left", [0.99, 0.5, 0.01])
def test_a_killed_migration_is_repeated(tmp_path: Path, left: float) -> None:
    trainings = 2000
    home = make_old(tmp_path / "home", trainings)
    process = start_migration(home)
    end = time.monotonic() + DEADLINE_S
    while count_trainings(home) > left * trainings:
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < end
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert check_layout(home) == 1
    ensure_layout(home)
    assert sorted(files_of(home.path)) == [
        "layout.json",
        "store/air-quality/train/abc/manifest.json",
    ]


def test_what_a_migration_that_was_killed_while_writing_left_is_removed(tmp_path: Path) -> None:
    home = make_old(tmp_path / "home", 1)
    (home.path / ".writing-0123abcd-layout.json").write_text("{")
    ensure_layout(home)
    assert not list(home.path.glob(".writing-*"))
    assert check_layout(home) == LAYOUT


def test_of_several_processes_one_migrates(tmp_path: Path) -> None:
    home = make_old(tmp_path / "home", 300)
    processes = [start_migration(home) for _ in range(4)]
    said = [process.communicate(timeout=DEADLINE_S)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 4, said
    assert sum("removed interrupted trainings" in text for text in said) == 1
    assert not count_trainings(home)


def test_a_training_under_way_is_left_alone(tmp_path: Path) -> None:
    home = make_old(tmp_path / "home", 3)
    with exclusive(home.lock("air-quality-train-0001")):
        ensure_layout(home)
    assert [path.name for path in home.scratch.glob("*/*/*")] == ["0001"]
    assert check_layout(home) == LAYOUT


@pytest.mark.parametrize(
    "command",
    [
        ("list",),
        ("status", "--json"),
        ("log", "air-quality", "--sample", "--json"),
        ("why", "air-quality", "--json"),
    ],
)
def test_commands_that_read_leave_an_old_home_as_it_is(
    tmp_path: Path, regrow: Regrow, command: tuple[str, ...]
) -> None:
    home = unpack_old_home(tmp_path)
    old = files_of(home)
    done = regrow(*command)
    assert done.returncode == 0, done.stderr
    assert files_of(home) == old
    if command[0] == "status":
        (row,) = (row for row in json.loads(done.stdout) if row["model"] == "air-quality")
        assert row["outcome"] == "interrupted in train"
        assert row["champion_on_sample"]["champion_after"] == 2


@pytest.mark.parametrize(
    "command",
    [
        ("run", "air-quality", "--sample", "--no-prefect"),
        ("predict", "air-quality", "inputs/readings.csv", "--sample"),
        ("rollback", "air-quality", "--sample"),
        ("gc",),
        ("status",),
    ],
)
def test_a_home_of_a_newer_layout_is_refused(
    tmp_path: Path, regrow: Regrow, command: tuple[str, ...]
) -> None:
    home = unpack_old_home(tmp_path)
    (home / "layout.json").write_text(json.dumps({"layout": LAYOUT + 1}))
    old = files_of(home)
    done = regrow(*command)
    assert done.returncode == 2
    assert "this home was written by a newer version of regrow" in done.stderr
    assert "Traceback" not in done.stderr
    assert files_of(home) == old


@pytest.mark.parametrize("text", ["", "[2]", '{"layout": null}', '{"version": 2}'])
def test_a_damaged_layout_file_is_reported(tmp_path: Path, text: str) -> None:
    (tmp_path / "layout.json").write_text(text)
    with pytest.raises(UserError, match="cannot be read"):
        ensure_layout(Home(tmp_path))
