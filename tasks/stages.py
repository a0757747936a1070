"""One Prefect task per stage: the engine says what it does, this file when it is tried again."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prefect import Task, task
from prefect.artifacts import create_image_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State, TaskRun
from prefect.states import Completed
from prefect.tasks import exponential_backoff

from regrow.engine.config import RunRequest, read_environment
from regrow.engine.errors import is_transient
from regrow.engine.pipeline import STAGES, Pipeline, Stage, StageRef
from regrow.engine.progress import ShowPicture, report, showing_to
from regrow.models import get_spec
from tasks.elsewhere import HERE, TAKEN_WITHIN_S, pool_of_this_try, run_elsewhere
from tasks.progress import progress_bar


@dataclass(frozen=True)
class Policy:
    """How often a stage is tried, for how long, and under which concurrency tags."""

    timeout_s: float
    retries: int = 2
    tags: tuple[str, ...] = ()


# The download tries each place several times by itself, so one more round is enough here.
POLICIES: dict[Stage, Policy] = {
    "download": Policy(timeout_s=3600, retries=1, tags=("network",)),
    "clean": Policy(timeout_s=1800),
    "validate": Policy(timeout_s=1800),
    "train": Policy(timeout_s=24 * 3600, tags=("training",)),
    "evaluate": Policy(timeout_s=4 * 3600, tags=("training",)),
    "publish": Policy(timeout_s=1800, tags=("registry",)),
}


def may_pass(_task: Task[..., Any], _run: TaskRun, state: State[Any]) -> bool:
    """Whether a failed stage is worth another try: network and lock errors, never bad data."""
    try:
        state.result()
    except Exception as error:
        return is_transient(error)
    return False


def leave_preview(model: str) -> ShowPicture:
    """Leaves each preview as an image artifact, the next version of the one before.

    The picture is in the address itself, as the server shows no files of this machine.
    """

    def leave(what: str, picture: Path) -> None:
        kind = {".png": "png", ".webp": "webp"}.get(picture.suffix.lower(), "jpeg")
        content = base64.b64encode(picture.read_bytes()).decode()
        create_image_artifact(
            image_url=f"data:image/{kind};base64,{content}",
            key=f"{model}-preview",
            description=what,
        )

    return leave


def _stage_task(stage: Stage) -> Task[..., Any]:
    policy = POLICIES[stage]

    @task(
        name=stage,
        task_run_name=stage,
        description=f"Stage {stage}: finds its result by fingerprint, or makes it.",
        retries=policy.retries,
        retry_delay_seconds=exponential_backoff(backoff_factor=2),
        retry_jitter_factor=0.5,
        retry_condition_fn=may_pass,
        timeout_seconds=policy.timeout_s,
        tags={f"stage:{stage}", *policy.tags},
        # The engine's fingerprint is the cache: Prefect's key never looks whether the files are
        # still there and whole.
        cache_policy=NO_CACHE,
        persist_result=False,
    )
    def run(
        request: RunRequest, inputs: dict[Stage, StageRef], pools: Sequence[str] = ()
    ) -> State[StageRef] | StageRef:
        pipeline = Pipeline(get_spec(request.model), request, read_environment())
        pool = pool_of_this_try(pools)
        if pool == HERE:
            bar = progress_bar(f"{request.model}-{stage}-progress")
            with bar, showing_to(leave_preview(request.model)):
                ref = pipeline.run_stage(stage, inputs, report)
        else:
            ref = run_elsewhere(
                pipeline,
                stage,
                inputs,
                pool,
                timeout_s=policy.timeout_s,
                taken_within_s=TAKEN_WITHIN_S if len(pools) > 1 else None,
            )
        if ref.cached:
            message = f"unchanged: {ref.fingerprint[:12]}"
            return Completed(name="Cached", message=message, data=ref)
        return ref

    return run


TASKS: dict[Stage, Task[..., Any]] = {stage: _stage_task(stage) for stage in STAGES}
