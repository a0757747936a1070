"""A stage done by another worker: a run of the deployment `stage/POOL`, waited for.

The worker gets references and finds the data in the REGROW_HOME or the shared store that both have;
what it made it leaves there, and its reference in `handed-back`. Its code, libraries and backend
may be others than here (JAX on a GPU), so the fingerprint is the worker's.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, cast

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.runtime import task_run as current_try
from prefect.states import Cancelled
from pydantic import BaseModel

from regrow.engine.config import Settings
from regrow.engine.errors import ProcessDied, UserError
from regrow.engine.pipeline import Pipeline, Stage, StageRef, check_stages
from regrow.engine.shared import open_shared
from regrow.engine.spec import ModelSpec
from regrow.engine.store import write_json

POLL_S = 2
# The name that stands for the run's own process where pools are named.
HERE = "here"
# A worker asks for work every 15 seconds. Who has another place to go waits no longer than this.
TAKEN_WITHIN_S = 45


class HandedBack(BaseModel):
    """What a worker says of the stage that it was sent: its reference, or why there is none."""

    ref: StageRef | None = None
    error: str | None = None


def choose_pools(spec: ModelSpec, on: Mapping[Stage, str]) -> dict[Stage, list[str]]:
    """The work pools of the stages that are done elsewhere, in the order in which they are tried.

    Args:
        on: by stage, names with commas between them, such as "gpu,here".

    Raises:
        UserError: `on` names something that is no stage, or a pool without a deployment.
    """
    check_stages(on)
    named = {stage: _split(pools) for stage, pools in on.items()}
    wished = {cast(Stage, stage): _split(pools) for stage, pools in spec.resources.items()}
    pools = {pool for several in [*named.values(), *wished.values()] for pool in several}
    there = {pool for pool in pools if pool == HERE or _is_deployed(pool)}
    for pool in [pool for several in named.values() for pool in several if pool not in there]:
        raise UserError(
            f"no worker can be sent stages by the name {pool!r}",
            where="--on",
            received=pool,
            expected=f"a deployment stage/{pool} on this Prefect server, or {HERE!r}",
            remedies=[
                "PREFECT_API_URL must name a server that lasts: make ui starts one",
                "make deploy makes stage/gpu; prefect.yaml says how to add others",
            ],
        )
    found = {
        stage: [pool for pool in several if pool in there] for stage, several in wished.items()
    }
    return {stage: several for stage, several in {**found, **named}.items() if several}


def pool_of_this_try(pools: Sequence[str]) -> str:
    """Each try of a task goes to the next pool: the one before may have lost its machine."""
    return pools[(int(current_try.run_count or 1) - 1) % len(pools)] if pools else HERE


def run_elsewhere(
    pipeline: Pipeline,
    stage: Stage,
    inputs: Mapping[Stage, StageRef],
    pool: str,
    *,
    timeout_s: float,
    taken_within_s: float | None = None,
) -> StageRef:
    """Sends a stage to a pool, waits for its end and returns what came of it.

    Args:
        timeout_s: seconds until it must have ended.
        taken_within_s: seconds until a worker must have taken it; None for no such limit.

    Raises:
        ProcessDied: the worker or its machine died, or none took it; another try may be luckier.
        UserError: the stage failed as it would have here, or the worker has another store.
        TimeoutError: it has not ended in time.
    """
    sent: Any = run_deployment(
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
    flow_run = _wait(sent, timeout_s, taken_within_s)
    state = flow_run.state
    said = f"{flow_run.name} on {pool}: {state.message or state.name if state else 'no state'}"
    if state is None or not state.is_final():
        raise TimeoutError(f"{said}; not ended after {timeout_s:.0f} s")
    if state.is_crashed() or state.is_cancelled():
        raise ProcessDied(said)
    handed = take_back(pipeline.settings, str(flow_run.id))
    if handed is None:
        if not state.is_completed():
            raise RuntimeError(said)
        raise UserError(
            f"the worker of pool {pool} did the stage {stage} and left nothing here",
            where=str(pipeline.settings.home),
            expected="one REGROW_HOME that all workers share, or one REGROW_SHARED_STORE",
            remedies=[
                "set REGROW_HOME on that worker to this folder, as it is mounted there",
                "or set REGROW_SHARED_STORE for this run and for that worker to one place",
            ],
        )
    if handed.ref is None:
        raise UserError(handed.error or said)
    pipeline.entry(handed.ref)
    return handed.ref


def hand_back(settings: Settings, flow_run_id: str, handed: HandedBack) -> None:
    """Leaves word for the run that waits, where the results are."""
    if shared := open_shared(settings):
        shared.write(_word(flow_run_id), handed.model_dump_json().encode())
    else:
        write_json(settings.home / _word(flow_run_id), handed.model_dump(mode="json"))


def take_back(settings: Settings, flow_run_id: str) -> HandedBack | None:
    """The word that a worker left, once."""
    if shared := open_shared(settings):
        text = shared.read(_word(flow_run_id))
        if text is not None:
            shared.remove(_word(flow_run_id))
    else:
        path = settings.home / _word(flow_run_id)
        text = path.read_bytes() if path.exists() else None
        path.unlink(missing_ok=True)
    return None if text is None else HandedBack.model_validate_json(text)


def _word(flow_run_id: str) -> str:
    return f"handed-back/{flow_run_id}.json"


def _wait(flow_run: FlowRun, timeout_s: float, taken_within_s: float | None) -> FlowRun:
    """The run at its end or after the time; cancelled if no worker takes it in time."""
    started = time.monotonic()
    with get_client(sync_client=True) as client:
        while True:
            flow_run = client.read_flow_run(flow_run.id)
            waited, state = time.monotonic() - started, flow_run.state
            if (state and state.is_final()) or waited > timeout_s:
                return flow_run
            if taken_within_s is not None and waited > taken_within_s:
                if state is None or state.is_scheduled():
                    late = f"no worker took it within {taken_within_s:.0f} s"
                    client.set_flow_run_state(flow_run.id, Cancelled(message=late), force=True)
                taken_within_s = None
            time.sleep(POLL_S)


def _split(pools: str) -> list[str]:
    return [pool.strip() for pool in pools.split(",") if pool.strip()]


def _is_deployed(pool: str) -> bool:
    with get_client(sync_client=True) as client:
        try:
            client.read_deployment_by_name(f"stage/{pool}")
        except ObjectNotFound:
            return False
    return True
