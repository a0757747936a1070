"""`regrow metrics`, read by Prometheus's own parser."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from regrow.base.settings import Settings, read_environment
from regrow.operations.metrics import GAUGES, write_metrics
from regrow.pipeline.records import last_run
from tests.conftest import Regrow

NAME = "air-quality.sample"


def read(text: str) -> dict[str, dict[str, float]]:
    """For each metric its values by model, or by the name in the registry."""
    return {
        family.name: {
            s.labels.get("name", s.labels.get("model", "")): s.value for s in family.samples
        }
        for family in text_string_to_metric_families(text)
    }


@pytest.fixture
def settings(trained: Path, tmp_path: Path) -> Settings:
    home = Path(shutil.copytree(trained, tmp_path / "home"))
    return read_environment({"REGROW_HOME": str(home)})


def test_a_finished_run_and_its_champion_are_shown(settings: Settings) -> None:
    found = read(write_metrics(["air-quality", "deep-dream"], settings))
    assert set(found) == {f"regrow_{name}" for name in GAUGES}
    assert 0 < time.time() - found["regrow_last_success_timestamp_seconds"]["air-quality"] < 1e6
    assert 0 < found["regrow_last_run_duration_seconds"]["air-quality"] < 3600
    assert found["regrow_last_run_failed"] == {"air-quality": 0}
    assert found["regrow_champion_version"] == {NAME: 1}
    assert 0 < found["regrow_champion_metric"][NAME] < 10
    assert 0 < found["regrow_champion_age_seconds"][NAME] < 1e6
    assert found["regrow_versions_held"] == {NAME: 0}
    assert found["regrow_home_bytes"][""] > 1e5


def test_a_failed_run_leaves_the_last_success(settings: Settings) -> None:
    success = read(write_metrics(["air-quality"], settings))[
        "regrow_last_success_timestamp_seconds"
    ]
    record = last_run(settings.home, "air-quality")
    assert record is not None
    failed = record.model_copy(
        update={"run_id": f"9{record.run_id}", "state": "failed", "finished_at": None}
    )
    path = settings.home.runs / "air-quality" / f"{failed.run_id}.json"
    path.write_text(failed.model_dump_json())
    found = read(write_metrics(["air-quality"], settings))
    assert found["regrow_last_run_failed"] == {"air-quality": 1}
    assert found["regrow_last_run_duration_seconds"] == {}
    assert found["regrow_last_success_timestamp_seconds"] == success


def test_an_empty_home_has_no_lines_for_what_is_not_known(tmp_path: Path) -> None:
    settings = read_environment({"REGROW_HOME": str(tmp_path)})
    found = read(write_metrics(["air-quality"], settings))
    assert {name for name, values in found.items() if values} == {"regrow_home_bytes"}
    assert not list(tmp_path.iterdir())


def test_the_command_writes_a_file_for_a_collector(regrow: Regrow, tmp_path: Path) -> None:
    path = tmp_path / "regrow.prom"
    done = regrow("metrics", "-o", str(path))
    assert done.returncode == 0, done.stderr
    assert "regrow_home_bytes" in path.read_text()
    assert read(regrow("metrics").stdout).keys() == read(path.read_text()).keys()
