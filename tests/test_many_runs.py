"""run --all and backfill: several runs in processes of their own, on a real Prefect server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from regrow.engine.config import read_environment
from regrow.engine.errors import UserError
from regrow.engine.retrain import BackfillRequest, list_backfill, list_retraining, pair_versions
from regrow.models import get_spec
from tests.conftest import SAMPLE, Regrow

NO_DATA = {
    "REGROW_MIRROR": "no-mirror",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "NO_PROXY": "127.0.0.1",
}


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two data versions: a spoiled one, and a good one of fewer hours."""
    folder = tmp_path_factory.mktemp("versions")
    spoiled, good = folder / "january.csv", folder / "february.csv"
    spoiled.write_bytes(SAMPLE.read_bytes().replace(b";698;", b";n/a;", 1))
    lines = SAMPLE.read_bytes().splitlines(keepends=True)
    good.write_bytes(b"".join([*lines[:1401], *lines[-3:]]))
    return [spoiled, good]


@pytest.mark.e2e
def test_a_backfill_goes_through_its_versions_in_order(
    regrow: Regrow, versions: list[Path]
) -> None:
    sources = [f"--source=air-quality={path}" for path in versions]
    done = regrow("backfill", "air-quality", "--preset", "quick", *sources, "--json")
    assert done.returncode == 2
    assert "1 of 2 runs failed" in done.stderr
    assert "line 2" in done.stderr
    assert "Traceback" not in done.stderr
    table = json.loads(done.stdout)
    assert [row[0] for row in table["rows"]] == ["1: january.csv", "2: february.csv"]
    spoiled, good = table["runs"].values()
    assert "january.csv" in spoiled
    assert (good["version"], good["decision"]["action"]) == (1, "first")
    log = json.loads(regrow("log", "air-quality", "--json").stdout)
    assert [entry["version"] for entry in log] == [1]


@pytest.mark.e2e
def test_retraining_goes_on_after_a_failure(
    regrow: Regrow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the deployment runs it: one model has no data here, the next one is trained."""
    from prefect.testing.utilities import prefect_test_harness

    from flows.retrain_all import retrain_all

    monkeypatch.setenv("REGROW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    for name, value in NO_DATA.items():
        monkeypatch.setenv(name, value)
    with prefect_test_harness(server_startup_timeout=120):
        models = ["air-quality", "stacked-autoencoder"]
        state = retrain_all(models=models, preset="quick", return_state=True)
        assert state.is_failed()
        assert state.message == "failed: air-quality"
        table: Any = state.result(raise_on_failure=False)
        from prefect.artifacts import Artifact

        shown: Any = Artifact.get("retrain-all")
        assert shown is not None
        assert "no place gave" in str(shown.data)
    assert table["failed"] == 1
    assert table["runs"]["stacked-autoencoder"]["decision"]["action"] == "first"
    assert "no place gave" in table["rows"][0][2]
    assert table["rows"][1][1] > 0


def test_versions_are_paired_in_the_order_given() -> None:
    a, b, c = Path("a"), Path("b"), Path("c")
    assert pair_versions([("x", a), ("x", b)], "--source") == [{"x": a}, {"x": b}]
    assert pair_versions([("x", a), ("y", c), ("x", b)], "--source") == [
        {"x": a, "y": c},
        {"x": b, "y": c},
    ]
    with pytest.raises(UserError, match="the same number") as raised:
        pair_versions([("x", a), ("x", b), ("x", c), ("y", a), ("y", b)], "--source")
    assert raised.value.received == "3 of x, 2 of y"


def test_all_models_are_asked_for_their_first_preset_or_one_that_all_have() -> None:
    specs = [get_spec("air-quality"), get_spec("stacked-autoencoder")]
    jobs = list_retraining(specs, data="real-or-sample")
    assert [(job.model, job.options) for job in jobs] == [(s.name, ["--or-sample"]) for s in specs]
    with pytest.raises(UserError, match="stacked-autoencoder has no preset 'book'"):
        list_retraining(specs, preset="book")


def test_a_backfills_settings_reach_every_run(versions: list[Path]) -> None:
    request = BackfillRequest(
        model="air-quality",
        files=[{"air-quality": path} for path in versions],
        preset="quick",
        overrides={"seeds": 2, "variants": {"all-sensors": {"epochs": 3}}},
    )
    jobs = list_backfill(get_spec("air-quality"), request, read_environment())
    for job, path in zip(jobs, versions, strict=True):
        assert job.options == [
            *("--preset", "quick", "--set", "seeds=2"),
            *("--set", "variants.all-sensors.epochs=3"),
            f"--source=air-quality={path}",
        ]


ERRORS: dict[str, tuple[list[str], str]] = {
    "nothing recorded": (["backfill", "deep-dream"], "files of its sources"),
    "files and versions": (
        ["backfill", "air-quality", "--source=air-quality=x", "--data-version=air-quality=1"],
        "not both",
    ),
    "no such version": (
        ["backfill", "air-quality", "--data-version", "air-quality=abc"],
        "no version 'abc'",
    ),
    "no file": (
        ["backfill", "air-quality", "--source", "air-quality=nothing.csv"],
        "data version 1 cannot be read",
    ),
    "unknown source": (["backfill", "air-quality", "--source", "water=x"], "no source 'water'"),
    "a model and all": (["run", "air-quality", "--all"], "run takes a model, or --all"),
    "neither": (["run"], "run needs a model, or --all"),
    "all with a setting": (["run", "--all", "--set", "seeds=1"], "none of --set"),
    "a preset that not all have": (["run", "--all", "--preset", "book"], "has no preset 'book'"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_a_users_mistake_is_one_message_and_exit_code_2(name: str, regrow: Regrow) -> None:
    arguments, said = ERRORS[name]
    done = regrow(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def test_help_has_examples(regrow: Regrow) -> None:
    for command in ("backfill", "run"):
        done = regrow(command, "--help", env={"COLUMNS": "200"})
        assert f"regrow {command}" in done.stdout.partition("Example")[2]
