"""A source changes upstream: on a real server with a real worker, the right model trains again.

One story, told against a local web server: first data, no news, the same news twice, better data,
worse data, bad data.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from regrow.base.home import Home
from regrow.base.project import list_models
from regrow.models.air_quality.spec import ALL_SENSORS
from regrow.prefect.refresh import describe, send
from regrow.sources.announcements import SourceCheck
from regrow.sources.versions import read_versions
from tests.support.commands import wait_for
from tests.support.servers import ENDED, Server, run_server
from tests.support.upstreams import Upstream, air_quality_zip, serve

pytestmark = [pytest.mark.slow, pytest.mark.e2e]
MODEL, SOURCE = "air-quality", "air-quality"
PATH = "air-quality/AirQualityUCI.zip"


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with serve() as upstream:
        yield upstream


@pytest.fixture
def server(tmp_path: Path, upstream: Upstream) -> Iterator[Server]:
    with run_server(tmp_path, REGROW_MIRROR=upstream.url) as server:
        server.regrow("deploy")
        variant = ALL_SENSORS.model_copy(update={"epochs": 1, "min_steps": 300})
        config = {"seeds": 1, "variants": {"all-sensors": variant.model_dump()}}
        server.set_parameters(f"{MODEL}/daily", preset="quick", config=config)
        with server.worker("local"):
            yield server


class Story:
    """The server's runs, told one by one."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.told: set[str] = set()

    def look(self) -> None:
        """A refresh on the worker."""
        run_id = self.server.run_deployment("refresh/hourly", sources=[SOURCE])
        run = self.server.wait_for_end(run_id)
        assert run["state_type"] == "COMPLETED", self.log()

    def trained(self) -> dict[str, Any]:
        """The one pipeline's run that came of it, when it has ended."""
        run: dict[str, Any] = wait_for("a run that was triggered", self.new_runs)[0]
        ended = self.server.wait_for_end(run["id"])
        self.told.add(run["id"])
        return ended

    def new_runs(self) -> list[dict[str, Any]]:
        """Runs of any pipeline that an automation started and that were not told yet."""
        everything = {"flow_runs": {"id": {"not_any_": list(self.told)}}}
        runs = self.server.post("flow_runs/filter", everything)
        return [
            run for run in runs if run["created_by"] and run["created_by"]["type"] == "AUTOMATION"
        ]

    def decisions(self) -> list[str]:
        path = self.server.home / "decisions" / f"{MODEL}.jsonl"
        return [json.loads(line)["action"] for line in path.read_text().splitlines()]

    def champion(self) -> int:
        (status,) = self.server.regrow("status", MODEL)
        return int(status["champion"]["champion_after"])

    def log(self) -> str:
        return (self.server.folder / "worker-local.log").read_text()[-8000:]

    def emit_again(self) -> None:
        """The last event once more, as after a kill between sending it and noting that."""
        version = read_versions(Home(self.server.home), SOURCE)[-1].version
        news = SourceCheck(
            source=SOURCE, outcome="changed", version=version, previous="", origin=""
        )
        with temporary_settings({PREFECT_API_URL: self.server.url}):
            asyncio.run(send(describe(news)))


def test_a_source_that_changes_upstream_trains_the_model_that_reads_it(
    server: Server, upstream: Upstream
) -> None:
    story = Story(server)

    # The first data, with wrong readings among those that are trained on.
    upstream.publish(PATH, air_quality_zip(noise=1.0))
    story.look()
    run = story.trained()
    assert run["state_type"] == "COMPLETED", story.log()
    assert run["name"].startswith(f"{MODEL} quick ")
    assert " data " in run["name"]
    assert run["parameters"]["versions"][SOURCE].startswith(run["name"].rpartition(" ")[2])
    assert story.decisions() == ["first"]

    # No news; and the same news a second time.
    bodies = upstream.bodies
    story.look()
    assert upstream.bodies == bodies
    story.emit_again()

    # Better data: the new model takes the champion's place.
    upstream.publish(PATH, air_quality_zip(1600))
    story.look()
    run = story.trained()
    assert run["state_type"] == "COMPLETED", story.log()
    assert story.decisions() == ["first", "promoted"]
    assert story.champion() == 2
    # Neither no news nor old news started anything in between.
    assert story.new_runs() == []

    # Worse data: a challenger and no more.
    upstream.publish(PATH, air_quality_zip(1700, noise=1.0))
    story.look()
    run = story.trained()
    assert run["state_type"] == "COMPLETED", story.log()
    assert story.decisions() == ["first", "promoted", "kept"]
    assert story.champion() == 2

    # Bad data: nothing is trained, and the failure says which expectation was not met.
    upstream.publish(PATH, air_quality_zip(1800, humidity_factor=40))
    story.look()
    run = story.trained()
    assert run["state_type"] == "FAILED"
    assert [task["name"] for task in server.task_runs(run["id"])] == [
        "download",
        "clean",
        "validate",
    ]
    only = {"artifacts": {"key": {"any_": [f"{MODEL}-failure"]}}}
    (failure,) = server.post("artifacts/filter", only)
    assert "relative_humidity_pct" in failure["data"]
    assert len(story.decisions()) == 3
    assert story.champion() == 2
    assert story.new_runs() == []
    for other in list_models():
        if other != MODEL:
            assert server.flow_runs(*ENDED, flow=other) == []
