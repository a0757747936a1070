"""The flows on a real Prefect server: task runs, states, artifacts, retries, help on failure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regrow.pipeline.stages import STAGES
from tests.conftest import REPOSITORY
from tests.support.http_servers import Chat, Handler, serve_http
from tests.support.projects import write_project
from tests.support.servers import use_server
from tests.support.upstreams import serve

pytestmark = pytest.mark.slow
SAMPLE = REPOSITORY / "data" / "samples" / "air-quality.csv"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """One Prefect server of its own for this file."""
    with use_server(tmp_path_factory.mktemp("prefect")):
        yield


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(autouse=True)
def environment(home: Path, server: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGROW_HOME", str(home))
    monkeypatch.delenv("REGROW_MIRROR", raising=False)


def run_flow(**parameters: Any) -> Any:
    from flows.models import air_quality

    return air_quality(preset="quick", return_state=True, **parameters)


def find_runs(state: Any) -> tuple[Any, list[Any]]:
    """The flow run behind a state, and its task runs in order of their start."""
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterId

    with get_client(sync_client=True) as client:
        flow_run = client.read_flow_run(state.state_details.flow_run_id)
        only = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run.id]))
        task_runs = client.read_task_runs(flow_run_filter=only)
    return flow_run, sorted(task_runs, key=lambda run: run.start_time or run.expected_start_time)


def read_artifact(key: str) -> Any:
    from prefect.artifacts import Artifact

    return Artifact.get(key)


def test_a_run_has_six_tasks_named_after_the_stages_and_leaves_artifacts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from prefect.variables import Variable

    from regrow.prefect import artifacts

    # This training is too short for a bar.
    monkeypatch.setattr(artifacts, "FIRST_UPDATE_S", 0.0)
    monkeypatch.setattr(artifacts, "UPDATE_INTERVAL_S", 1.0)
    state = run_flow(data="sample")
    assert state.is_completed()
    flow_run, task_runs = find_runs(state)
    assert [run.name for run in task_runs] == list(STAGES)
    assert {run.state_name for run in task_runs} == {"Completed"}
    assert flow_run.name.startswith("air-quality quick data sample-")
    summary = read_artifact("air-quality")
    assert summary.type == "markdown"
    assert "Sample data" in summary.data
    assert "linear regression" in summary.data
    assert "file://" in read_artifact("air-quality-report").data
    assert "/runs/" in read_artifact("air-quality-mlflow").data
    assert read_artifact("air-quality-picture").data.startswith("data:image/png;base64,")
    assert read_artifact("air-quality-train-progress") is None  # it is removed with the stage's end
    champion: Any = Variable.get("air_quality_sample_champion")
    assert champion["decision"] == "first"
    assert champion["version"] == 1


def test_a_second_run_shows_cached() -> None:
    state = run_flow(data="sample")
    _flow_run, task_runs = find_runs(state)
    assert [(run.name, run.state_name) for run in task_runs] == [(s, "Cached") for s in STAGES]


def test_bad_data_is_not_tried_again_and_the_failure_says_how_to_go_on(tmp_path: Path) -> None:
    spoiled = tmp_path / "AirQualityUCI.csv"
    spoiled.write_bytes(SAMPLE.read_bytes().replace(b";698;", b";n/a;", 1))
    state = run_flow(sources={"air-quality": spoiled})
    assert state.is_failed()
    _flow_run, task_runs = find_runs(state)
    assert [(run.name, run.run_count) for run in task_runs] == [("download", 1), ("clean", 1)]
    failure = read_artifact("air-quality-failure")
    assert "line 2" in failure.data
    assert "regrow run air-quality" in failure.data


class Flaky(Handler):
    """A mirror that is down at first: 503 until `refusals` requests have come."""

    refusals = 4
    asked = 0

    def do_GET(self) -> None:
        type(self).asked += 1
        found = self.asked > self.refusals
        body = SAMPLE.read_bytes() if found else b"down"
        self.send_response(200 if found else 503)
        self.send_header("Content-Type", "text/csv")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None: ...


def test_a_source_that_is_down_is_tried_again_by_the_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The download gives up after its own four tries; the task's next round finds the file."""
    from regrow.base.digests import digest_file

    with serve_http(Flaky) as http:
        project = write_project(
            tmp_path / "project",
            f"""
            [air-quality]
            title = "a local source"
            homepage = "http://127.0.0.1/x"
            licence = "none"
            citation = "none"
            file = "AirQualityUCI.csv"
            [air-quality.plain]
            name = "AirQualityUCI.csv"
            urls = ["{http.address}/AirQualityUCI.csv"]
            sha256 = "{digest_file(SAMPLE)}"
            """,
        )
        monkeypatch.setenv("REGROW_PROJECT", str(project))
        state = run_flow()
    assert state.is_completed()
    _flow_run, task_runs = find_runs(state)
    assert task_runs[0].run_count == 2
    assert state.result()["publish"].model == "air-quality"


SOURCES = """
[gone]
title = "nobody has it"
homepage = "http://127.0.0.1/x"
licence = "none"
citation = "none"
refresh = true
file = "gone.csv"
plain = {{ name = "gone.csv", urls = ["{url}/gone.csv"], sha256 = "{digest}" }}

[here]
title = "a local source"
homepage = "http://127.0.0.1/x"
licence = "none"
citation = "none"
refresh = true
file = "here.csv"
plain = {{ name = "here.csv", urls = ["{url}/here.csv"], sha256 = "{digest}" }}
"""


def test_a_refresh_that_fails_is_notified_and_looks_at_every_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from regrow.prefect.refresh import refresh
    from regrow.prefect.run import run_flow as run_any
    from regrow.sources.announcements import SourceCheck

    monkeypatch.setenv("REGROW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    chat = Chat()
    with serve() as upstream:
        monkeypatch.setenv("REGROW_NOTIFY_URL", f"{chat.address}/hook")
        upstream.publish("here.csv", b"a;b")
        project = write_project(
            tmp_path / "project", SOURCES.format(url=upstream.url, digest="0" * 64)
        )
        monkeypatch.setenv("REGROW_PROJECT", str(project))
        state = run_any(refresh, return_state=True)
        checks: list[SourceCheck] = state.result(raise_on_failure=False)
        chat.close()
    assert state.is_failed()
    assert {check.source: check.outcome for check in checks} == {
        "gone": "failed",
        "here": "changed",
    }
    (posted,) = chat.posted
    assert (posted["event"], posted["model"]) == ("failure", "refresh")
    assert "gone: failed" in posted["text"]
    assert "404" in posted["text"]
    table = read_artifact("sources").data
    assert "not adopted" not in table
    assert "404" in table


@pytest.mark.e2e
def test_previews_of_a_dream_are_image_artifacts() -> None:
    from flows.models import deep_dream
    from regrow.models.deep_dream.spec import DeepDreamConfig

    config = DeepDreamConfig(weights="random", size=64, steps=2, octaves=1, preview_every=1)
    state: Any = deep_dream(preset="untrained", config=config, return_state=True)
    assert state.is_completed()
    preview = read_artifact("deep-dream-preview")
    assert preview.type == "image"
    assert preview.data.startswith("data:image/jpeg;base64,")
    assert preview.description == "photo-1, step 2 of 2"
