"""The Prefect task of each stage, made from a `Policy`: retries, time-out, tags, work pools."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prefect import Task, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.runtime import task_run as current_attempt
from prefect.states import Completed
from prefect.tasks import exponential_backoff

from regrow.base.errors import is_transient
from regrow.base.progress import report, showing_to
from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.request import RunRequest
from regrow.pipeline.stages import STAGES, Stage, StageRef
from regrow.prefect.artifacts import preview_artifacts, progress_artifact
from regrow.prefect.remote_stage import HERE, PICKUP_TIMEOUT_S, run_remotely


@dataclass(frozen=True)
class Policy:
    """How a stage is tried.

    Attributes:
        timeout_s: seconds that one attempt may take.
        retries: attempts after the first, if the failure may pass: network, locks, a dead process.
        tags: tags beside `stage:NAME`; Prefect limits the concurrency of tasks by tag.
        pools: the work pools that run it, in the order in which they are tried, with commas
            ("gpu,here"); "" for the run's own process. A pool without a deployment is left out.
    """

    timeout_s: float = 24 * 3600
    retries: int = 2
    tags: tuple[str, ...] = ()
    pools: str = ""


Policies = Mapping[Stage, Policy]

# A download tries each address several times itself.
DEFAULT_POLICIES: Policies = {**dict.fromkeys(STAGES, Policy()), "download": Policy(retries=1)}


def make_stage_tasks(policies: Policies) -> dict[Stage, Task[..., Any]]:
    """The tasks of all stages."""
    return {stage: make_stage_task(stage, policies[stage]) for stage in STAGES}


def make_stage_task(stage: Stage, policy: Policy) -> Task[..., Any]:
    """A task named after its stage, called with the request, the inputs and the work pools."""

    def run(
        request: RunRequest, inputs: dict[Stage, StageRef], pools: Sequence[str] = ()
    ) -> State[StageRef] | StageRef:
        ref = _run_stage(stage, request, inputs, pools, policy.timeout_s)
        if ref.cached:
            message = f"unchanged: {ref.fingerprint[:12]}"
            return Completed(name="Cached", message=message, data=ref)
        return ref

    return task(
        name=stage,
        task_run_name=stage,
        description=f"Stage {stage}: finds its result by fingerprint, or builds it.",
        retries=policy.retries,
        retry_delay_seconds=exponential_backoff(backoff_factor=2),
        retry_jitter_factor=0.5,
        retry_condition_fn=is_retryable,
        timeout_seconds=policy.timeout_s,
        tags={f"stage:{stage}", *policy.tags},
        # The fingerprint is the cache: Prefect's cache key does not check whether the files still
        # exist and are undamaged.
        cache_policy=NO_CACHE,
        persist_result=False,
    )(run)


def is_retryable(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed task may succeed if it is tried again: network and lock errors, not data."""
    try:
        state.result()
    except Exception as error:
        return is_transient(error)
    return False


def _run_stage(
    stage: Stage,
    request: RunRequest,
    inputs: Mapping[Stage, StageRef],
    pools: Sequence[str],
    timeout_s: float,
) -> StageRef:
    """Runs the stage in this process, or in the pool whose turn it is.

    Each attempt goes to the next pool: the machine of the previous one may be gone.
    """
    pipeline = Pipeline(get_spec(request.model), request, read_environment())
    attempt = int(current_attempt.run_count or 1) - 1
    pool = pools[attempt % len(pools)] if pools else HERE
    if pool == HERE:
        with (
            progress_artifact(f"{request.model}-{stage}-progress"),
            showing_to(preview_artifacts(request.model)),
        ):
            return pipeline.run_stage(stage, inputs, report)
    return run_remotely(
        pipeline,
        stage,
        inputs,
        pool,
        timeout_s=timeout_s,
        pickup_timeout_s=PICKUP_TIMEOUT_S if len(pools) > 1 else None,
    )
