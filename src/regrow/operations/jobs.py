"""Several runs, each in a process of its own, and one table of their results.

A process for each run keeps trainings apart (seeds and compiled functions are global) and limits
memory: at most `workers` runs are alive at a time. Finished stages are found in the store.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict

from regrow.base.errors import UserError
from regrow.operations.child import run_in_process
from regrow.pipeline.request import RunRequest


class Job(BaseModel):
    """One run of several.

    Attributes:
        name: identifies it among the others, such as "tasks=[3]".
        request: what to run.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    request: RunRequest


def run_job(job: Job, workers: int = 1) -> dict[str, Any]:
    """Runs the six stages in a process of its own; returns the run's summary.

    Args:
        workers: how many jobs share this machine's cores.

    Raises:
        UserError: the run failed for a reason that a user can fix.
        ProcessDied: it was killed; another attempt resumes where it was.
        RuntimeError: it failed otherwise.
    """
    try:
        return run_in_process(job.request, environment=limit_threads(workers))
    except UserError as error:
        raise UserError(f"the run {job.name} failed", received=str(error)) from error


def limit_threads(workers: int) -> dict[str, str]:
    """Variables that give each of several processes its share of the cores."""
    share = str(max(1, (os.cpu_count() or 1) // workers))
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS", "OMP_NUM_THREADS")
    return {name: os.environ.get(name, share) for name in names}


def combine(
    title: str, summaries: Mapping[str, Mapping[str, Any] | str], *, mean: bool = False
) -> dict[str, Any]:
    """All runs as one table: headline, decision and report, or the error.

    Args:
        summaries: by the run's name, its summary or its error.
        mean: whether the runs are measured alike, so that the last row is their mean.
    """
    good = [summary for summary in summaries.values() if not isinstance(summary, str)]
    labels = {_label(summary) for summary in good}
    alike = len(labels) == 1
    rows: list[list[Any]] = []
    for name, summary in summaries.items():
        if isinstance(summary, str):
            rows.append([name, None, shorten(summary), ""])
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


def shorten(failure: str) -> str:
    """The first line of what was received, or else of the error."""
    lines = [line.strip() for line in failure.splitlines()]
    found = next((line for line in lines if line.startswith("received:")), lines[0])
    return found.removeprefix("received:").strip()
