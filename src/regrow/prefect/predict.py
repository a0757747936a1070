"""The flow `predict`: the champions' predictions for new files in folders."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.runtime import flow_run as current_run
from prefect.states import Completed

from regrow.base.errors import UserError
from regrow.base.home import Home
from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.operations.predict_folder import predict_folder
from regrow.pipeline.request import ModelName
from regrow.prefect.notifications import notify_failure
from regrow.registry.names import ChampionRef


def name_run() -> str:
    """A run's name: the model whose predictions it makes."""
    return f"predict with {current_run.parameters.get('model') or 'all models with an inbox'}"


@flow(
    name="predict",
    description="Makes predictions for new files in folders.",
    flow_run_name=name_run,
    on_failure=[notify_failure],
)
def predict(
    model: ModelName | None = None,
    inputs: Path | None = None,
    outputs: Path | None = None,
    version: int | None = None,
    scope: str = "",
    sample: bool = False,
) -> dict[str, Any] | State[dict[str, Any]]:
    """Makes predictions for every file in a folder that has no predictions yet.

    Args:
        model: the model's name. Without it, every folder below REGROW_HOME/inbox is processed with
            the champion whose registered name it has, such as question-answering.qa02, and the
            other parameters are not used.
        inputs: the folder of input files; by default inbox/REGISTERED below REGROW_HOME.
        outputs: the folder of Parquet files; by default predictions/REGISTERED below REGROW_HOME.
        version: the version to use; by default the champion.
        scope: the scope of the champion, such as qa02.
        sample: whether to use the champion that was trained on the sample.

    Returns:
        The result of `predict_folder`, by registered name.
    """
    if model is None:
        found = _predict_inboxes(read_environment().home)
    else:
        champion = ChampionRef(get_spec(model).name, scope, sample, version)
        folder = inputs or read_environment().home.inbox / champion.registered
        if inputs is None:
            folder.mkdir(parents=True, exist_ok=True)
        found = {champion.registered: _predict_one(champion, folder, outputs)}
    if failed := [name for name, one in found.items() if one["bad"]]:
        message = f"some files could not be predicted: {', '.join(failed)}"
        return Completed(name="Bad files", message=message, data=found)
    return found


def _predict_inboxes(home: Home) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for folder in sorted(path for path in home.inbox.glob("[!.]*") if path.is_dir()):
        try:
            found[folder.name] = _predict_one(ChampionRef.parse(folder.name), folder)
        except UserError as error:  # concerns one model only
            bad = [{"file": str(folder), "why": str(error)}]
            found[folder.name] = {"model": None, "predicted": [], "known": 0, "bad": bad}
    return found


def _predict_one(
    champion: ChampionRef, inputs: Path, outputs: Path | None = None
) -> dict[str, Any]:
    settings, name = read_environment(), champion.registered
    found = predict_folder(champion, settings, inputs, outputs or settings.home.predictions / name)
    rows = [
        {"file": one["file"], "rows": one["rows"], "outside": one["outside"], "why": ""}
        for one in found["predicted"]
    ]
    rows += [
        {"file": one["file"], "rows": None, "outside": None, "why": one["why"]}
        for one in found["bad"]
    ]
    if rows:
        summary = f"{len(found['predicted'])} predicted by {found['model']}"
        key = f"{name.replace('.', '-').lower()}-predictions"
        create_table_artifact(
            table=rows, key=key, description=f"{summary}, {len(found['bad'])} bad"
        )
    return found
