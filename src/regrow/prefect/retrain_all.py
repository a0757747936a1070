"""The flow `retrain-all`: every model, on new data or after a change of the code."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from regrow.base.project import get_spec, list_models
from regrow.operations.retraining import list_retraining
from regrow.pipeline.request import DataChoice, ModelName
from regrow.prefect.jobs import fail_if_any_failed, run_jobs
from regrow.prefect.notifications import notify_failure


@flow(
    name="retrain-all",
    description="Runs every model; a failed model does not stop the others.",
    on_failure=[notify_failure],
)
def retrain_all(
    models: list[ModelName] | None = None,
    preset: str | None = None,
    data: DataChoice = "real",
    workers: int = 1,
) -> dict[str, Any] | State[dict[str, Any]]:
    """Runs all models, each in a separate process; unchanged results are found in the store.

    Args:
        models: the models to run; by default all.
        preset: a preset that all of them have; by default each model's first preset.
        data: the real files, the samples, or a sample only if the real files cannot be obtained.
        workers: maximum number of runs at a time; each needs about 1.5 GB of memory.
    """
    jobs = list_retraining([get_spec(m) for m in models or list_models()], preset=preset, data=data)
    table = run_jobs("all models", jobs, workers=workers, key="retrain-all")
    return fail_if_any_failed(table)
