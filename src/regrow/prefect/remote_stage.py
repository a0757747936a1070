"""Stages that run on another worker: as a run of the deployment `stage/POOL`, which is waited for.

The worker gets references and finds the data in the REGROW_HOME or the shared store that both use;
it leaves its output there, and the output's reference in `stage-results`. The worker computes the
fingerprint, because its code, libraries and backend may differ (JAX on a GPU).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelled
from pydantic import BaseModel

from regrow.base.errors import ProcessDied, UserError
from regrow.base.files import write_json
from regrow.base.progress import note
from regrow.base.settings import Settings
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.stages import Stage, StageRef, check_stages
from regrow.store.shared import open_shared

POLL_INTERVAL_S = 2
# The pool name that means the run's own process.
HERE = "here"
# A worker polls for work every 15 seconds. With another pool to try, this is long enough to wait.
PICKUP_TIMEOUT_S = 45


class StageResult(BaseModel):
    """What a worker reports about the stage that it ran: its reference, or why there is none."""

    ref: StageRef | None = None
    error: str | None = None


def choose_pools(on: Mapping[Stage, str], preferred: Mapping[Any, str]) -> dict[Stage, list[str]]:
    """The work pools of each stage that may run remotely, in the order in which they are tried.

    Args:
        on: by stage, what the run asks for: pool names with commas, such as "gpu,here".
        preferred: by stage, what model and project prefer; pools without a deployment on this
            server are left out.

    Raises:
        UserError: `on` names an unknown stage, or a pool without a deployment.
    """
    check_stages(on)
    asked = {stage: _split(pools) for stage, pools in on.items()}
    default = {stage: _split(pools) for stage, pools in preferred.items()}
    names = {pool for pools in [*asked.values(), *default.values()] for pool in pools}
    deployed = {pool for pool in names if pool == HERE or _is_deployed(pool)}
    for pool in [pool for pools in asked.values() for pool in pools if pool not in deployed]:
        raise UserError(
            f"there is no deployment for stages in the work pool {pool!r}",
            where="--on",
            received=pool,
            expected=f"a deployment stage/{pool} on this Prefect server, or {HERE!r}",
            remedies=[
                "set PREFECT_API_URL to a permanent server; make ui starts one",
                "make deploy creates stage/gpu; see prefect.yaml for how to add others",
            ],
        )
    available = {s: [pool for pool in pools if pool in deployed] for s, pools in default.items()}
    return {stage: pools for stage, pools in {**available, **asked}.items() if pools}


def run_remotely(
    pipeline: Pipeline,
    stage: Stage,
    inputs: Mapping[Stage, StageRef],
    pool: str,
    *,
    timeout_s: float,
    pickup_timeout_s: float | None = None,
) -> StageRef:
    """Runs a stage in a work pool, waits for its end and returns its reference.

    Args:
        timeout_s: seconds after which it must have ended.
        pickup_timeout_s: seconds after which a worker must have started it; None for no limit.

    Raises:
        ProcessDied: the worker or its machine died, or none started it; may succeed when retried.
        UserError: the stage failed on the worker, or the worker uses another store.
        TimeoutError: it has not ended in time.
    """
    note(f"{stage} was sent to the work pool {pool}")
    submitted: Any = run_deployment(
        f"stage/{pool}",
        parameters={
            "request": pipeline.request.model_dump(mode="json"),
            "name": stage,
            "inputs": {name: ref.model_dump(mode="json") for name, ref in inputs.items()},
        },
        flow_run_name=f"{pipeline.spec.name} {stage}",
        timeout=0,
        as_subflow=True,
    )
    flow_run = _wait(submitted, timeout_s, pickup_timeout_s)
    ref = _read_reference(pipeline.settings, flow_run, pool, timeout_s)
    pipeline.entry(ref)
    return ref.model_copy(update={"place": pool})


def _read_reference(settings: Settings, flow_run: FlowRun, pool: str, timeout_s: float) -> StageRef:
    """The reference that a finished run has stored; see `run_remotely` for the errors."""
    state = flow_run.state
    outcome = f"{flow_run.name} on {pool}: {state.message or state.name if state else 'no state'}"
    if state is None or not state.is_final():
        raise TimeoutError(f"{outcome}; not finished after {timeout_s:.0f} s")
    if state.is_crashed() or state.is_cancelled():
        raise ProcessDied(outcome)
    result = take_result(settings, str(flow_run.id))
    if result is None and not state.is_completed():
        raise RuntimeError(outcome)
    if result is None:
        raise _other_store(settings, flow_run.name, pool)
    if result.ref is None:
        raise UserError(result.error or outcome)
    return result.ref


def write_result(settings: Settings, flow_run_id: str, result: StageResult) -> None:
    """Stores the result where the run that waits for it looks."""
    if shared := open_shared(settings):
        shared.write_signed(_shared_name(flow_run_id), result.model_dump(mode="json"))
    else:
        path = settings.home.stage_results / f"{flow_run_id}.json"
        write_json(path, result.model_dump(mode="json"))


def take_result(settings: Settings, flow_run_id: str) -> StageResult | None:
    """Reads and removes the result that a worker stored; None if there is none.

    Raises:
        NotSigned: whoever stored it does not have the key of this machine.
    """
    if shared := open_shared(settings):
        content = shared.read_signed(_shared_name(flow_run_id))
        if content is None:
            return None
        shared.remove(_shared_name(flow_run_id))
        return StageResult.model_validate(content)
    path = settings.home.stage_results / f"{flow_run_id}.json"
    text = path.read_bytes() if path.exists() else None
    path.unlink(missing_ok=True)
    return None if text is None else StageResult.model_validate_json(text)


def _shared_name(flow_run_id: str) -> str:
    return f"stage-results/{flow_run_id}.json"


def _other_store(settings: Settings, flow_run: str, pool: str) -> UserError:
    return UserError(
        f"a worker of the pool {pool} completed {flow_run}, but stored no result here",
        where=str(settings.home),
        expected="the same REGROW_HOME or REGROW_SHARED_STORE for all workers",
        remedies=[
            "set REGROW_HOME on that worker to the mount point of this folder",
            "or set REGROW_SHARED_STORE to the same address for this run and for that worker",
        ],
    )


def _wait(flow_run: FlowRun, timeout_s: float, pickup_timeout_s: float | None) -> FlowRun:
    """The run at its end or after the time-out; cancelled if no worker starts it in time."""
    started = time.monotonic()
    with get_client(sync_client=True) as client:
        while True:
            flow_run = client.read_flow_run(flow_run.id)
            waited, state = time.monotonic() - started, flow_run.state
            if (state and state.is_final()) or waited > timeout_s:
                return flow_run
            if pickup_timeout_s is not None and waited > pickup_timeout_s:
                if state is None or state.is_scheduled():
                    late = f"no worker took it within {pickup_timeout_s:.0f} s"
                    client.set_flow_run_state(flow_run.id, Cancelled(message=late), force=True)
                pickup_timeout_s = None
            time.sleep(POLL_INTERVAL_S)


def _split(pools: str) -> list[str]:
    return [pool.strip() for pool in pools.split(",") if pool.strip()]


def _is_deployed(pool: str) -> bool:
    with get_client(sync_client=True) as client:
        try:
            client.read_deployment_by_name(f"stage/{pool}")
        except ObjectNotFound:
            return False
    return True
