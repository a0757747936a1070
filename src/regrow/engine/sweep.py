"""One model run once for each of several values of a setting, each in a process of its own.

A process a run keeps trainings apart (seeds and compiled functions are global) and bounds memory:
no more than the workers' runs are alive at a time. What is found in the store is not done again.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from regrow.engine.config import flatten, make_request, merge, nest
from regrow.engine.errors import ProcessDied, UserError
from regrow.engine.spec import ModelSpec


class SweepRequest(BaseModel):
    """What is run. Plain JSON, so that it can be a flow's parameters.

    Attributes:
        model: the model's name.
        setting: the setting that differs, dots lead into nested ones.
        values: its values, one run each.
        preset: the preset of all runs; None for the first.
        overrides: settings of all runs.
        sample: whether the shipped sample is used.
        workers: runs at a time.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    setting: str
    values: list[Any] = Field(min_length=1)
    preset: str | None = None
    overrides: dict[str, Any] = Field(default_factory=dict)
    sample: bool = False
    workers: int = Field(2, ge=1, le=64)

    def name_value(self, value: Any) -> str:
        """One run's name, such as "tasks=[3]"."""
        return f"{self.setting}={json.dumps(value)}"


def check_sweep(spec: ModelSpec, request: SweepRequest) -> None:
    """Makes sure that every run can be asked for, before the first one starts.

    Raises:
        UserError: an unknown preset or setting, or a value out of bounds.
    """
    for value in request.values:
        changes = merge(request.overrides, nest(request.setting, value))
        make_request(spec, preset=request.preset, overrides=changes)


def run_value(request: SweepRequest, value: Any) -> dict[str, Any]:
    """Runs the six stages for one value in a process of its own; returns the run's summary.

    Raises:
        UserError: the run failed by what a person can put right.
        ProcessDied: it was killed; another try goes on where it was.
        RuntimeError: it failed otherwise.
    """
    options = [*(["--preset", request.preset] if request.preset else [])]
    for name, given in [*flatten(request.overrides).items(), (request.setting, value)]:
        options += ["--set", f"{name}={json.dumps(given)}"]
    done = subprocess.run(
        [
            *(sys.executable, "-m", "regrow.cli", "run", request.model, "--no-prefect", "--json"),
            *(["--sample"] if request.sample else []),
            *options,
        ],
        env={**os.environ, **limit_threads(request.workers)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == UserError.exit_code:
        raise UserError(
            f"the run {request.name_value(value)} failed",
            received=done.stderr.strip().removeprefix("error: "),
        )
    if done.returncode != 0:
        failure = ProcessDied if done.returncode < 0 else RuntimeError
        raise failure(
            f"the run {request.name_value(value)} ended with {done.returncode}: "
            f"{done.stderr.strip()[-500:]}"
        )
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def limit_threads(workers: int) -> dict[str, str]:
    """Variables that give each of several processes its share of the cores."""
    share = str(max(1, (os.cpu_count() or 1) // workers))
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    return {name: os.environ.get(name, share) for name in names}


def combine(
    request: SweepRequest, summaries: Mapping[str, Mapping[str, Any] | str]
) -> dict[str, Any]:
    """All runs as one table: headline, decision and report, and what failed.

    Args:
        summaries: by the run's name, its summary, or what went wrong.
    """
    rows: list[list[Any]] = []
    for name, summary in summaries.items():
        if isinstance(summary, str):
            rows.append([name, None, summary.splitlines()[0], ""])
        else:
            decision = summary["decision"]
            rows.append(
                [
                    name,
                    summary["headline"]["value"],
                    f"{decision['action']}, version {summary['version']}",
                    summary["report"],
                ]
            )
    values = [row[1] for row in rows if row[1] is not None]
    if len(values) > 1:
        rows.append(["mean", sum(values) / len(values), "", ""])
    first = next((s for s in summaries.values() if not isinstance(s, str)), None)
    what = f"{first['headline']['label']} {first['headline']['unit']}".strip() if first else "value"
    return {
        "title": f"{request.model} by {request.setting}",
        "columns": ["run", what, "outcome", "report"],
        "rows": rows,
        "failed": sum(isinstance(summary, str) for summary in summaries.values()),
    }
