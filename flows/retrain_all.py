"""Every model trained again: on new data, after a change of the code, or to be sure."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Failed

from flows.jobs import run_jobs
from flows.notices import tell_failure
from regrow.engine.config import DataChoice
from regrow.engine.retrain import list_retraining
from regrow.models import get_spec, list_models


@flow(
    name="retrain-all",
    description="Runs every model; what fails does not stop the others.",
    on_failure=[tell_failure],
)
def retrain_all(
    models: list[str] | None = None,
    preset: str | None = None,
    data: DataChoice = "real",
    workers: int = 1,
) -> dict[str, Any] | State[dict[str, Any]]:
    """Runs all models, each in a process of its own; what is unchanged is found in the store.

    Args:
        models: only these.
        preset: a preset that all of them have; by default each model's first.
        data: the real files, the samples, or a sample where no place has the real file.
        workers: runs at a time; each needs some 1.5 GB.
    """
    jobs = list_retraining([get_spec(m) for m in models or list_models()], preset=preset, data=data)
    return end_with(run_jobs("all models", jobs, workers=workers, key="retrain-all"))


def end_with(table: dict[str, Any]) -> dict[str, Any] | State[dict[str, Any]]:
    """The table as the flow's result; the flow has failed if one of its runs has."""
    if not table["failed"]:
        return table
    failed = [name for name, found in table["runs"].items() if isinstance(found, str)]
    return Failed(message=f"failed: {', '.join(failed)}", data=table)
