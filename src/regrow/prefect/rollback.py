"""The flow `rollback`: an earlier version becomes the champion again."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from prefect import flow
from prefect.artifacts import create_table_artifact

from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.pipeline.notifications import describe_decision
from regrow.pipeline.request import ModelName
from regrow.prefect.notifications import notify, notify_failure
from regrow.registry.champions import open_registry
from regrow.registry.gate import read_decisions
from regrow.registry.names import ChampionRef
from regrow.registry.reviews import roll_back


@flow(
    name="rollback",
    description="Makes an earlier version the champion again.",
    on_failure=[notify_failure],
)
def rollback(
    model: ModelName, version: int | None = None, scope: str = "", sample: bool = False
) -> dict[str, Any]:
    """Makes an earlier version the champion again, after testing that it works.

    Args:
        model: the model's name.
        version: the version; by default the champion before the current one.
        scope: the scope of the champion, such as qa02.
        sample: whether to change the champion that was trained on the sample.

    Returns:
        The decision, as in the decision log.
    """
    registry = open_registry(ChampionRef(get_spec(model).name, scope, sample), read_environment())
    decision = roll_back(registry, version)
    notify(describe_decision(decision))
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
