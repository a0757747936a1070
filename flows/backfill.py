"""A model trained on one data version after another."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State

from flows.jobs import run_jobs
from flows.notices import tell_failure
from flows.retrain_all import end_with
from regrow.engine.config import read_environment
from regrow.engine.retrain import BackfillRequest, list_backfill
from regrow.models import get_spec


@flow(
    name="backfill",
    description="Runs a model on one data version after another.",
    on_failure=[tell_failure],
)
def backfill(request: BackfillRequest) -> dict[str, Any] | State[dict[str, Any]]:
    """Runs the versions in order, one at a time; a bad one does not stop the later ones.

    Each becomes a version of the registered model, and the gate compares it with the champion of
    that moment on the data version's own test split.
    """
    jobs = list_backfill(get_spec(request.model), request, read_environment())
    title = f"{request.model} by data version"
    return end_with(run_jobs(title, jobs, workers=1, key=f"{request.model}-backfill"))
