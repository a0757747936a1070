"""Runs side by side: settings, data, code, figures and curves; `regrow compare`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeGuard

from pydantic import BaseModel, ConfigDict

from regrow.base.errors import UserError
from regrow.base.files import write_text
from regrow.base.settings import Settings
from regrow.operations.find_runs import find_run, read_entries, shorten_id
from regrow.pipeline.records import RunRecord
from regrow.pipeline.request import flatten
from regrow.registry.release import PublishFacts
from regrow.report.evaluation import Direction
from regrow.report.history import FILE, History
from regrow.store.entry import Entry

DIGITS = 12
Part = Literal["run", "settings", "data", "code", "libraries", "metrics", "curves"]
TITLES: Mapping[Part, str] = {
    "run": "runs",
    "settings": "settings",
    "data": "data",
    "code": "code, by digest",
    "libraries": "libraries",
    "metrics": "metrics on the test data",
    "curves": "validation loss of the published training",
}


class RunView(BaseModel):
    """One of the runs that are compared.

    Attributes:
        name: as it was asked for.
        run: its id.
        parts: what is compared: by part, values by name.
        curves: the curves of the published training by name, such as "val_loss".
        best: the name of the metric that the run is known by, and its better direction.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    run: str
    model: str
    parts: dict[Part, dict[str, Any]]
    curves: dict[str, list[float]]
    best: tuple[str, Direction] | None = None


class Line(BaseModel):
    """One value of all runs.

    Attributes:
        values: one for each run; None where a run has none.
        differs: whether they are not all the same.
        best: the positions of the best figures.
    """

    model_config = ConfigDict(frozen=True)

    name: str
    values: list[Any]
    differs: bool
    best: list[int] = []


class Comparison(BaseModel):
    """Runs side by side. A notebook shows it as tables."""

    model_config = ConfigDict(frozen=True)

    runs: list[RunView]

    def lines(self, part: Part) -> list[Line]:
        """What is compared in one part, one line for each name."""
        names = dict.fromkeys(name for run in self.runs for name in run.parts.get(part, {}))
        return [self._line(part, name) for name in names]

    def _line(self, part: Part, name: str) -> Line:
        values = [run.parts.get(part, {}).get(name) for run in self.runs]
        differs = any(value != values[0] for value in values[1:])
        known = {run.best for run in self.runs}
        (marked,) = known if len(known) == 1 else (None,)
        numbers = [float(value) for value in values if _is_finite(value)]
        best: list[int] = []
        if part == "metrics" and marked and marked[0] == name and numbers and differs:
            top = min(numbers) if marked[1] == "minimize" else max(numbers)
            best = [n for n, value in enumerate(values) if value == top]
        return Line(name=name, values=values, differs=differs, best=best)

    def as_json(self) -> dict[str, Any]:
        """All of it as plain JSON: the runs, and by part the lines."""
        return {
            "runs": [
                run.model_dump(mode="json", include={"name", "run", "model", "curves"})
                for run in self.runs
            ],
            **{part: [line.model_dump() for line in self.lines(part)] for part in TITLES},
        }

    def write_html(self, path: str | Path) -> Path:
        """Writes one HTML file, with the curves as a chart; returns its path.

        Raises:
            UserError: the file cannot be written.
        """
        from regrow.report.comparison import render_comparison

        page = render_comparison(
            [run.name for run in self.runs],
            {title: self.lines(part) for part, title in TITLES.items()},
            {run.name: run.curves for run in self.runs},
        )
        try:
            write_text(Path(path), page)
        except OSError as error:
            raise UserError(
                "the comparison cannot be written",
                where=str(path),
                received=error.strerror or str(error),
            ) from error
        return Path(path)

    def _repr_html_(self) -> str:
        from regrow.report.comparison import render_tables

        return render_tables(
            [run.name for run in self.runs],
            {title: self.lines(part) for part, title in TITLES.items()},
        )


