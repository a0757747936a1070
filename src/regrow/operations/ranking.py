"""The trials of a sweep in the order of their validation figures, and the best of each scope."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from regrow.base.errors import UserError
from regrow.base.spec import ModelSpec
from regrow.operations.jobs import Job, shorten
from regrow.operations.sweep import SweepRequest

Outcomes = Mapping[str, Mapping[str, Any] | str]
"""By a trial's name, its summary, or the error that ended it. A pruned trial has "pruned"."""


def rank(request: SweepRequest, outcomes: Outcomes) -> dict[str, Any]:
    """All trials as one table: the best first, then those that were pruned, then the failed ones.

    Returns:
        JSON: "columns" and "rows" (trial, figure, epochs of the training, outcome), "failed" and
        "runs" (each one's summary or error).

    Raises:
        UserError: the trials have no such figure.
    """
    rows: list[tuple[int, float, list[Any]]] = []
    for name, outcome in outcomes.items():
        if isinstance(outcome, str):
            rows.append((3, 0.0, [name, None, None, shorten(outcome)]))
        elif "pruned" in outcome:
            epoch = outcome["pruned"]
            rows.append((2, -epoch, [name, outcome["value"], epoch, f"pruned at epoch {epoch}"]))
        else:
            value = find_figure(request, outcome)
            finite = math.isfinite(value)
            sign = 1 if request.direction == "minimize" else -1
            cells = [name, value, count_epochs(outcome), "" if finite else "not a number"]
            rows.append((0 if finite else 1, sign * value if finite else 0.0, cells))
    rows.sort(key=lambda row: row[:2])
    return {
        "title": f"trials of {request.model}, ranked by {request.metric}",
        "columns": ["trial", request.metric, "epochs", ""],
        "rows": [cells for _group, _key, cells in rows],
        "failed": sum(isinstance(outcome, str) for outcome in outcomes.values()),
        "runs": dict(outcomes),
    }


def choose_best(
    spec: ModelSpec, request: SweepRequest, trials: Sequence[Job], outcomes: Outcomes
) -> dict[str, Job]:
    """The best trial of each scope; trials of several scopes do not compete.

    Raises:
        UserError: trials of one scope were measured on other data, or have no such figure.
    """
    sign = 1 if request.direction == "minimize" else -1
    best: dict[str, tuple[float, Job, str]] = {}
    for trial in trials:
        outcome = outcomes.get(trial.name)
        if outcome is None or isinstance(outcome, str) or "pruned" in outcome:
            continue
        value = find_figure(request, outcome)
        scope = spec.scope(spec.config.model_validate(trial.request.config))
        before = best.get(scope)
        if before and before[2] != outcome["clean"]:
            raise UserError(
                "the trials cannot be ranked: they were trained on different data",
                where=", ".join(request.over),
                received=f"the clean tables of {before[1].name} and {trial.name} differ",
                remedies=["vary settings that do not change the data"],
            )
        if math.isfinite(value) and (before is None or sign * value < sign * before[0]):
            best[scope] = (value, trial, outcome["clean"])
    return {scope: trial for scope, (_value, trial, _clean) in best.items()}


def find_figure(request: SweepRequest, outcome: Mapping[str, Any]) -> float:
    """The figure that ranks a trial.

    Raises:
        UserError: its training has none of that name.
    """
    figures = outcome["validation"]
    if request.metric not in figures:
        raise UserError(
            f"the trainings of {request.model} recorded no metric {request.metric!r}",
            where="--metric",
            received=request.metric,
            expected=" or ".join(figures),
        )
    return float(figures[request.metric])


def count_epochs(outcome: Mapping[str, Any]) -> int:
    """How many epochs the published training took."""
    return max((len(values) for values in outcome["curves"].values()), default=0)
