"""run --all and backfill: several runs in processes of their own, on a real Prefect server."""

from __future__ import annotations

import json
import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from regrow.base.errors import ProcessDied, UserError, is_transient
from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.operations.jobs import Job, run_job
from regrow.operations.retraining import (
    BackfillRequest,
    list_backfill,
    list_retraining,
    pair_versions,
)
from regrow.pipeline.request import make_request
from tests.conftest import SAMPLE, Regrow
from tests.support.commands import wait_for

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
    assert (good["version"], good["decision"]["hold"]) == (1, "override")
    log = json.loads(regrow("log", "air-quality", "--json").stdout)
    assert [entry["version"] for entry in log] == [1]


@pytest.mark.e2e
def test_retraining_goes_on_after_a_failure(
    regrow: Regrow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the deployment runs it: one model is killed and then has no data, the next is trained."""
    from prefect.client.orchestration import get_client
    from prefect.testing.utilities import prefect_test_harness

    from regrow.prefect.retrain_all import retrain_all

    monkeypatch.setenv("REGROW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    for name, value in NO_DATA.items():
        monkeypatch.setenv(name, value)
    with prefect_test_harness(server_startup_timeout=120):
        models = ["air-quality", "stacked-autoencoder"]
        threading.Thread(target=kill_job_process).start()
        state: Any = retrain_all(models=models, preset="quick", return_state=True)
        with get_client(sync_client=True) as client:
            attempts = {run.name: run.run_count for run in client.read_task_runs()}
        assert attempts == {"air-quality": 2, "stacked-autoencoder": 1}
        assert state.is_failed()
        assert state.message == "failed: air-quality"
        table: Any = state.result(raise_on_failure=False)
        from prefect.artifacts import Artifact

        shown: Any = Artifact.get("retrain-all")
        assert shown is not None
        assert "no location provided" in str(shown.data)
    assert table["failed"] == 1
    assert table["runs"]["stacked-autoencoder"]["decision"]["action"] == "first"
    assert "no location provided" in table["rows"][0][2]
    assert table["rows"][1][1] > 0


def find_job_process() -> int | None:
    """The process of a job that this process has started."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command, stat = (folder / "cmdline").read_bytes(), (folder / "stat").read_text()
        except OSError:
            continue
        parent = int(stat.rpartition(")")[2].split()[1])
        if parent == os.getpid() and b"regrow.operations.job_process" in command:
            return int(folder.name)
    return None


def kill_job_process() -> None:
    os.kill(wait_for("the process of the job", find_job_process), signal.SIGKILL)


def test_a_killed_job_may_be_tried_again_and_bad_data_is_reported_in_full(
    versions: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGROW_HOME", str(tmp_path / "home"))
    sources = {"air-quality": versions[0]}
    job = Job(name="january", request=make_request(get_spec("air-quality"), sources=sources))
    with ThreadPoolExecutor() as threads:
        future = threads.submit(run_job, job)
        kill_job_process()
        with pytest.raises(ProcessDied, match="ended with -9") as died:
            future.result(timeout=60)
    assert is_transient(died.value)
    with pytest.raises(UserError, match="the run january failed") as raised:
        run_job(job)
    assert not is_transient(raised.value)
    assert raised.value.received
    assert "line 2" in raised.value.received
    assert "Traceback" not in raised.value.received


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
    assert [(job.request.model, job.request.preset) for job in jobs] == [
        ("air-quality", "best"),
        ("stacked-autoencoder", "best"),
    ]
    assert {job.request.data for job in jobs} == {"real-or-sample"}
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
        assert (job.request.preset, job.request.config["seeds"]) == ("quick", 2)
        assert job.request.config["variants"]["all-sensors"]["epochs"] == 3
        assert job.request.sources == {"air-quality": path}


ERRORS: dict[str, tuple[list[str], str]] = {
    "nothing recorded": (["backfill", "deep-dream"], "files for its sources"),
    "files and versions": (
        ["backfill", "air-quality", "--source=air-quality=x", "--data-version=air-quality=1"],
        "either files or recorded versions",
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
    "a model and all": (["run", "air-quality", "--all"], "--all cannot be combined with a model"),
    "neither": (["run"], "either a model or --all is required"),
    "all with a setting": (["run", "--all", "--set", "seeds=1"], "a model, --config, --set"),
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
