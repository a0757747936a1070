"""Backups: consistent while runs go on, checked before they are restored, whole or not there."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from regrow.base.digests import digest_file
from regrow.base.errors import DataError, UserError
from regrow.base.home import Home
from regrow.base.locks import exclusive, is_held
from regrow.base.settings import Settings, read_environment
from regrow.cli.doctor import _backup
from regrow.operations.backup import BACKUP, write_backup
from regrow.operations.predict import predict_files
from regrow.operations.restore import restore_backup
from regrow.registry.champions import open_registry
from regrow.registry.gate import read_decisions
from regrow.registry.names import ChampionRef
from regrow.registry.publication import decision_on
from regrow.sources.versions import Version, read_versions, record_version
from regrow.store.entry import FileInfo
from tests.conftest import QUICK_RUN, SAMPLE, Regrow
from tests.support.commands import REGROW, Launcher, list_files, own_environment, wait_for

CHAMPION = ChampionRef("air-quality", sample=True)


def settings_of(home: Path) -> Settings:
    return read_environment({"REGROW_HOME": str(home)})


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "home"))


def contents_of(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): digest_file(path) for path in list_files(folder)}


def predict(home: Path) -> pd.DataFrame:
    return predict_files(CHAMPION, settings_of(home), [SAMPLE]).frame


def check_home(home: Path) -> int:
    """Log, alias and versions agree, and every version has its model; how many there are."""
    registry = open_registry(CHAMPION, settings_of(home))
    log, versions = read_decisions(registry.decisions), registry.versions()
    champion = registry.champion()
    assert champion is not None
    assert log[-1].champion_after == int(champion.version)
    assert {decision.version for decision in log} == {int(v.version) for v in versions}
    for version in versions:
        assert decision_on(version) in log
        assert registry.model_file(version).is_relative_to(home)
        assert registry.artifact(version, "profile.json").is_file()
    return len(versions)


def test_a_restored_home_predicts_identically_at_another_path(home: Path, tmp_path: Path) -> None:
    before = predict(home)
    data = home / "downloads" / "ab" / ("ab" * 32)
    data.parent.mkdir(parents=True)
    data.write_bytes(b"what upstream no longer has")
    file = FileInfo(sha256=data.name, bytes=data.stat().st_size)
    recorded = Version(source="air-quality", version="1", declared="0", file=file, origin="", at="")
    record_version(Home(home), recorded)
    made = write_backup(tmp_path / "backup.zip", settings_of(home))
    assert made["champions"] == {"air-quality.sample": 1}
    assert (made["left_out"], made["damaged"]) == ([], [])
    place = tmp_path / "a place é" / "home #2"
    place.mkdir(parents=True)
    shutil.rmtree(home)
    found = restore_backup(tmp_path / "backup.zip", Home(place))
    assert (found["versions"], found["champions"]) == (1, made["champions"])
    pd.testing.assert_frame_equal(predict(place), before)
    assert check_home(place) == 1
    assert read_versions(Home(place), "air-quality") == [recorded]
    assert (place / "downloads" / "ab" / data.name).read_bytes().startswith(b"what upstream")
    assert not list(place.parent.glob(".*"))
    with closing(sqlite3.connect(place / "mlflow.db")) as database:
        assert str(home) not in "".join(database.iterdump())


@pytest.mark.slow
@pytest.mark.e2e
@pytest.mark.e2e
def test_the_same_training_after_a_restore_is_the_same_version(
    home: Path, launcher: Launcher, tmp_path: Path
) -> None:
    path, place = tmp_path / "b.zip", tmp_path / "restored" / "home"
    write_backup(path, settings_of(home))
    restore_backup(path, Home(place))
    assert not Home(place).store.exists()  # so that all of it is done again
    environment = {**own_environment(tmp_path), "REGROW_HOME": str(place)}
    done = launcher.run(*REGROW, *QUICK_RUN, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert not any(stage["cached"] for stage in summary["stages"])
    assert (summary["version"], summary["decision"]["action"]) == (1, "first")
    assert check_home(place) == 1
    (before,) = read_decisions(Home(home).decisions / f"{CHAMPION.registered}.jsonl")
    assert read_decisions(Home(place).decisions / f"{CHAMPION.registered}.jsonl") == [before]


def test_a_backup_is_consistent_while_a_run_publishes(
    home: Path, launcher: Launcher, tmp_path: Path
) -> None:
    short = [f"variants.{name}.min_steps=50" for name in ("all-sensors", "without-s2")]
    change = [argument for value in short for argument in ("--set", value)]
    lock = Home(home).registry_lock(CHAMPION.registered)
    command = launcher.start(*REGROW, *QUICK_RUN, *change, env=own_environment(tmp_path), cwd=home)
    numbers: list[int] = []
    waited = False
    while command.poll() is None:
        publishing = is_held(lock)
        waited |= publishing
        path, place = tmp_path / f"{len(numbers)}.zip", tmp_path / f"restored {len(numbers)}"
        write_backup(path, settings_of(home))
        restore_backup(path, Home(place))
        numbers.append(check_home(place))
        # A backup that finds the lock taken has what was published meanwhile.
        assert not publishing or numbers[-1] == 2
        shutil.rmtree(place)
        wait_for("a publication", lambda: is_held(lock) or command.poll() is not None, every_s=0.01)
    assert command.returncode == 0, command.stderr.read_text()
    assert waited
    assert numbers[0] == 1
    assert numbers == sorted(numbers)


def test_a_damaged_backup_is_refused_and_nothing_stored(home: Path, tmp_path: Path) -> None:
    path, damaged, place = tmp_path / "b.zip", tmp_path / "damaged.zip", tmp_path / "new" / "home"
    write_backup(path, settings_of(home))
    data, chance = path.read_bytes(), random.Random(7)
    for share in (0.0, 0.3, 0.999):
        damaged.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(DataError, match=r"damaged|neither a zip"):
            restore_backup(damaged, Home(place))
    refused = 0
    for _ in range(25):
        changed = bytearray(data)
        changed[chance.randrange(len(data))] ^= 0x41
        damaged.write_bytes(changed)
        try:
            restore_backup(damaged, Home(place))
        except DataError:
            refused += 1
            assert list_files(tmp_path / "new") == []
        else:  # a date or another detail of the archive that is not stored
            shutil.rmtree(place)
    assert refused > 20


def test_nothing_is_overwritten(home: Path, tmp_path: Path) -> None:
    path = tmp_path / "backup.zip"
    write_backup(path, settings_of(home))
    before = contents_of(tmp_path)
    with pytest.raises(UserError, match="home is not empty"):
        restore_backup(path, Home(home))
    with pytest.raises(UserError, match="the backup already exists"):
        write_backup(path, settings_of(home))
    with exclusive(Home(home).lock("backup")), pytest.raises(UserError, match="another backup"):
        write_backup(tmp_path / "other.zip", settings_of(home))
    with pytest.raises(UserError, match="nothing to back up"):
        write_backup(tmp_path / "other.zip", settings_of(tmp_path / "absent"))
    with pytest.raises(UserError, match="no such backup"):
        restore_backup(tmp_path / "other.zip", Home(tmp_path / "absent"))
    assert contents_of(tmp_path) == before


def test_a_backup_of_a_newer_regrow_is_refused(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regrow.operations.backup.LAYOUT", 99)
    write_backup(tmp_path / "backup.zip", settings_of(home))
    with pytest.raises(UserError, match="newer version of regrow"):
        restore_backup(tmp_path / "backup.zip", Home(tmp_path / "new"))
    assert not (tmp_path / "new").exists()


def test_a_killed_backup_or_restore_leaves_nothing_that_looks_whole(
    home: Path, launcher: Launcher, tmp_path: Path
) -> None:
    registry = open_registry(CHAMPION, settings_of(home))
    with (registry.artifact(registry.find(None), "") / "large").open("wb") as stream:
        stream.truncate(200 * 2**20)
    path, place = tmp_path / "backups" / "b.zip", tmp_path / "restored" / "home"
    environment = own_environment(tmp_path)

    def kill_at(found: Callable[[], Any], *arguments: str | Path, **more: str) -> None:
        command = launcher.start(*REGROW, *arguments, env=environment | more, cwd=tmp_path)
        try:
            wait_for("its temporary file", found, timeout_s=60, every_s=0.002)
        finally:
            command.kill()
        assert command.returncode == -9

    kill_at(lambda: list(path.parent.glob(".writing-*")), "backup", path)
    assert not path.exists()
    assert not Home(home).last_backup.exists()
    write_backup(path, settings_of(home))
    kill_at(
        lambda: [file for file in list_files(place.parent) if file.name == "large"],
        *("restore", path),
        REGROW_HOME=str(place),
    )
    assert not place.exists()
    restore_backup(path, Home(place))
    assert check_home(place) == 1
    assert [found.name for found in place.parent.iterdir()] == ["home"]


def test_what_is_not_contained_is_said(home: Path, tmp_path: Path) -> None:
    def left_out(tracking_uri: str) -> str:
        settings = replace(settings_of(home), tracking_uri=tracking_uri)
        path = tmp_path / f"{time.monotonic_ns()}.zip"
        return json.dumps(write_backup(path, settings)["left_out"])

    assert left_out(settings_of(home).tracking_uri) == "[]"
    assert "the registry at http://mlflow:5000" in left_out("http://mlflow:5000")
    said = left_out("postgresql://mlflow:secret-word@db/mlflow")
    assert "pg_dump" in said
    assert "secret-word" not in said
    assert ".backup" in left_out(f"sqlite:///{tmp_path / 'other.db'}")


def test_a_damaged_model_is_reported(home: Path, tmp_path: Path) -> None:
    registry = open_registry(CHAMPION, settings_of(home))
    registry.model_file(registry.find(None)).write_bytes(b"something else")
    made = write_backup(tmp_path / "backup.zip", settings_of(home))
    [said] = made["damaged"]
    assert said.startswith("air-quality.sample version 1: ")
    assert said.endswith("model.keras differs from the registered file")


def test_doctor_tells_the_age_of_the_last_backup(home: Path, tmp_path: Path) -> None:
    assert _backup(Home(tmp_path / "new"))["level"] == "ok"
    assert _backup(Home(home))["level"] == "warn"
    write_backup(tmp_path / "backup.zip", settings_of(home))
    check = _backup(Home(home))
    assert check["level"] == "ok"
    assert check["found"].startswith("0 hours old")
    last = json.loads(Home(home).last_backup.read_text())
    last["at"] = (datetime.now(UTC) - timedelta(days=8, hours=1)).isoformat()
    Home(home).last_backup.write_text(json.dumps(last))
    check = _backup(Home(home))
    assert check["level"] == "warn"
    assert check["found"].startswith("8 days old")


def test_the_commands(home: Path, regrow: Regrow, tmp_path: Path) -> None:
    done = regrow("backup", "b.zip")
    assert done.returncode == 0, done.stderr
    assert "champion: air-quality.sample version 1" in done.stdout
    assert BACKUP.listing_name not in [path.name for path in tmp_path.iterdir()]
    done = regrow("restore", "b.zip")
    assert done.returncode == 2
    assert "home is not empty" in done.stderr
    done = regrow("restore", "b.zip", "--json", home=tmp_path / "new")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["home"] == str(tmp_path / "new")
