"""A real Prefect server with a real worker: deployments, schedules, and a run on the worker.

Two of Prefect's dependencies, if too new, leave a server that looks healthy and schedules nothing;
this is the test that notices.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from regrow.models import list_models
from tests.conftest import REPOSITORY
from tests.servers import Server, run_server, wait_for

pytestmark = pytest.mark.slow
AUTH = "regrow:kein Geheimnis"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with a password: everything here goes through it."""
    folder = tmp_path_factory.mktemp("server")
    auth = {"PREFECT_SERVER_API_AUTH_STRING": AUTH, "PREFECT_API_AUTH_STRING": AUTH}
    with run_server(folder, **auth) as server:
        yield server


@pytest.fixture(scope="module")
def deployed(server: Server) -> list[str]:
    done: list[str] = server.regrow("deploy")
    return done


def inventory(server: Server) -> dict[str, Any]:
    """What `make deploy` makes, without ids and times."""
    deployments = server.post("deployments/filter", {})
    queues = server.post("work_queues/filter", {})
    return {
        "deployments": sorted(
            (d["name"], d["entrypoint"], d["work_pool_name"], d["work_queue_name"], str(d["tags"]))
            for d in deployments
        ),
        "schedules": sorted(s["schedule"]["cron"] for d in deployments for s in d["schedules"]),
        "automations": sorted(a["name"] for a in server.post("automations/filter", {})),
        "pools": sorted(
            (pool["name"], pool["type"], pool["concurrency_limit"])
            for pool in server.post("work_pools/filter", {})
        ),
        "queues": sorted((q["name"], q["concurrency_limit"] or 0) for q in queues),
    }


def test_deploying_makes_pools_automations_and_deployments_and_again_nothing_more(
    server: Server, deployed: list[str]
) -> None:
    made = inventory(server)
    declared = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())["deployments"]
    assert len(made["deployments"]) == len(declared)
    assert [name for name, *_ in made["deployments"]].count("daily") == len(list_models())
    assert ("gpu", "process", 1) in made["pools"]
    assert ("training", 2) in made["queues"]
    assert {"regrow-dead-runs", "regrow-stuck-runs"} <= set(made["automations"])
    assert "air-quality-when-air-quality-refreshed" in made["automations"]
    assert server.regrow("deploy") == deployed
    server.prefect("deploy", "--all")  # Prefect's own command, by itself
    assert inventory(server) == made


def test_every_pipeline_has_a_form_a_limit_and_a_description(
    server: Server, deployed: list[str]
) -> None:
    for deployment in server.post("deployments/filter", {}):
        assert deployment["description"]
        assert deployment["tags"]
        properties = deployment["parameter_openapi_schema"]["properties"]
        if deployment["name"] == "daily":
            assert {"preset", "config", "data", "sources", "versions", "on"} <= set(properties)
            assert deployment["global_concurrency_limit"]["limit"] == 1
            assert deployment["concurrency_options"]["collision_strategy"] == "ENQUEUE"
            assert deployment["schedules"][0]["schedule"]["timezone"] == "Etc/UTC"


def test_without_the_password_nobody_gets_in(server: Server, tmp_path: Path) -> None:
    assert httpx.post(f"{server.url}/flow_runs/filter", json={}).status_code == 401
    env = {name: value for name, value in server.env.items() if "AUTH_STRING" not in name}
    for command in (["deploy"], ["run", "air-quality", "--sample"]):
        done = subprocess.run(
            [sys.executable, "-m", "regrow.cli", *command],
            env={**env, "REGROW_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 2
        assert "PREFECT_API_AUTH_STRING" in done.stderr
        assert "Traceback" not in done.stderr


def test_without_a_server_deploying_says_what_is_missing(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    done = subprocess.run(
        [sys.executable, "-m", "regrow.cli", "deploy"],
        env={**env, "REGROW_HOME": str(tmp_path), "PREFECT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 2
    assert "make ui" in done.stderr


def test_the_schedule_makes_runs_and_a_worker_does_one(server: Server, deployed: list[str]) -> None:
    scheduled = wait_for(
        "a scheduled run", lambda: server.flow_runs("SCHEDULED", flow="air-quality")
    )
    assert all(run["auto_scheduled"] for run in scheduled)
    run_id = server.run_deployment("air-quality/daily", preset="quick", data="sample")
    with server.worker("local"):
        run = server.wait_for_end(run_id)
    assert run["state_type"] == "COMPLETED", (server.folder / "worker-local.log").read_text()
    assert (server.home / "reports" / "air-quality.sample-v1.html").is_file()
    # What the automation for dead runs asks for is refused for one that has ended.
    asked = server.post(f"flow_runs/{run_id}/set_state", {"state": {"type": "CRASHED"}})
    assert asked["status"] == "ABORT"
    assert server.read_run(run_id)["state_type"] == "COMPLETED"
