"""A stage on a second machine, a killed process and a power cut: real workers on a real server.

The second machine is a worker of the pool `gpu` with a working directory of its own and the shared
store mounted at another path.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regrow.models.air_quality.spec import ALL_SENSORS
from tests.support.commands import list_files, wait_for
from tests.support.servers import ENDED, S3_ACCESS, Server, run_s3, run_server, stop

pytestmark = [pytest.mark.slow, pytest.mark.e2e]
MODEL = "air-quality"
# The least that Prefect allows is a heartbeat every 30 s.
DEAD_AFTER_S = 60
# Long enough to be killed in the middle.
VARIANT = ALL_SENSORS.model_copy(update={"epochs": 40, "min_steps": 20_000})
PARAMETERS: dict[str, Any] = {
    "preset": "quick",
    "data": "sample",
    "config": {"seeds": 1, "variants": {"all-sensors": VARIANT.model_dump()}},
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with run_server(tmp_path_factory.mktemp("workers")) as server:
        server.regrow("deploy")
        set_patience(server, "regrow-dead-runs", DEAD_AFTER_S)
        yield server


def set_patience(server: Server, name: str, within_s: int) -> None:
    """How long an automation waits for what it expects."""
    (automation,) = server.post("automations/filter", {"automations": {"name": {"any_": [name]}}})
    automation["trigger"]["within"] = within_s
    fields = ("name", "description", "enabled", "trigger", "actions")
    changed = {field: automation[field] for field in fields}
    server.post(f"automations/{automation['id']}", changed, method="PUT")


class Machine:
    """A worker, and what it is to pull its plug."""

    def __init__(self, server: Server, pool: str) -> None:
        folder = server.folder / f"machine-{pool}"
        folder.mkdir(exist_ok=True)
        mount = folder / "mount"
        if not mount.exists():
            server.home.mkdir(exist_ok=True)
            mount.symlink_to(server.home)
        home = {"REGROW_HOME": str(mount), "PREFECT_HOME": str(folder / "prefect")}
        self.log = server.folder / f"worker-{pool}.log"
        self.process: subprocess.Popen[bytes] = server.start_worker(pool, cwd=folder, **home)

    def kill_run(self) -> None:
        """What the kernel does when memory is short: the run is gone, the worker is not."""
        for pid in descendants(self.process.pid):
            os.kill(pid, signal.SIGKILL)

    def cut_power(self) -> None:
        everything = [self.process.pid, *descendants(self.process.pid)]
        for pid in everything:
            os.kill(pid, signal.SIGKILL)
        self.process.wait(10)


def descendants(pid: int) -> list[int]:
    """All children of a process and theirs, by /proc."""
    parents: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[0] != "Z":
            parents.setdefault(int(fields[1]), []).append(int(stat.parent.name))
    found: list[int] = []
    waiting = [pid]
    while waiting:
        children = parents.get(waiting.pop(), [])
        found += children
        waiting += children
    return found


def stages(server: Server) -> list[dict[str, Any]]:
    """The runs that were sent to the pool gpu, the first first."""
    return server.flow_runs(*ENDED, "RUNNING", flow="stage")


def wait_for_training(server: Server, number: int) -> dict[str, Any]:
    """The so-manieth stage that was sent, as soon as it trains."""

    def training() -> Any:
        sent = stages(server)
        if len(sent) < number or sent[number - 1]["state_type"] != "RUNNING":
            return None
        tasks = server.task_runs(sent[number - 1]["id"])
        ready = list_files(server.home / "scratch" / MODEL / "train")
        return sent[number - 1] if ready and tasks and tasks[0]["state_type"] == "RUNNING" else None

    run: dict[str, Any] = wait_for(f"training number {number}", training)
    return run


def second_try(server: Server, run_id: str) -> bool:
    """Whether the run trains by itself, after what it had sent away came to nothing."""
    return any(
        task["name"] == "train" and task["run_count"] == 2 and task["state_type"] == "RUNNING"
        for task in server.task_runs(run_id)
    )


def test_a_stage_on_a_second_machine_outlives_a_killed_process_and_a_power_cut(
    server: Server,
) -> None:
    here, there = Machine(server, "local"), Machine(server, "gpu")
    try:
        run_id = server.run_deployment(f"{MODEL}/daily", **PARAMETERS, on={"train": "gpu,here"})

        # The stage's process dies: its worker says so, and the run goes on with it itself.
        first = wait_for_training(server, 1)
        there.kill_run()
        assert server.wait_for_end(first["id"])["state_type"] == "CRASHED"
        wait_for("the second try", lambda: second_try(server, run_id))
        assert server.read_run(run_id)["state_type"] == "RUNNING"

        # Both machines are gone: nobody is left to say so but the server.
        here.cut_power()
        there.cut_power()
        run = server.wait_for_end(run_id)
        assert run["state_type"] == "CRASHED"
        assert "No heartbeat" in run["state"]["message"]
        assert any((server.home / "scratch" / MODEL / "train").rglob("*"))

        # The next run goes on where that one was.
        here, there = Machine(server, "local"), Machine(server, "gpu")
        next_id = server.run_deployment(f"{MODEL}/daily", **PARAMETERS, on={"train": "gpu"})
        run = server.wait_for_end(next_id)
    finally:
        for machine in (here, there):
            stop(machine.process)
    assert run["state_type"] == "COMPLETED", here.log.read_text()[-8000:]
    tasks = server.task_runs(next_id)
    names = {task["name"]: task["state_name"] for task in tasks}
    for done in ("download", "clean", "validate"):
        assert names[done] == "Cached"
    assert names["train"] == "Completed"
    assert [stage["state_type"] for stage in stages(server)] == ["CRASHED", "COMPLETED"]
    assert not list(server.home.glob("stage-results/*"))
    assert not list(server.home.glob("scratch/*"))
    # The run's page leads to the stage's: a task run of the parent stands for it.
    assert stages(server)[-1]["parent_task_run_id"] in {task["id"] for task in tasks}
    # Those that have ended stay what they were, though nothing is heard of them any more.
    assert server.read_run(next_id)["state_type"] == "COMPLETED"


def run_here(server: Server, home: Path, on: str, **env: str) -> subprocess.CompletedProcess[str]:
    command = (
        "-m",
        "regrow.cli",
        "run",
        MODEL,
        "--sample",
        "--preset",
        "quick",
        "--set",
        "seeds=1",
    )
    return subprocess.run(
        [sys.executable, *command, "--on", on],
        env={**server.env, "REGROW_HOME": str(home), **env},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def test_a_stage_that_no_worker_takes_is_done_by_the_next_that_is_named(
    server: Server, tmp_path: Path
) -> None:
    before = len(server.flow_runs("CANCELLED", flow="stage"))
    done = run_here(server, tmp_path, "train=gpu,here")
    assert done.returncode == 0, done.stderr
    (*_, sent) = server.flow_runs("CANCELLED", flow="stage")
    assert len(server.flow_runs("CANCELLED", flow="stage")) == before + 1
    assert "no worker took it" in sent["state"]["message"]
    (train,) = [
        task
        for task in server.post("task_runs/filter", {"task_runs": {"name": {"any_": ["train"]}}})
        if task["run_count"] == 2 and task["state_type"] == "COMPLETED"
    ]
    assert train["flow_run_id"]


def test_a_run_that_a_worker_took_and_never_began_is_marked_crashed(server: Server) -> None:
    set_patience(server, "regrow-stuck-runs", 10)
    run_id = server.run_deployment(f"{MODEL}/daily")
    server.post(f"flow_runs/{run_id}/set_state", {"state": {"type": "PENDING"}})
    run = server.wait_for_end(run_id, 180)
    set_patience(server, "regrow-stuck-runs", 1800)  # a busy machine takes a while to begin
    assert run["state_type"] == "CRASHED"
    assert "Not started" in run["state"]["message"]


def test_two_machines_without_a_disk_in_common_share_results_by_object_storage(
    server: Server, tmp_path: Path
) -> None:
    with run_s3() as address:
        env = {**S3_ACCESS, "REGROW_SHARED_STORE": address.format("regrow")}
        there = {**env, "REGROW_HOME": str(tmp_path / "there")}
        with server.worker("gpu", cwd=tmp_path, **there):
            done = run_here(server, tmp_path / "here", "train=gpu", **env)
        assert done.returncode == 0, done.stderr
    trained = [list(tmp_path.glob(f"{home}/store/*/train/*")) for home in ("there", "here")]
    assert [path.name for path in trained[0]] == [path.name for path in trained[1]]
    # The worker fetched what the stage reads, and made nothing else.
    made = {path.parent.name for path in tmp_path.glob("there/store/*/*/*")}
    assert made == {"clean", "train"}


def test_a_pool_that_is_not_there_is_named(server: Server, tmp_path: Path) -> None:
    done = run_here(server, tmp_path, "train=gpu,moon")
    assert done.returncode == 2
    assert "stage/moon" in done.stderr
    assert "Traceback" not in done.stderr
