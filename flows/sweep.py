"""A model run once for each of several values of a setting, some at a time."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from flows.jobs import run_jobs
from flows.notices import tell_failure
from regrow.engine.errors import UserError
from regrow.engine.sweep import SweepRequest, list_sweep
from regrow.models import get_spec


@flow(
    name="sweep",
    description="Runs a model once for each of several values of a setting.",
    on_failure=[tell_failure],
)
def sweep(request: SweepRequest) -> dict[str, Any]:
    """Runs all values, as many at a time as there are workers; what fails does not stop the rest.

    Every run is a process of its own, started by a thread of this one or by a Dask worker.
    """
    return run_jobs(
        f"{request.model} by {request.setting}",
        list_sweep(get_spec(request.model), request),
        workers=request.workers,
        key=f"{request.model}-sweep",
        mean=True,
    )


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
