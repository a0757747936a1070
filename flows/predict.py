"""The champions' answers for what has come into folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run as current_run
from prefect.states import Completed

from flows.notices import tell_failure
from regrow.engine.batch import predict_folder
from regrow.engine.config import parse_registered, read_environment, registered_name
from regrow.engine.errors import UserError
from regrow.models import get_spec


def name_run() -> str:
    """A run's name: whose predictions they are."""
    return f"predict with {current_run.parameters.get('model') or 'all that have an inbox'}"


@flow(name="predict", flow_run_name=name_run, on_failure=[tell_failure])
def predict(
    model: str | None = None,
    inputs: Path | None = None,
    outputs: Path | None = None,
    version: int | None = None,
    scope: str = "",
    sample: bool = False,
) -> dict[str, Any] | State[dict[str, Any]]:
    """Predicts for every file of a folder that no output is there for yet.

    Args:
        model: the model's name. Without it, each folder below REGROW_HOME/inbox is predicted for by
            the champion whose registered name it has, such as question-answering.qa02; what is said
            of folders, version, scope and sample does not count then.
        inputs: the folder; by default inbox/REGISTERED below REGROW_HOME.
        outputs: where the Parquet files go; by default predictions/REGISTERED below REGROW_HOME.
        version: a version other than the champion.
        scope: which of the model's champions, such as qa02.
        sample: whether it is the champion that the sample trained.

    Returns:
        What `predict_folder` found, by registered name.
    """
    home = read_environment().home
    found: dict[str, Any] = {}
    if model is not None:
        name = registered_name(get_spec(model).name, scope, sample=sample)
        folder = inputs or home / "inbox" / name
        if inputs is None:
            folder.mkdir(parents=True, exist_ok=True)
        found[name] = _predict_one(name, folder, outputs, version)
    else:
        for folder in sorted(path for path in home.glob("inbox/[!.]*") if path.is_dir()):
            try:
                found[folder.name] = _predict_one(folder.name, folder)
            except UserError as error:  # of one model; the others are predicted with
                bad = [{"file": str(folder), "why": str(error)}]
                found[folder.name] = {"model": None, "predicted": [], "known": 0, "bad": bad}
    if failed := [name for name, one in found.items() if one["bad"]]:
        message = f"some could not be predicted: {', '.join(failed)}"
        return Completed(name="Bad files", message=message, data=found)
    return found


def _predict_one(
    name: str, inputs: Path, outputs: Path | None = None, version: int | None = None
) -> dict[str, Any]:
    settings = read_environment()
    model, scope, sample = parse_registered(name)
    found = predict_folder(
        get_spec(model),
        settings,
        inputs,
        outputs or settings.home / "predictions" / name,
        version=version,
        scope=scope,
        sample=sample,
    )
    rows = [{"file": one["file"], "rows": one["rows"], "why": ""} for one in found["predicted"]]
    rows += [{"file": one["file"], "rows": None, "why": one["why"]} for one in found["bad"]]
    if rows:
        summary = f"{len(found['predicted'])} predicted by {found['model']}"
        key = f"{name.replace('.', '-').lower()}-predictions"
        create_table_artifact(
            table=rows, key=key, description=f"{summary}, {len(found['bad'])} bad"
        )
    return found
