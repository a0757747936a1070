"""Several runs as the tasks of one flow, so many at a time; what fails does not stop the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture, as_completed
from prefect.task_runners import ThreadPoolTaskRunner

from regrow.engine.jobs import Job, combine, run_job
from regrow.engine.progress import report
from tasks.stages import may_pass


@task(
    name="run",
    task_run_name="{job.name}",
    description="All six stages of one run, in a process of its own.",
    # A run that died (memory, a lost machine) goes on where it was; bad data would fail again.
    retries=1,
    retry_delay_seconds=5,
    retry_condition_fn=may_pass,
    tags={"training"},
    cache_policy=NO_CACHE,
    persist_result=False,
)
def run_one(job: Job, workers: int) -> dict[str, Any]:
    """The summary of one run."""
    return run_job(job, workers)


def run_jobs(
    title: str, jobs: Sequence[Job], *, workers: int, key: str, mean: bool = False
) -> dict[str, Any]:
    """Runs all jobs in order, at most `workers` at a time, unless a cluster decides itself.

    Args:
        key: the artifact's key.
        mean: see `combine`.

    Returns:
        The table of all runs; "failed" counts those that failed, "runs" has each one's summary.
    """
    context = FlowRunContext.get()
    threads = context is None or isinstance(context.task_runner, ThreadPoolTaskRunner)
    at_once = workers if threads else len(jobs)
    futures: list[PrefectFuture[dict[str, Any]]] = []
    pending: list[PrefectFuture[dict[str, Any]]] = []

    def wait_for_one() -> None:
        report(title, len(futures) - len(pending), len(jobs))
        pending.remove(next(as_completed(pending)))

    for job in jobs:
        while len(pending) >= at_once:
            wait_for_one()
        futures.append(run_one.submit(job, workers))
        pending.append(futures[-1])
    while pending:
        wait_for_one()
    report(title, len(jobs), len(jobs))
    summaries: dict[str, Any] = {}
    for job, future in zip(jobs, futures, strict=True):
        found: Any = future.result(raise_on_failure=False)
        summaries[job.name] = str(found) if isinstance(found, BaseException) else found
    table = combine(title, summaries, mean=mean)
    create_table_artifact(
        table=[dict(zip(table["columns"], row, strict=True)) for row in table["rows"]],
        key=key,
        description=title,
    )
    return table
