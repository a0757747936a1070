"""The flow that runs one stage of any model on a worker of its own (see `remote_stage`)."""

from __future__ import annotations

from typing import Any

from prefect import Flow, flow
from prefect.runtime import flow_run as current_run

from regrow.base.errors import UserError
from regrow.base.settings import read_environment
from regrow.pipeline.request import RunRequest
from regrow.pipeline.stages import Stage, StageRef
from regrow.prefect.remote_stage import StageResult, write_result
from regrow.prefect.tasks import DEFAULT_POLICIES, Policies, make_stage_tasks


def make_stage_flow(policies: Policies = DEFAULT_POLICIES) -> Flow[..., StageRef]:
    """Makes the flow `stage`; deployed as `stage/POOL`, it is what `on` sends stages to."""
    tasks = make_stage_tasks(policies)

    @flow(name="stage", description="Runs one stage of a model for another run.")
    def stage(request: RunRequest, name: Stage, inputs: dict[Stage, StageRef]) -> StageRef:
        """Runs the stage and stores its result for the waiting run.

        Args:
            request: the run that the stage belongs to.
            name: the stage.
            inputs: by stage, the references of the results that it reads.
        """
        settings, run_id = read_environment(), str(current_run.id)
        try:
            state: Any = tasks[name](request, inputs, return_state=True)
            ref: StageRef = state.result()
        except UserError as error:
            write_result(settings, run_id, StageResult(error=str(error)))
            raise
        write_result(settings, run_id, StageResult(ref=ref))
        return ref

    return stage
