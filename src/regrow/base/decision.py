"""The decision on a trained version: whether it became the champion, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import ConfigDict, TypeAdapter, with_config

Action = Literal[
    "first",
    "promoted",
    "kept",
    "refused",
    "held",
    "approved",
    "rejected",
    "rolled-back",
    "frozen",
    "unfrozen",
]
HoldKind = Literal[
    "incompatible", "drift", "override", "trial", "frozen", "baseline", "minimum", "approval"
]


@dataclass(frozen=True)
class Hold:
    """Why a version is not promoted without a person's approval.

    Attributes:
        kind: "incompatible": the champion cannot be scored on this data; "drift": the data has
            changed severely; "override": the run had other data or another split than the model
            declares; "trial": a run of a sweep, in earlier versions' logs; "frozen": a person froze
            the champion; "baseline": there is no champion, and the version is no better than the
            simplest baseline; "minimum": its figure is worse than `Gate.minimum`; "approval": every
            version waits for a person.
        reason: in words, to follow "because".
    """

    kind: HoldKind
    reason: str


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True)
class Decision:
    """One decision and its numbers.

    Attributes:
        model: the registered model's name.
        action: "first" or "promoted" made `version` champion, "kept" did not, "refused" had no
            usable figure, "held" waits for a person, who "approved" or "rejected" it,
            "rolled-back" went back to `version`, "frozen" and "unfrozen" changed no champion.
        version: the version that was judged.
        champion_before: the champion's version until then, or None.
        champion_after: the champion's version from then on, or None.
        metric: what decided; `challenger` and `champion` are its values on the same test data.
        margin: by which share of the champion's figure the challenger had to be better.
        reason: the decision in a sentence.
        data_version: which data the challenger was trained on.
        key: identifies the release, so that a decision is logged once.
        at: when, ISO 8601 in UTC.
        hold: why the version is held, or was until a person decided; None if it never was.
        by: the person who decided, as given or user@host; "" for the gate.
    """

    model: str
    action: Action
    version: int
    champion_before: int | None
    champion_after: int | None
    metric: str
    challenger: float | None
    champion: float | None
    margin: float
    reason: str
    data_version: str
    key: str
    at: str
    hold: HoldKind | None = None
    by: str = ""

    @property
    def is_review(self) -> bool:
        """Whether a person has decided that `version`, which was held, becomes champion or not."""
        return self.action in ("approved", "rejected")

    @property
    def moves_alias(self) -> bool:
        """Whether `version` is to become the champion."""
        return self.action in ("first", "promoted", "approved", "rolled-back")


_ADAPTER = TypeAdapter(Decision)


def parse_decision(values: Mapping[str, Any]) -> Decision:
    """A decision from its JSON.

    Raises:
        ValueError: a field is missing or unknown, or has a value of another type.
    """
    return _ADAPTER.validate_python(values)
