"""Several runs, each in a process of its own, and one table of what came of them.

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

from pydantic import BaseModel, ConfigDict

from regrow.engine.errors import ProcessDied, UserError


class Job(BaseModel):
    """One run. Plain JSON, so that it can be a task's parameter.

    Attributes:
        name: what tells it from the others, such as "tasks=[3]".
        model: the model's name.
        options: those of `regrow run`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    model: str
    options: list[str] = []


def run_job(job: Job, workers: int = 1) -> dict[str, Any]:
    """Runs the six stages in a process of its own; returns the run's summary.

    Args:
        workers: how many jobs share this machine's cores.

    Raises:
        UserError: the run failed by what a person can put right.
        ProcessDied: it was killed; another try goes on where it was.
        RuntimeError: it failed otherwise.
    """
    command = (sys.executable, "-m", "regrow.cli", "run", job.model, "--no-prefect", "--json")
    done = subprocess.run(
        [*command, *job.options],
        env={**os.environ, **limit_threads(workers)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == UserError.exit_code:
        raise UserError(
            f"the run {job.name} failed", received=done.stderr.strip().removeprefix("error: ")
        )
    if done.returncode != 0:
        failure = ProcessDied if done.returncode < 0 else RuntimeError
        raise failure(
            f"the run {job.name} ended with {done.returncode}: {done.stderr.strip()[-500:]}"
        )
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def limit_threads(workers: int) -> dict[str, str]:
    """Variables that give each of several processes its share of the cores."""
    share = str(max(1, (os.cpu_count() or 1) // workers))
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    return {name: os.environ.get(name, share) for name in names}


def combine(
    title: str, summaries: Mapping[str, Mapping[str, Any] | str], *, mean: bool = False
) -> dict[str, Any]:
    """All runs as one table: headline, decision and report, and what failed.

    Args:
        summaries: by the run's name, its summary, or what went wrong.
        mean: whether the runs are measured alike, so that a last row can hold their mean.
    """
    good = [summary for summary in summaries.values() if not isinstance(summary, str)]
    labels = {_label(summary) for summary in good}
    alike = len(labels) == 1
    rows: list[list[Any]] = []
    for name, summary in summaries.items():
        if isinstance(summary, str):
            rows.append([name, None, _say_briefly(summary), ""])
            continue
        value, decision = summary["headline"]["value"], summary["decision"]
        shown = value if alike else f"{value:.4g} {_label(summary)}"
        outcome = f"{decision['action']}, version {summary['version']}"
        rows.append([name, shown, outcome, summary["report"]])
    if mean and len(good) > 1:
        values = [summary["headline"]["value"] for summary in good]
        rows.append(["mean", sum(values) / len(values), "", ""])
    return {
        "title": title,
        "columns": ["run", labels.pop() if alike else "value", "outcome", "report"],
        "rows": rows,
        "failed": len(summaries) - len(good),
        "runs": dict(summaries),
    }


def _label(summary: Mapping[str, Any]) -> str:
    return f"{summary['headline']['label']} {summary['headline']['unit']}".strip()


def _say_briefly(failure: str) -> str:
    """The first line of what was found, or else of what failed."""
    lines = [line.strip() for line in failure.splitlines()]
    found = next((line for line in lines if line.startswith("received:")), lines[0])
    return found.removeprefix("received:").strip()
