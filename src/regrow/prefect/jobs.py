"""Several runs as the tasks of one flow, a limited number at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from prefect import task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State
from prefect.context import FlowRunContext
from prefect.futures import PrefectFuture, as_completed
from prefect.states import Failed
from prefect.task_runners import ThreadPoolTaskRunner

from regrow.base.progress import report
from regrow.operations.jobs import Job, combine, run_job
from regrow.prefect.tasks import is_retryable


@task(
    name="run",
    task_run_name="{job.name}",
    description="All six stages of one run, in a separate process.",
    # A run that was killed (memory, a lost machine) resumes; bad data would fail again.
    retries=1,
    retry_delay_seconds=5,
    retry_condition_fn=is_retryable,
    tags={"training"},
    cache_policy=NO_CACHE,
    persist_result=False,
)
def run_one(job: Job, workers: int) -> dict[str, Any]:
    """Runs one job; returns its summary."""
    return run_job(job, workers)


def run_jobs(
    title: str, jobs: Sequence[Job], *, workers: int, key: str, mean: bool = False
) -> dict[str, Any]:
    """Runs all jobs in order and creates a table artifact of their results.

    Args:
        title: describes the runs.
        workers: maximum number of runs at a time; a Dask cluster has its own.
        key: the artifact's key.
        mean: see `combine`.

    Returns:
        The table of all runs; "failed" counts the failed ones, "runs" has each one's summary.
    """
    summaries: dict[str, Any] = {}
    for job, future in zip(jobs, run_all(title, jobs, workers), strict=True):
        found: Any = future.result(raise_on_failure=False)
        summaries[job.name] = str(found) if isinstance(found, BaseException) else found
    table = combine(title, summaries, mean=mean)
    create_table_artifact(
        table=[dict(zip(table["columns"], row, strict=True)) for row in table["rows"]],
        key=key,
        description=title,
    )
    return table


def fail_if_any_failed(table: dict[str, Any]) -> dict[str, Any] | State[dict[str, Any]]:
    """The table as a flow's result: the flow has failed if one of its runs has failed."""
    if not table["failed"]:
        return table
    failed = [name for name, found in table["runs"].items() if isinstance(found, str)]
    return Failed(message=f"failed: {', '.join(failed)}", data=table)


def run_all(
    title: str,
    jobs: Sequence[Job],
    workers: int,
    *,
    until: Callable[[], bool] = lambda: False,
) -> Sequence[PrefectFuture[dict[str, Any]]]:
    """Submits the jobs in order; returns their futures when all have finished.

    Args:
        until: once it says so, no further job is submitted.
    """
    context = FlowRunContext.get()
    threads = context is None or isinstance(context.task_runner, ThreadPoolTaskRunner)
    limit = workers if threads else len(jobs)
    futures: list[PrefectFuture[dict[str, Any]]] = []
    pending: list[PrefectFuture[dict[str, Any]]] = []

    def wait_until_below(count: int) -> None:
        while len(pending) >= count:
            report(title, len(futures) - len(pending), len(jobs))
            pending.remove(next(as_completed(pending)))

    for job in jobs:
        wait_until_below(limit)
        if until():
            break
        futures.append(run_one.submit(job, workers))
        pending.append(futures[-1])
    wait_until_below(1)
    report(title, len(jobs), len(jobs))
    return futures
