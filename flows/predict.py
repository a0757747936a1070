"""The champion's answers for what has come into a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.notices import tell_failure
from regrow.engine.batch import predict_folder
from regrow.engine.config import read_environment
from regrow.models import get_spec


@flow(name="predict", flow_run_name="predict with {model}", on_failure=[tell_failure])
def predict(
    model: str,
    inputs: Path | None = None,
    outputs: Path | None = None,
    version: int | None = None,
    scope: str = "",
    sample: bool = False,
) -> dict[str, Any] | State[dict[str, Any]]:
    """Predicts for every file of a folder that no output is there for yet.

    Args:
        model: the model's name.
        inputs: the folder; by default inbox/MODEL below REGROW_HOME.
        outputs: where the Parquet files go; by default predictions/MODEL below REGROW_HOME.
        version: a version other than the champion.
        scope: which of the model's champions, such as qa02.
        sample: whether it is the champion that the sample trained.
    """
    spec, settings = get_spec(model), read_environment()
    if inputs is None:
        inputs = settings.home / "inbox" / spec.name
        inputs.mkdir(parents=True, exist_ok=True)
    outputs = outputs or settings.home / "predictions" / spec.name
    found = predict_folder(
        spec, settings, inputs, outputs, version=version, scope=scope, sample=sample
    )
    rows = [{"file": one["file"], "rows": one["rows"], "why": ""} for one in found["predicted"]]
    rows += [{"file": one["file"], "rows": None, "why": one["why"]} for one in found["bad"]]
    if not rows:
        return found
    summary = f"{len(found['predicted'])} predicted by {found['model']}, {len(found['bad'])} bad"
    create_table_artifact(table=rows, key=f"{model}-predictions", description=summary)
    if found["bad"]:
        return Completed(name="Bad files", message=summary, data=found)
    return found
