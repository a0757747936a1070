"""An earlier champion put back, from the dashboard as from the command line."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact

from flows.notices import notify, tell_failure
from regrow.engine.config import read_environment
from regrow.engine.gate import read_decisions
from regrow.engine.notify import notice_champion
from regrow.engine.publish import open_registry
from regrow.models import get_spec


@flow(
    name="rollback",
    description="Makes an earlier version the champion again.",
    on_failure=[tell_failure],
)
def rollback(
    model: str, version: int | None = None, scope: str = "", sample: bool = False
) -> dict[str, Any]:
    """Makes an earlier version the champion again, after it was loaded and run.

    Args:
        model: the model's name.
        version: which; by default the champion before the present one.
        scope: which of the model's champions, such as qa02.
        sample: whether it is the champion that the sample trained.

    Returns:
        The decision, as it stands in the log.
    """
    registry = open_registry(get_spec(model), read_environment(), sample=sample, scope=scope)
    decision = registry.rollback(version)
    notify(notice_champion(decision))
    columns = ("at", "action", "version", "champion_after", "reason")
    create_table_artifact(
        table=[
            {name: asdict(found)[name] for name in columns}
            for found in read_decisions(registry.decisions)
        ],
        key=f"{model}-decisions",
        description=decision.reason,
    )
    return asdict(decision)
