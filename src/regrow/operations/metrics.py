"""The state of the home for Prometheus: runs, champions, drift and disk."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from regrow.base.settings import Settings
from regrow.operations.status import read_status
from regrow.pipeline.disk import measure_folder
from regrow.pipeline.records import RunRecord, last_run, last_success
from regrow.registry.names import ChampionRef
from regrow.store.store import Store

DAY_S = 86_400
# Name, help and labels; MODEL is as in `regrow list`, NAME as in the registry.
GAUGES = {
    "last_success_timestamp_seconds": ("When the last successful run ended.", ["model"]),
    "last_run_duration_seconds": ("How long the last finished run took.", ["model"]),
    "last_run_failed": ("1 if the last run failed, else 0.", ["model"]),
    "drifted_columns": ("Columns of the last run that differ from the champion's.", ["model"]),
    "champion_version": ("The champion's version.", ["model", "name"]),
    "champion_metric": ("The metric that decides, on the test data.", ["model", "name", "metric"]),
    "champion_age_seconds": ("How long ago the champion was trained.", ["model", "name"]),
    "versions_held": ("Versions that wait for approval.", ["model", "name"]),
    "home_bytes": ("Size of all files below REGROW_HOME.", []),
}


def write_metrics(models: Sequence[str], settings: Settings) -> str:
    """The metrics of some models in Prometheus's text format; each name begins with "regrow_".

    What is not known, such as the champion of a model without one, has no line.
    """
    registry = CollectorRegistry()
    gauges = {
        name: Gauge(f"regrow_{name}", text, labels, registry=registry)
        for name, (text, labels) in GAUGES.items()
    }
    for model in models:
        _set_runs(gauges, model, settings)
        status = read_status(model, settings)
        champions = [status["champion"], status["champion_on_sample"], *status["scopes"].values()]
        for champion in filter(None, champions):
            _set_champion(gauges, champion)
    gauges["home_bytes"].set(measure_folder(settings.home.path))
    return generate_latest(registry).decode()


def _set_runs(gauges: dict[str, Gauge], model: str, settings: Settings) -> None:
    last, success = last_run(settings.home, model), last_success(settings.home, model)
    if success is not None and success.finished_at is not None:
        ended = datetime.fromisoformat(success.finished_at).timestamp()
        gauges["last_success_timestamp_seconds"].labels(model).set(ended)
        drifted = _count_drifted(success, settings)
        if drifted is not None:
            gauges["drifted_columns"].labels(model).set(drifted)
    if last is not None:
        gauges["last_run_failed"].labels(model).set(last.state == "failed")
        if last.finished_at is not None:
            begin, end = map(datetime.fromisoformat, (last.started_at, last.finished_at))
            seconds = (end - begin).total_seconds()
            gauges["last_run_duration_seconds"].labels(model).set(seconds)


def _count_drifted(run: RunRecord, settings: Settings) -> int | None:
    """How many columns of a run's data had drifted; None if its validation is gone."""
    ref = run.stages.get("validate")
    entry = ref and Store(settings.home).find(ref.model, ref.stage, ref.fingerprint)
    return entry.manifest.facts.get("drifted_columns") if entry else None


def _set_champion(gauges: dict[str, Gauge], champion: dict[str, Any]) -> None:
    name = champion["model"]
    labels = (ChampionRef.parse(name).model, name)
    gauges["versions_held"].labels(*labels).set(len(champion["held"]))
    if champion["alias"] is None:
        return
    gauges["champion_version"].labels(*labels).set(champion["alias"])
    if champion["figure"] is not None:
        gauges["champion_metric"].labels(*labels, champion["metric"]).set(champion["figure"])
    if champion["age_days"] is not None:
        gauges["champion_age_seconds"].labels(*labels).set(champion["age_days"] * DAY_S)
