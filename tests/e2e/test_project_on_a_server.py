"""A project on a server: its data change and a worker trains it again; and so does its schedule."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from regrow.scaffold.examples import write_customers
from regrow.scaffold.new import make_model
from tests.support.commands import wait_for
from tests.support.servers import ENDED, Server, run_server
from tests.support.upstreams import Upstream, serve

pytestmark = [pytest.mark.slow, pytest.mark.e2e]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with serve() as upstream:
        yield upstream


@pytest.fixture
def project(tmp_path: Path, upstream: Upstream) -> Path:
    """A project that `regrow new` makes of a file on a web server, trained in seconds."""
    folder = tmp_path / "project"
    folder.mkdir()
    write_customers(tmp_path / "customers.csv")
    upstream.publish("customers.csv", (tmp_path / "customers.csv").read_bytes())
    make_model(folder, "churn", data=f"{upstream.url}/customers.csv", target="churned")
    model = folder / "churn" / "model.py"
    model.write_text(
        model.read_text().replace(
            "        dropout: float = 0.1\n",
            "        dropout: float = 0.1\n        seeds: int = 1\n        epochs: int = 3\n",
        )
    )
    return folder


@pytest.fixture
def server(tmp_path: Path, project: Path) -> Iterator[Server]:
    with run_server(tmp_path, REGROW_PROJECT=str(project)) as server:
        yield server


def runs(server: Server, kind: str) -> list[dict[str, Any]]:
    found = server.flow_runs(*ENDED, flow="churn")
    return [run for run in found if (run["created_by"] or {}).get("type") == kind]


def test_new_data_and_the_schedule_let_a_worker_train_a_projects_model(
    server: Server, project: Path, upstream: Upstream
) -> None:
    declared = project / "regrow.toml"
    declared.write_text(declared.read_text().replace('"0 4 * * *"', '"* * * * *"'))
    server.regrow("deploy")
    with server.worker("local"):
        run_id = server.run_deployment("refresh/hourly")
        assert server.wait_for_end(run_id)["state_type"] == "COMPLETED"
        (first, *_) = wait_for("a run of the first data", lambda: runs(server, "AUTOMATION"))
        assert first["state_type"] == "COMPLETED", server.folder.joinpath("worker-local.log")
        (planned, *_) = wait_for("a run by the schedule", lambda: runs(server, "SCHEDULE"))
        assert planned["state_type"] == "COMPLETED"

        grown = pd.read_csv(io.BytesIO(upstream.files["customers.csv"]))
        grown = pd.concat([grown, grown.assign(customer_id=grown["customer_id"] + 10_000)])
        upstream.publish("customers.csv", grown.to_csv(index=False).encode())
        run_id = server.run_deployment("refresh/hourly")
        assert server.wait_for_end(run_id)["state_type"] == "COMPLETED"
        again = wait_for(
            "a run of the new data",
            lambda: [run for run in runs(server, "AUTOMATION") if run["id"] != first["id"]],
        )
        assert again[0]["state_type"] == "COMPLETED"
    (status,) = server.regrow("status", "churn")
    assert status["champion"]["version"] >= 1
    log = server.call("regrow", "log", "churn")
    assert "version 2" in log
