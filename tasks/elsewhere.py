"""A stage done by another worker: a run of the deployment `stage/POOL`, waited for.

The worker gets references and finds the data in the shared store; what it made it leaves there, and
its reference in `REGROW_HOME/handed-back`. Its code, libraries and backend may be others than here
(JAX on a GPU), so the fingerprint is the worker's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from pydantic import BaseModel

from regrow.engine.config import Settings
from regrow.engine.errors import ProcessDied, UserError
from regrow.engine.pipeline import Pipeline, Stage, StageRef, check_stages
from regrow.engine.spec import ModelSpec
from regrow.engine.store import write_json

POLL_S = 2


class HandedBack(BaseModel):
    """What a worker says of the stage that it was sent: its reference, or why there is none."""

    ref: StageRef | None = None
    error: str | None = None


def choose_pools(spec: ModelSpec, on: Mapping[Stage, str]) -> dict[Stage, str]:
    """The work pools of the stages that are done elsewhere.

    Raises:
        UserError: `on` names something that is no stage, or a pool without a deployment.
    """
    check_stages(on)
    for pool in set(on.values()):
        if not _is_deployed(pool):
            raise UserError(
                f"no worker can be sent stages by the name {pool!r}",
                where="--on",
                received=pool,
                expected=f"a deployment stage/{pool} on this Prefect server",
                remedies=[
                    "PREFECT_API_URL must name a server that lasts: make ui starts one",
                    "make deploy makes stage/gpu; prefect.yaml says how to add others",
                ],
            )
    wished = {cast(Stage, stage): pool for stage, pool in spec.resources.items()}
    there = {pool for pool in set(wished.values()) if _is_deployed(pool)}
    return {**{stage: pool for stage, pool in wished.items() if pool in there}, **on}


def run_elsewhere(
    pipeline: Pipeline,
    stage: Stage,
    inputs: Mapping[Stage, StageRef],
    pool: str,
    *,
    timeout_s: float,
) -> StageRef:
    """Sends a stage to a pool, waits for its end and returns what came of it.

    Raises:
        ProcessDied: the worker or its machine died; another try may find another worker.
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
        timeout=timeout_s,
        poll_interval=POLL_S,
        as_subflow=True,
    )
    flow_run: FlowRun = sent
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
            expected="one REGROW_HOME that all workers share",
            remedies=["set REGROW_HOME on that worker to this folder, as it is mounted there"],
        )
    if handed.ref is None:
        raise UserError(handed.error or said)
    pipeline.entry(handed.ref)
    return handed.ref


def hand_back(settings: Settings, flow_run_id: str, handed: HandedBack) -> None:
    """Leaves word for the run that waits."""
    write_json(_path(settings, flow_run_id), handed.model_dump(mode="json"))


def take_back(settings: Settings, flow_run_id: str) -> HandedBack | None:
    """The word that a worker left, once."""
    path = _path(settings, flow_run_id)
    try:
        handed = HandedBack.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    path.unlink(missing_ok=True)
    return handed


def _path(settings: Settings, flow_run_id: str) -> Path:
    return settings.home / "handed-back" / f"{flow_run_id}.json"


def _is_deployed(pool: str) -> bool:
    with get_client(sync_client=True) as client:
        try:
            client.read_deployment_by_name(f"stage/{pool}")
        except ObjectNotFound:
            return False
    return True
