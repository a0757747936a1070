"""A stored publication is no promise: each run asks the registry whether its decision holds."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from regrow.base.digests import digest_file
from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.release import PublishRequest
from regrow.pipeline.request import find_holds, make_request
from regrow.pipeline.runs import run_stages
from regrow.registry.champions import open_registry
from regrow.registry.names import ChampionRef
from regrow.report.evaluation import Baseline, Headline
from tests.conftest import REPOSITORY, SAMPLE
from tests.support.http_servers import Chat
from tests.support.projects import write_project
from tests.support.readings import write_readings
from tests.support.stages import make_context, make_entry

REF = ChampionRef("air-quality")
HEADLINE = Headline(
    metric="rmse", label="RMSE", value=1.0, simplest=Baseline(name="training mean", value=7.0)
)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("REGROW_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return tmp_path


def declare(source: Path) -> Path:
    """A project whose source is a file in a mirror beside it."""
    return write_project(
        source.parent / f"project-{source.stem}",
        f"""
        [air-quality]
        title = "readings"
        homepage = "http://127.0.0.1/x"
        licence = "none"
        citation = "none"
        refresh = true
        file = "AirQualityUCI.csv"
        [air-quality.plain]
        name = "AirQualityUCI.csv"
        urls = []
        mirror = "{source.name}"
        sha256 = "{digest_file(source)}"
        """,
    )


def run(source: Path, *, declared: bool = True, **request: Any) -> dict[str, Any]:
    """Trains on a file, the declared source or in its place; returns what the run reports."""
    variants = {"all-sensors": {"inputs": ["pt08_s2_nmhc"], "epochs": 2}}
    made = make_request(
        get_spec("air-quality"),
        preset="quick",
        overrides={"variants": variants, **request.pop("overrides", {})},
        sources={} if declared else {"air-quality": source},
        **request,
    )
    settings = replace(read_environment(), project=declare(source), mirror=str(source.parent))
    pipeline = Pipeline(get_spec("air-quality"), made, settings)
    refs = run_stages(
        pipeline,
        lambda stage, inputs: pipeline.run_stage(stage, inputs, lambda *_: None),
    )
    facts = pipeline.entry(refs["publish"]).facts
    return {"cached": refs["publish"].cached, "trained": not refs["train"].cached, **facts}


def champion() -> int | None:
    found = open_registry(REF, read_environment()).champion()
    return int(found.version) if found else None


@pytest.mark.e2e
def test_a_refresh_that_is_taken_back_brings_the_better_champion_back(home: Path) -> None:
    """And an almost constant target, whose figure flatters, moves nothing on the way."""
    good, flat, other = (home / f"{name}.csv" for name in ("good", "flat", "other"))
    for path, factor in ((good, 1.0), (flat, 0.001), (other, 1.5)):
        write_readings(path, factor)

    assert (run(good)["version"], champion()) == (1, 1)
    held = run(flat, declared=False)["decision"]
    assert (held["action"], held["hold"], champion()) == ("held", "override", 1)
    assert held["challenger"] < held["champion"]
    # The declared source itself changes beyond recognition: a person looks at it first.
    drifted = run(flat)
    assert not drifted["trained"]
    assert (drifted["decision"]["hold"], champion()) == ("drift", 1)
    assert "benzene" in drifted["decision"]["reason"]

    assert (run(other)["decision"]["action"], champion()) == ("promoted", 3)
    back = run(good)
    assert not back["trained"]
    assert (back["cached"], back["version"], back["decision"]["action"]) == (False, 1, "promoted")
    assert champion() == 1
    assert run(good)["cached"]

    registry = open_registry(REF, read_environment())
    registry.delete_alias("champion")
    assert (run(good)["cached"], champion()) == (False, 1)
    registry.delete_alias("champion")
    registry.client.delete_model_version(registry.name, "1")
    again = run(good)
    assert (again["trained"], again["version"], champion()) == (False, 4, 4)
    (home / "home" / "mlflow.db").unlink()
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.pipeline.test_registry_changes import champion, run\n"
        "again = run(Path(sys.argv[1]))\n"
        "print(again['trained'], again['version'], champion())\n"
    )
    # In a new process: MLflow keeps its connection to the database that was deleted.
    done = subprocess.run(
        [sys.executable, "-c", code, str(good)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "1", "1"]


@pytest.mark.parametrize(
    ("changes", "kinds"),
    [
        ({}, []),
        ({"overrides": {"seeds": 3}}, []),
        ({"overrides": {"test_share": 0.02}}, ["override"]),
        ({"preset": "book"}, []),
        ({"older": ["air-quality"]}, ["override"]),
        ({"sources": {"air-quality": SAMPLE}}, ["override"]),
    ],
)
def test_what_is_held_whatever_its_figure(changes: dict[str, Any], kinds: list[str]) -> None:
    changes = dict(changes)
    spec = get_spec("air-quality")
    older = changes.pop("older", [])
    holds = find_holds(spec, make_request(spec, **changes), older)
    assert [hold.kind for hold in holds] == kinds


@pytest.mark.parametrize(
    ("kind", "headline", "value", "kinds"),
    [
        ("real", HEADLINE, 6.9, []),
        ("real", HEADLINE, 7.0, ["baseline"]),
        ("real", HEADLINE, math.nan, ["baseline"]),
        ("local", HEADLINE, 8.0, ["baseline"]),
        ("sample", HEADLINE, 8.0, []),  # to try things out
        ("real", HEADLINE.model_copy(update={"metric": "mae"}), 8.0, []),  # another figure
        ("real", HEADLINE.model_copy(update={"simplest": None}), 8.0, []),
    ],
)
def test_a_first_champion_must_beat_the_simplest_baseline(
    kind: str, headline: Headline, value: float, kinds: list[str], tmp_path: Path
) -> None:
    spec = get_spec("air-quality")
    context = make_context(spec.config(), tmp_path, download=make_entry(tmp_path, kind=kind))
    request = PublishRequest(spec, make_request(spec), read_environment({}), context, {}, {})
    holds = request.find_weakness(headline, {"rmse": value})
    assert [hold.kind for hold in holds] == kinds
    assert not holds or f"training mean: rmse {value:.5g} against 7" in holds[0].reason


@pytest.mark.e2e
def test_a_first_version_that_has_learned_nothing_waits_for_a_person(home: Path) -> None:
    source = home / "good.csv"
    write_readings(source, 1.0)
    idle = {"hidden_units": 0, "epochs": 1, "min_steps": 0, "learning_rate": 1e-9}
    weak = run(source, overrides={"variants": {"all-sensors": {**idle, "inputs": ["co_mg_m3"]}}})
    assert (weak["decision"]["hold"], weak["version"], champion()) == ("baseline", 1, None)
    assert "training mean" in weak["decision"]["reason"]
    assert (run(source)["decision"]["action"], champion()) == ("first", 2)


@pytest.mark.e2e
def test_an_old_champion_is_told_with_every_run(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = home / "good.csv"
    write_readings(source, 1.0)
    run(source)
    log = open_registry(REF, read_environment()).decisions
    [line] = log.read_text().splitlines()
    long_ago = (datetime.now(UTC) - timedelta(days=91)).isoformat(timespec="seconds")
    chat = Chat()
    monkeypatch.setenv("REGROW_NOTIFY_URL", chat.address)
    try:
        assert run(source)["cached"]
        assert chat.posted == []
        log.write_text(json.dumps({**json.loads(line), "at": long_ago}) + "\n")
        assert run(source)["cached"]
        [told] = chat.posted
    finally:
        chat.close()
    assert (told["event"], told["model"]) == ("stale", "air-quality")
    assert "trained 91 days ago, more than 90" in told["text"]
    assert told["details"]["age_days"] == 91.0
