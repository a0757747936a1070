"""One stage of any pipeline, for a worker that another run sends it to (`tasks/elsewhere.py`)."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.runtime import flow_run as current_run

from regrow.engine.config import RunRequest, read_environment
from regrow.engine.errors import UserError
from regrow.engine.pipeline import Stage, StageRef
from tasks.elsewhere import HandedBack, hand_back
from tasks.stages import TASKS


@flow(name="stage", description="One stage of any pipeline, sent here by another run.")
def stage(request: RunRequest, name: Stage, inputs: dict[Stage, StageRef]) -> StageRef:
    """Does the stage and leaves word of it in the store that both workers share.

    Args:
        request: the run that the stage belongs to.
        name: which stage.
        inputs: the results that it reads, by stage.
    """
    settings, run_id = read_environment(), str(current_run.id)
    try:
        state: Any = TASKS[name](request, inputs, return_state=True)
        ref: StageRef = state.result()
    except UserError as error:
        hand_back(settings, run_id, HandedBack(error=str(error)))
        raise
    hand_back(settings, run_id, HandedBack(ref=ref))
    return ref
