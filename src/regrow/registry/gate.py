"""The gate: whether a challenger becomes champion, and the append-only log of such decisions."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

from regrow.base.decision import Action, Decision, Hold, parse_decision
from regrow.base.files import append_line
from regrow.base.locks import exclusive
from regrow.base.spec import Gate
from regrow.report.numbers import name_metric


def decide(
    gate: Gate,
    *,
    model: str,
    version: int,
    champion_version: int | None,
    challenger: Mapping[str, float],
    champion: Mapping[str, float] | None,
    holds: Sequence[Hold] = (),
    data_version: str = "",
    key: str = "",
) -> Decision:
    """Judges a challenger by its score on the test data on which the champion was scored as well.

    Args:
        champion: the champion's score; None if there is no champion, or if it cannot be scored.
        holds: why the challenger must not become champion without a person's approval.
    """
    new = challenger.get(gate.metric, math.nan)
    old = None if champion is None else champion.get(gate.metric, math.nan)
    action, reason = _judge(gate, version, champion_version, new, old)
    if action == "held" and not any(hold.kind == "incompatible" for hold in holds):
        why = "the champion has no score on this data" if old is None else f"it is {old}"
        holds = [Hold("incompatible", why), *holds]
    if gate.minimum is not None and _is_worse(gate, new, gate.minimum):
        limit = f"its {gate.metric} of {new:.5g} is worse than the minimum, {gate.minimum:.5g}"
        holds = [*holds, Hold("minimum", limit)]
    decision = Decision(
        model=model,
        action=action,
        version=version,
        champion_before=champion_version,
        champion_after=version if action in ("first", "promoted") else champion_version,
        metric=gate.metric,
        challenger=_finite(new),
        champion=_finite(old),
        margin=gate.margin,
        reason=reason,
        data_version=data_version,
        key=key,
        at=now(),
    )
    return hold_back(decision, holds)


def hold_back(decision: Decision, holds: Sequence[Hold]) -> Decision:
    """The decision, or that the version is held where it would become champion in spite of one."""
    if not holds or not (decision.moves_alias or decision.action == "held"):
        return decision
    why = "; ".join(hold.reason for hold in holds)
    return replace(
        decision,
        action="held",
        champion_after=decision.champion_before,
        hold=holds[0].kind,
        reason=f"version {decision.version} waits for approval, because {why} ({decision.reason})",
    )


def _judge(
    gate: Gate, version: int, champion_version: int | None, new: float, old: float | None
) -> tuple[Action, str]:
    metric = name_metric(gate.metric, gate.unit)
    figure = f"{metric} {new:.5g} {gate.unit}".rstrip()
    if not math.isfinite(new):
        return "refused", f"version {version} is refused: its {metric} is {new}"
    if champion_version is None:
        return "first", f"version {version} is the first champion, with {figure}"
    if old is None or not math.isfinite(old):
        return "held", f"{figure}; champion {champion_version} has no score on this data"
    gain = old - new if gate.direction == "minimize" else new - old
    needed = gate.margin * abs(old)
    beside = f"{figure} against {old:.5g} on the same test data"
    if gain > needed:
        return "promoted", f"version {version} replaces champion {champion_version}: {beside}"
    return "kept", (
        f"champion {champion_version} stays; version {version} is not better by "
        f"{gate.margin:.1%}: {beside}"
    )


def _is_worse(gate: Gate, figure: float, limit: float) -> bool:
    return figure > limit if gate.direction == "minimize" else figure < limit


def append_decision(path: Path, decision: Decision) -> None:
    """Adds a line to the log, once a key and version, and on disk before this returns."""
    with exclusive(path.with_suffix(".lock")):
        same = (decision.key, decision.version)
        if any((known.key, known.version) == same for known in read_decisions(path)):
            return
        append_line(path, json.dumps(asdict(decision), ensure_ascii=False))


def retire_log(path: Path) -> None:
    """Sets the log aside of a registered model that was deleted: the next one counts from 1 again.

    Its decisions are on other versions of the same numbers.
    """
    with exclusive(path.with_suffix(".lock")):
        if path.is_file():
            path.rename(path.with_name(f"{path.name}.{now().replace(':', '')}"))


def read_decisions(path: Path) -> list[Decision]:
    """All decisions, oldest first; a line that a kill cut short is left out."""
    if not path.is_file():
        return []
    decisions = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            decisions.append(parse_decision(json.loads(line)))
        except (ValueError, TypeError, RecursionError):
            continue
    return decisions


def find_veto(log: Sequence[Decision], version: int) -> Decision | None:
    """The decision of a person against a version, unless a later one made it champion again."""
    for decision in reversed(log):
        if decision.action == "rolled-back" and decision.champion_before == version:
            return decision
        if decision.action == "rejected" and decision.version == version:
            return decision
        if decision.moves_alias and decision.version == version:
            return None
    return None


def now() -> str:
    """This moment in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _finite(value: float | None) -> float | None:
    """NaN and infinity have no JSON."""
    return value if value is not None and math.isfinite(value) else None
