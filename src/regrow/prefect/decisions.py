"""The flows by which a person decides on a champion: `review` and `rollback`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any, Literal

from prefect import flow
from prefect.artifacts import create_table_artifact

from regrow.base.decision import Decision
from regrow.base.errors import UserError
from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.pipeline.notifications import describe_decision
from regrow.pipeline.request import ModelName
from regrow.prefect.notifications import notify, notify_failure
from regrow.registry.champions import open_registry
from regrow.registry.gate import read_decisions
from regrow.registry.names import ChampionRef
from regrow.registry.reviews import approve, reject, roll_back
from regrow.registry.versions import Registry

ACTIONS = {"approve": approve, "reject": reject}


@flow(
    name="review",
    description="Approves or rejects a version that is waiting for a person.",
    on_failure=[notify_failure],
)
def review(
    model: ModelName,
    version: int,
    action: Literal["approve", "reject"],
    why: str,
    by: str,
    scope: str = "",
    sample: bool = False,
) -> dict[str, Any]:
    """Approves or rejects a version that is waiting for a person.

    Args:
        model: the model's name.
        version: the version that is waiting.
        action: "approve" makes it the champion, after testing that it works.
        why: the reason, which is written to the decision log.
        by: who decides, for the decision log.
        scope: the scope of the champion, such as qa02.
        sample: whether the version was trained on the sample.

    Returns:
        The decision, as in the decision log.
    """
    for name, value in (("why", why), ("by", by)):
        if not value.strip():
            raise UserError(f"the review has no value for {name!r}", expected="a text for the log")
    decide = ACTIONS[action]
    ref = ChampionRef(get_spec(model).name, scope, sample)
    return _carry_out(ref, lambda registry: decide(registry, version, why, by))


@flow(
    name="rollback",
    description="Makes an earlier version the champion again.",
    on_failure=[notify_failure],
)
def rollback(
    model: ModelName,
    version: int | None = None,
    why: str = "",
    by: str = "",
    scope: str = "",
    sample: bool = False,
) -> dict[str, Any]:
    """Makes an earlier version the champion again, after testing that it works.

    Args:
        model: the model's name.
        version: the version; by default the champion before the current one.
        why: the reason, which is written to the decision log.
        by: who decides, for the decision log; by default the account of the worker.
        scope: the scope of the champion, such as qa02.
        sample: whether to change the champion that was trained on the sample.

    Returns:
        The decision, as in the decision log.
    """
    ref = ChampionRef(get_spec(model).name, scope, sample)
    return _carry_out(ref, lambda registry: roll_back(registry, version, why, by))


def _carry_out(ref: ChampionRef, decide: Callable[[Registry], Decision]) -> dict[str, Any]:
    """Decides, notifies, and shows the decision log as an artifact."""
    registry = open_registry(ref, read_environment())
    decision = decide(registry)
    if decision.moves_alias:
        notify(describe_decision(decision))
    columns = ("at", "action", "version", "champion_after", "by", "reason")
    create_table_artifact(
        table=[
            {name: asdict(found)[name] for name in columns}
            for found in read_decisions(registry.decisions)
        ],
        key=f"{ref.model}-decisions",
        description=decision.reason,
    )
    return asdict(decision)
