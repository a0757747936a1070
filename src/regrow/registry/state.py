"""What is in use and what waits: the registry and the log of decisions side by side."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from regrow.base.decision import Decision
from regrow.base.errors import UserError
from regrow.base.settings import Settings
from regrow.registry.gate import read_decisions
from regrow.registry.logs import decision_log
from regrow.registry.lookup import read_standing
from regrow.registry.names import ChampionRef


@dataclass(frozen=True)
class ChampionState:
    """The state of one champion.

    Attributes:
        alias: the version that the registry names as the champion; None if there is none.
        decision: the last decision that was logged.
        held: the decisions on versions that wait for approval and are newer than the champion.
        frozen: why and by whom the champion is frozen; None if it is not.
        problem: that the registry disagrees with the log, or cannot be read; None if all is well.
        trained_at: when the champion was judged first; None if that is not known.
        libraries: the versions of the libraries that it was trained with, as far as is known.
    """

    alias: int | None
    decision: Decision
    held: tuple[Decision, ...]
    frozen: str | None
    problem: str | None
    trained_at: str | None = None
    libraries: Mapping[str, str] = field(default_factory=dict)


def read_state(ref: ChampionRef, settings: Settings) -> ChampionState | None:
    """The state of a champion, without importing MLflow; None if nothing was decided yet."""
    log = read_decisions(decision_log(settings.home, settings.tracking_uri, ref.registered))
    if not log:
        return None
    logged = log[-1].champion_after
    try:
        standing = read_standing(settings.tracking_uri, ref.registered, settings.home)
        alias, frozen, libraries = standing.champion, standing.frozen, standing.libraries
        problem = (
            None
            if alias == logged
            else f"the registry has {_name(alias)} as champion, but the log has {_name(logged)}"
        )
    except UserError as error:
        alias, frozen, libraries = logged, None, None
        problem = f"{error.what} ({error.received})"
    last = {decision.version: decision for decision in log}
    held = tuple(
        decision
        for decision in last.values()
        if decision.action == "held" and decision.version > (alias or 0)
    )
    return ChampionState(
        alias,
        log[-1],
        held,
        frozen,
        problem,
        trained_at=next((decision.at for decision in log if decision.version == alias), None),
        libraries=json.loads(libraries) if libraries else {},
    )


def _name(version: int | None) -> str:
    return "no version" if version is None else f"version {version}"
