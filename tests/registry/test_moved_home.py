"""Homes that were moved, copied or restored, and paths that programs tend to misread."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest

from regrow.base.addresses import database_address, database_path
from regrow.base.digests import digest_file
from regrow.base.errors import UserError
from regrow.base.settings import read_environment
from regrow.operations.predict import predict_files
from regrow.registry.lookup import read_standing
from regrow.registry.names import ChampionRef
from regrow.registry.publication import publish_release
from regrow.registry.reviews import roll_back
from regrow.registry.versions import Registry
from tests.conftest import QUICK_RUN, SAMPLE, Regrow
from tests.support.registries import bias_of, judge_by_bias, make_release

ODD = "a b#c%20d?e=f&g;h é日 [1] 'x' {y}"
NAMES = ["a b", "a#b", "a%20b", "a?b=c", "é日本", ODD]


def predict(home: Path, version: int | None = None) -> pd.DataFrame:
    settings = read_environment({"REGROW_HOME": str(home)})
    ref = ChampionRef("air-quality", sample=True, version=version)
    return predict_files(ref, settings, [SAMPLE]).frame


def digests_of(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): digest_file(path) for path in files}


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_is_used_and_written_and_leaves_the_original_alone(
    name: str, trained: Path, tmp_path: Path
) -> None:
    original = Path(shutil.copytree(trained, tmp_path / "original"))
    before = digests_of(original)
    home = Path(shutil.copytree(original, tmp_path / name))
    pd.testing.assert_frame_equal(predict(home), predict(trained))
    settings = read_environment({"REGROW_HOME": str(home)})
    registry = Registry(settings.tracking_uri, "model", settings.home)
    for key, bias in {"a": 3.0, "b": 2.0}.items():
        publish_release(registry, make_release(tmp_path, key, bias), judge_by_bias(key, bias))
    moved = home.rename(tmp_path / "moved")
    settings = read_environment({"REGROW_HOME": str(moved)})
    registry = Registry(settings.tracking_uri, "model", settings.home)
    assert [bias_of(registry.load(version)) for version in (1, 2)] == [3.0, 2.0]
    registry.attach(registry.find(2).run_id, [(SAMPLE, "")])
    assert registry.artifact(registry.find(2), SAMPLE.name).is_relative_to(moved)
    registry.remove_runs("b")
    assert roll_back(registry).champion_after == 1
    assert read_standing(settings.tracking_uri, "model", settings.home).champion == 1
    assert digests_of(original) == before
    assert not list(tmp_path.glob("[!omr]*"))


@pytest.mark.e2e
def test_a_run_in_a_copy_with_an_odd_name(trained: Path, regrow: Regrow, tmp_path: Path) -> None:
    home = Path(shutil.copytree(trained, tmp_path / ODD))
    again = regrow(*QUICK_RUN, home=home)
    assert again.returncode == 0, again.stderr
    summary = json.loads(again.stdout)
    assert all(stage["cached"] for stage in summary["stages"])
    assert Path(summary["report"]).is_relative_to(home)
    link = tmp_path / "link"
    link.symlink_to(home)
    done = regrow(*QUICK_RUN, "--set", "validation_share=0.3", home=link)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["version"] == 2
    pd.testing.assert_frame_equal(predict(link, 1), predict(trained))
    assert len(predict(link, 2))


def test_addresses_of_databases_and_back() -> None:
    for name in [*NAMES, "plain"]:
        path = Path("/homes") / name / "mlflow.db"
        assert database_path(database_address(path)) == path
    assert database_path("sqlite:////homes/mlflow.db?timeout=3") == Path("/homes/mlflow.db")
    assert database_path("postgresql://mlflow@db/mlflow") is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("/".join(["n" * 99] * 7), "at most 470 bytes"),
        ("é" * 130, "File name too long"),
        ("file/below", "is not a directory"),
        ("file", "is not a directory"),
        ("loop", "loop"),
        (os.fsdecode(b"\xff"), "can't encode"),
        ("\0", "null"),
    ],
)
def test_a_home_that_cannot_work_is_refused_at_the_start(
    name: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(UserError, match="this path cannot be used for the home") as raised:
        read_environment({"REGROW_HOME": str(tmp_path / name)})
    assert said in f"{raised.value.received} {raised.value.expected}"


def test_sqlite_opens_the_registry_of_the_longest_home(tmp_path: Path) -> None:
    rest = 470 - len(os.fsencode(tmp_path)) - 1
    names = [("n" * rest)[start : start + 99] for start in range(0, rest, 100)]
    home = read_environment({"REGROW_HOME": str(tmp_path / "/".join(names))}).home
    path = home.path / ".mlflow.db.making" / "mlflow.db"
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE experiments (name TEXT)")
