"""The flow `backfill`: one model on one data version after another."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.operations.retraining import BackfillRequest, list_backfill
from regrow.prefect.jobs import fail_if_any_failed, run_jobs
from regrow.prefect.notifications import notify_failure


@flow(
    name="backfill",
    description="Runs a model on one data version after another.",
    on_failure=[notify_failure],
)
def backfill(request: BackfillRequest) -> dict[str, Any] | State[dict[str, Any]]:
    """Runs the data versions in order, one at a time; a failed one does not stop the others.

    Each run publishes a version of the registered model. The gate compares it with the champion at
    that time, on the test split of that data version.

    Args:
        request: the model, its settings and the data versions.
    """
    jobs = list_backfill(get_spec(request.model), request, read_environment())
    title = f"{request.model} by data version"
    table = run_jobs(title, jobs, workers=1, key=f"{request.model}-backfill")
    return fail_if_any_failed(table)
