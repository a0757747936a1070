"""The flow `drift`: compares new inputs with the champion's training data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.operations.input_drift import check_inputs
from regrow.pipeline.request import ModelName
from regrow.prefect.notifications import notify_failure
from regrow.registry.names import ChampionRef


@flow(
    name="drift",
    description="Compares new inputs with the champion's training data.",
    flow_run_name="drift of {model}",
    on_failure=[notify_failure],
)
def drift(
    model: ModelName,
    files: list[Path] | None = None,
    version: int | None = None,
    scope: str = "",
    sample: bool = False,
) -> dict[str, Any] | State[dict[str, Any]]:
    """Compares input files with the champion's training data, for models whose inputs are tables.

    Args:
        model: the model's name.
        files: the input files; by default all files in inbox/REGISTERED below REGROW_HOME.
        version: the version to use; by default the champion.
        scope: the scope of the champion, such as qa02.
        sample: whether to compare with the champion that was trained on the sample.
    """
    champion, settings = (
        ChampionRef(get_spec(model).name, scope, sample, version),
        read_environment(),
    )
    inbox = settings.home.inbox / champion.registered
    paths = files or sorted(p for p in inbox.glob("[!.]*") if p.is_file())
    if not paths:
        return Completed(name="Nothing to compare", message=f"no files in {inbox}", data={})
    found = check_inputs(champion, settings, paths)
    create_table_artifact(
        table=found["findings"], key=f"{model}-drift", description=found["verdict"]
    )
    if found["drifted"]:
        return Completed(name="Drifted", message=found["verdict"], data=found)
    return found
