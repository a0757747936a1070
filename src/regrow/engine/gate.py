"""The gate: whether a challenger becomes champion, and the append-only log of such decisions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from regrow.engine.locks import exclusive
from regrow.engine.spec import Gate
from regrow.engine.store import append_line

Action = Literal["first", "promoted", "kept", "refused", "rolled-back"]


@dataclass(frozen=True)
class Decision:
    """One decision and its numbers.

    Attributes:
        model: the registered model's name.
        action: "first" or "promoted" made `version` champion, "kept" did not, "refused" had no
            usable figure, "rolled-back" went back to `version`.
        version: the version that was judged.
        champion_before: the champion's version until then, or None.
        champion_after: the champion's version from then on, or None.
        metric: what decided; `challenger` and `champion` are its values on the same test data.
        margin: by which share of the champion's figure the challenger had to be better.
        reason: the decision in a sentence.
        data_version: which data the challenger was trained on.
        key: identifies the release, so that a decision is logged once.
        at: when, ISO 8601 in UTC.
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

    @property
    def moves_alias(self) -> bool:
        """Whether `version` is to become the champion."""
        return self.action in ("first", "promoted", "rolled-back")


def decide(
    gate: Gate,
    *,
    model: str,
    version: int,
    champion_version: int | None,
    challenger: Mapping[str, float],
    champion: Mapping[str, float] | None,
    trouble: str | None = None,
    data_version: str = "",
    key: str = "",
) -> Decision:
    """Judges a challenger by its score on the test data on which the champion was scored as well.

    Args:
        champion: the champion's score; None if there is no champion, or if it could not be scored.
        trouble: why the champion could not be loaded or scored any more.
    """
    new = challenger.get(gate.metric, math.nan)
    old = None if champion is None else champion.get(gate.metric, math.nan)
    action, reason = _judge(gate, version, champion_version, new, old, trouble)
    after = version if action in ("first", "promoted") else champion_version
    return Decision(
        model=model,
        action=action,
        version=version,
        champion_before=champion_version,
        champion_after=after,
        metric=gate.metric,
        challenger=_finite(new),
        champion=_finite(old),
        margin=gate.margin,
        reason=reason,
        data_version=data_version,
        key=key,
        at=now(),
    )


def _judge(
    gate: Gate,
    version: int,
    champion_version: int | None,
    new: float,
    old: float | None,
    trouble: str | None,
) -> tuple[Action, str]:
    figure = f"{gate.metric} {new:.5g} {gate.unit}".rstrip()
    if not math.isfinite(new):
        return "refused", f"version {version} is refused: its {gate.metric} is {new}"
    if champion_version is None:
        return "first", f"version {version} is the first champion, with {figure}"
    if old is None or not math.isfinite(old):
        why = trouble or f"its {gate.metric} is {old}"
        return "promoted", (
            f"version {version} replaces champion {champion_version}, "
            f"which could not be scored ({why}), with {figure}"
        )
    gain = old - new if gate.direction == "minimize" else new - old
    needed = gate.margin * abs(old)
    beside = f"{figure} against {old:.5g} on the same test data"
    if gain > needed:
        return "promoted", f"version {version} replaces champion {champion_version}: {beside}"
    return "kept", (
        f"champion {champion_version} stays; version {version} is not better by "
        f"{gate.margin:.1%}: {beside}"
    )


def append_decision(path: Path, decision: Decision) -> None:
    """Adds a line to the log, once a key, and on disk before this returns."""
    with exclusive(path.with_suffix(".lock")):
        if any(known.key == decision.key for known in read_decisions(path)):
            return
        append_line(path, json.dumps(asdict(decision), ensure_ascii=False))


def read_decisions(path: Path) -> list[Decision]:
    """All decisions, oldest first; a line that a kill cut short is left out."""
    if not path.is_file():
        return []
    decisions = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            decisions.append(parse_decision(json.loads(line)))
        except (ValueError, TypeError):
            continue
    return decisions


def parse_decision(values: Mapping[str, Any]) -> Decision:
    """A decision from its JSON.

    Raises:
        TypeError: a field is missing or unknown.
    """
    return Decision(**values)


def now() -> str:
    """This moment in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _finite(value: float | None) -> float | None:
    """NaN and infinity have no JSON."""
    return value if value is not None and math.isfinite(value) else None
