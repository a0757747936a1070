"""A model run once for each of several values of a setting, some at a time."""

from __future__ import annotations

from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import wait
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from regrow.engine.errors import UserError
from regrow.engine.progress import report
from regrow.engine.sweep import SweepRequest, check_sweep, combine, run_value
from regrow.models import get_spec
from tasks.stages import may_pass


@task(
    name="sweep-run",
    task_run_name="{name}",
    description="All six stages for one value, in a process of its own.",
    # A run that died (memory, a lost machine) goes on where it was; bad data would fail again.
    retries=1,
    retry_delay_seconds=5,
    retry_condition_fn=may_pass,
    tags={"training"},
    cache_policy=NO_CACHE,
    persist_result=False,
)
def run_one(request: SweepRequest, value: Any, name: str) -> dict[str, Any]:
    """The summary of one run."""
    return run_value(request, value)


@flow(name="sweep", description="Runs a model once for each of several values of a setting.")
def sweep(request: SweepRequest) -> dict[str, Any]:
    """Runs all values, as many at a time as there are workers; what fails does not stop the rest.

    Every run is a process of its own, started by a thread of this one or by a Dask worker.
    """
    check_sweep(get_spec(request.model), request)
    names = [request.name_value(value) for value in request.values]
    futures = [
        run_one.submit(request, value, name)
        for value, name in zip(request.values, names, strict=True)
    ]
    for done, future in enumerate(futures):
        report(f"sweep of {request.model}", done, len(futures))
        wait([future])
    report(f"sweep of {request.model}", len(futures), len(futures))
    summaries: dict[str, Any] = {}
    for name, future in zip(names, futures, strict=True):
        found: Any = future.result(raise_on_failure=False)
        summaries[name] = str(found) if isinstance(found, BaseException) else found
    table = combine(request, summaries)
    create_table_artifact(
        table=[dict(zip(table["columns"], row, strict=True)) for row in table["rows"]],
        key=f"{request.model}-sweep",
        description=str(table["title"]),
    )
    return {**table, "runs": summaries}


def make_runner(workers: int, dask: str | None = None) -> TaskRunner[Any]:
    """So many runs at a time: threads that wait for processes, or a Dask cluster's workers.

    Args:
        workers: runs at a time, unless a cluster decides itself.
        dask: None, "local" for a cluster on this machine, or a scheduler's address. Its workers
            need the same `REGROW_HOME` and this project's folder on PYTHONPATH.

    Raises:
        UserError: Dask is asked for and not installed.
    """
    if dask is None:
        return ThreadPoolTaskRunner(max_workers=workers)
    try:
        from prefect_dask.task_runners import DaskTaskRunner
    except ImportError:
        raise UserError(
            "Dask is not installed",
            where="--dask",
            received=dask,
            expected="the extra dask",
            remedies=["pip install 'regrow[dask]'", "leave --dask out: the runs are processes"],
        ) from None
    if dask == "local":
        return DaskTaskRunner(cluster_kwargs={"n_workers": workers, "threads_per_worker": 1})
    return DaskTaskRunner(address=dask)
