"""The flow `sweep`: trials of one model with other settings, and the best of them to the gate."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any

from prefect import flow, task
from prefect.artifacts import create_table_artifact
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture, as_completed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from regrow.base.errors import UserError
from regrow.base.progress import report
from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.base.spec import ModelSpec
from regrow.operations.jobs import Job
from regrow.operations.ranking import choose_best, rank
from regrow.operations.search import Search, open_search
from regrow.operations.sweep import SweepRequest, check_sweep, list_trials, make_final
from regrow.prefect.jobs import run_all, run_jobs
from regrow.prefect.notifications import notify_failure


@flow(
    name="sweep",
    description="Tries a model with other settings; the best trial is published and judged.",
    on_failure=[notify_failure],
)
def sweep(request: SweepRequest) -> dict[str, Any]:
    """Trains the trials and ranks them by a validation metric; failed trials do not stop others.

    Trials are not evaluated on test data and not registered. The best one is then run to the end
    and judged by the gate. Every run is a separate process, started by a thread of this process
    or by a Dask worker.

    Args:
        request: the model, what is varied, and how.
    """
    spec = get_spec(request.model)
    check_sweep(spec, request)
    if request.method == "optuna":
        with open_search(spec, request, read_environment()) as search:
            _search(search)
            search.collect()
        jobs, outcomes, left = list(search.jobs.values()), search.outcomes, 0
    else:
        jobs = list_trials(spec, request)
        outcomes, left = _try_all(request, jobs)
    table = {**rank(request, outcomes), "not_started": left, "published": None}
    _show(table, f"{spec.name}-sweep")
    best = choose_best(spec, request, jobs, outcomes)
    if best and request.publish:
        table["published"] = _publish(spec, request, best)
        table["failed"] += table["published"]["failed"]
    return table


def make_runner(workers: int, dask: str | None = None) -> TaskRunner[Any]:
    """The task runner of a sweep: threads that wait for processes, or a Dask cluster.

    Args:
        workers: maximum number of runs at a time; the number of workers of a local cluster.
        dask: None, "local" for a cluster on this machine, or the address of a scheduler. Its
            workers need the same `REGROW_HOME` and the same installation of regrow.

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
            remedies=["pip install 'regrow[dask]'", "leave out --dask to use local processes"],
        ) from None
    if dask == "local":
        return DaskTaskRunner(cluster_kwargs={"n_workers": workers, "threads_per_worker": 1})
    return DaskTaskRunner(address=dask)


def _try_all(request: SweepRequest, jobs: list[Job]) -> tuple[dict[str, Any], int]:
    """What the trials came to, and how many were not started within the budget."""
    end = math.inf if request.budget_s is None else time.monotonic() + request.budget_s
    title = f"trials of {request.model}"
    futures = run_all(title, jobs, request.workers, until=lambda: time.monotonic() >= end)
    outcomes: dict[str, Any] = {}
    for job, future in zip(jobs, futures, strict=False):
        found: Any = future.result(raise_on_failure=False)
        outcomes[job.name] = str(found) if isinstance(found, BaseException) else found
    return outcomes, len(jobs) - len(futures)


def _search(search: Search) -> None:
    """Runs the trials that the search proposes, `workers` at a time."""
    request = search.request
    title, total = f"trials of {request.model}", request.trials or 0

    @task(
        name="trial",
        task_run_name="{name}",
        description="The training of one trial, in a separate process.",
        tags={"training"},
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    def run_trial(name: str, number: int) -> None:
        trial, job = asked[number]
        search.run(trial, job, request.workers)

    asked: dict[int, Any] = {}
    pending: list[PrefectFuture[Any]] = []
    while True:
        if len(pending) < request.workers and (found := search.ask()):
            asked[len(asked)] = found
            pending.append(run_trial.submit(found[1].name, len(asked) - 1))
            continue
        if not pending:
            return
        report(title, len(asked) - len(pending), max(total, len(asked)))
        pending.remove(next(as_completed(pending)))


def _publish(spec: ModelSpec, request: SweepRequest, best: Mapping[str, Job]) -> dict[str, Any]:
    """Runs the best trials to the end: their trainings are in the store, the gate decides."""
    jobs = [make_final(trial) for trial in best.values()]
    title = f"published of {spec.name}"
    return run_jobs(
        title, jobs, workers=request.workers, key=f"{spec.name}-sweep-published", mean=True
    )


def _show(table: Mapping[str, Any], key: str) -> None:
    columns = [column or "outcome" for column in table["columns"]]
    create_table_artifact(
        table=[dict(zip(columns, row, strict=True)) for row in table["rows"]],
        key=key,
        description=table["title"],
    )