def compare_runs(names: Sequence[str], settings: Settings) -> Comparison:
    """Reads the runs of these names.

    Args:
        names: see `find_run`.

    Raises:
        UserError: there are fewer than two, or there is no such run.
    """
    if len(names) < 2:
        raise UserError(
            "a comparison requires at least two runs",
            received=", ".join(names) or "none",
            remedies=["regrow compare air-quality air-quality~1 compares the last two"],
        )
    return Comparison(runs=[_view(name, find_run(settings.home, name), settings) for name in names])


def _view(name: str, record: RunRecord, settings: Settings) -> RunView:
    entries: dict[str, Entry] = dict(read_entries(settings.home, record).items())
    evaluation = _read_json(entries.get("evaluate"), "evaluation.json")
    headline = evaluation.get("headline", {})
    curves, figures = _read_training(entries.get("train"))
    return RunView(
        name=name,
        run=record.run_id,
        model=record.request.model,
        parts={
            "run": _describe_run(record, entries, settings),
            "settings": flatten(record.request.config),
            "data": _describe_data(record, entries),
            "code": _gather(entries, "code"),
            "libraries": _gather(entries, "libraries"),
            "metrics": dict(evaluation.get("metrics", {})),
            "curves": figures,
        },
        curves=curves,
        best=(headline["metric"], headline["direction"]) if headline else None,
    )


def _describe_run(
    record: RunRecord, entries: Mapping[str, Entry], settings: Settings
) -> dict[str, Any]:
    publish = entries.get("publish")
    facts = None if publish is None else PublishFacts.read(publish)
    gone = [stage for stage in record.stages if stage not in entries]
    return {
        "run": shorten_id(record.run_id),
        "model": record.request.model,
        "preset": record.request.preset,
        "started": record.started_at,
        "outcome": record.outcome(settings.home),
        "version": f"{facts.registered_name}@{facts.version}" if facts else None,
        "decision": facts.decision.action if facts else None,
        **({"no longer in the store": ", ".join(gone)} if gone else {}),
    }


def _describe_data(record: RunRecord, entries: Mapping[str, Entry]) -> dict[str, Any]:
    found: dict[str, Any] = {"asked for": record.request.data}
    if "download" in entries:
        facts = entries["download"].facts
        found["used"] = facts.get("kind")
        for source in facts.get("sources", ()):
            found[f"source {source['name']}"] = (source.get("sha256") or "")[:DIGITS]
    if clean := record.stages.get("clean"):
        found["clean table"] = clean.digest[:DIGITS]
    if "clean" in entries and "rows" in entries["clean"].facts:
        found["rows"] = entries["clean"].facts["rows"]
    return found


def _gather(entries: Mapping[str, Entry], component: str) -> dict[str, Any]:
    """A component of all fingerprints; parts that are equal in every stage are listed once."""
    found: dict[str, Any] = {}
    for entry in entries.values():
        found |= entry.manifest.components.get(component, {})
    short = component == "code"
    return {name: found[name][:DIGITS] if short else found[name] for name in sorted(found)}


def _read_training(train: Entry | None) -> tuple[dict[str, list[float]], dict[str, Any]]:
    """The curves of the published training, and what its validation loss came to."""
    try:
        history = History.read(train.file(FILE)) if train is not None else History(())
    except (OSError, ValueError, UserError):
        history = History(())
    if train is None or not history.runs:
        return {}, {}
    shown = history.find(train.facts.get("published_run", "")) or history.runs[0]
    curves = {name: [float(v) for v in values] for name, values in shown.curves.items()}
    losses = curves.get("val_loss") or curves.get("loss") or []
    figures: dict[str, Any] = {"training": shown.run, "epochs": len(losses)}
    if losses:
        figures |= {
            "first": losses[0],
            "best": min(losses),
            "best in epoch": losses.index(min(losses)) + 1,
            "last": losses[-1],
        }
    return curves, {**figures, "seconds": shown.seconds}


def _read_json(entry: Entry | None, name: str) -> Any:
    if entry is None or name not in entry.manifest.files:
        return {}
    try:
        return json.loads(entry.file(name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def _is_finite(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and math.isfinite(value)
