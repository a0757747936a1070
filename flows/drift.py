"""How far new inputs have moved from what the champion was trained on."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact
from prefect.client.schemas.objects import State
from prefect.states import Completed

from flows.notices import tell_failure
from regrow.engine.config import read_environment, registered_name
from regrow.engine.inputs_drift import check_inputs
from regrow.models import get_spec


@flow(name="drift", flow_run_name="drift of {model}", on_failure=[tell_failure])
def drift(
    model: str,
    files: list[Path] | None = None,
    version: int | None = None,
    scope: str = "",
    sample: bool = False,
) -> dict[str, Any] | State[dict[str, Any]]:
    """Compares files to predict from with the champion's training data, where both are tables.

    Args:
        model: the model's name.
        files: by default all that is in inbox/REGISTERED below REGROW_HOME.
        version: a version other than the champion.
        scope: which of the model's champions, such as qa02.
        sample: whether it is the champion that the sample trained.
    """
    spec, settings = get_spec(model), read_environment()
    inbox = settings.home / "inbox" / registered_name(spec.name, scope, sample=sample)
    paths = files or sorted(p for p in inbox.glob("[!.]*") if p.is_file())
    if not paths:
        return Completed(name="Nothing to compare", message=f"no files in {inbox}", data={})
    found = check_inputs(spec, settings, paths, version=version, scope=scope, sample=sample)
    create_table_artifact(
        table=found["findings"], key=f"{model}-drift", description=found["verdict"]
    )
    if found["drifted"]:
        return Completed(name="Drifted", message=found["verdict"], data=found)
    return found
