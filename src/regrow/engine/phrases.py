"""What a run came to, in sentences: its figure beside the baseline, and the gate's decision."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from regrow.engine.present import (
    choose_decimals,
    format_number,
    humanise,
    is_number,
    list_facts,
    magnitude,
)


@dataclass(frozen=True)
class Headline:
    """The figure that a run is known by, as text.

    Attributes:
        label: what was measured, e.g. "RMSE on the last 30 %".
        value: the figure without its unit.
        spread: "± ..." or "".
        unit: the unit or "".
        seeds: "5 seeds" or "".
        baseline: the best baseline's name and figure with its unit, or None.
        comparison: the figure against the best baseline in words, or "".
        wish: "smaller is better" or "larger is better".
        is_better: whether it beats the baseline; None without one.
        shares: lengths of two bars, the figure's and the baseline's, in per cent; or None.
        sentence: all of it in one sentence.
    """

    label: str
    value: str
    spread: str
    unit: str
    seeds: str
    baseline: tuple[str, str] | None
    comparison: str
    wish: str
    is_better: bool | None
    shares: tuple[float, float] | None
    sentence: str


@dataclass(frozen=True)
class Decision:
    """The gate's decision: a word, a tone ("good", "neutral", "bad"), a sentence, the figures."""

    badge: str
    tone: str
    sentence: str
    facts: tuple[tuple[str, str], ...]


def state_headline(evaluation: Mapping[str, Any]) -> Headline | None:
    """The headline of evaluation.json in words; None where it has none."""
    found = evaluation.get("headline")
    if not found or not is_number(found.get("value")):
        return None
    value, unit = float(found["value"]), str(found.get("unit") or "")
    spread, seeds = found.get("spread"), found.get("seeds")
    decimals = _decimals_beside(value, spread)
    spread_text = f"± {format_number(spread, decimals)}" if is_number(spread) and spread else ""
    seeds_text = "" if not seeds else f"{seeds} seed{'s' if seeds != 1 else ''}"
    baseline, comparison, is_better, shares = _compare(found, value, unit)
    label = str(found.get("label") or found.get("metric") or "result")
    figure = " ".join(part for part in (format_number(value, decimals), spread_text, unit) if part)
    over = f" (mean and spread over {seeds_text})" if spread_text and seeds_text else ""
    over = over or (f" ({seeds_text})" if seeds_text else "")
    sentence = f"{label}: {figure}{over}{', ' + comparison if comparison else ''}."
    return Headline(
        label=label,
        value=format_number(value, decimals),
        spread=spread_text,
        unit=unit,
        seeds=seeds_text,
        baseline=baseline,
        comparison=comparison,
        wish="smaller is better" if _is_minimised(found) else "larger is better",
        is_better=is_better,
        shares=shares,
        sentence=sentence,
    )


def state_decision(decision: Mapping[str, Any] | None) -> Decision:
    """The gate's decision in one sentence, with the figures that it rests on."""
    if not decision:
        return Decision("Not decided", "neutral", "The gate has not compared this model yet.", ())
    action = str(decision.get("action") or "decided")
    badge, tone = _badge(action)
    version = decision.get("version")
    reason = str(decision.get("reason") or "").strip()
    sentence = reason[:1].upper() + reason[1:] if reason else f"{badge}."
    if not sentence.endswith((".", "!", "?")):
        sentence += "."
    shown = {k: v for k, v in decision.items() if k not in ("action", "reason", "version")}
    facts = [("version", str(version))] if version is not None else []
    return Decision(badge, tone, sentence, (*facts, *list_facts(shown)))


def _compare(
    headline: Mapping[str, Any], value: float, unit: str
) -> tuple[tuple[str, str] | None, str, bool | None, tuple[float, float] | None]:
    baseline = headline.get("baseline")
    if not baseline or not is_number(baseline.get("value")):
        return None, "", None, None
    other, name = float(baseline["value"]), str(baseline.get("name") or "baseline")
    shown = f"{format_number(other)} {unit}".strip()
    is_better = value < other if _is_minimised(headline) else value > other
    tail = f"the best baseline, {name} ({shown})"
    if value == other:
        words = f"the same as {tail}"
    elif _is_minimised(headline) and value > 0 and other > 0:
        words = f"{_relate(value, other)} {tail}"
    else:
        words = (
            f"{format_number(abs(value - other))} {'above' if value > other else 'below'} {tail}"
        )
    longest = max(value, other)
    are_bars = min(value, other) >= 0 and longest > 0
    shares = (
        (round(100 * value / longest, 2), round(100 * other / longest, 2)) if are_bars else None
    )
    return (name, shown), words, is_better, shares


def _is_minimised(headline: Mapping[str, Any]) -> bool:
    return bool(headline.get("direction", "minimize") == "minimize")


def _relate(value: float, other: float) -> str:
    if other / value >= 2:
        return f"{format_number(_round_off(other / value))} times smaller than"
    if value / other >= 2:
        return f"{format_number(_round_off(value / other))} times as large as"
    share = abs(value / other - 1)
    return f"{share:.0%} {'below' if value < other else 'above'}".replace("%", " %")


def _round_off(factor: float) -> float | int:
    return round(factor) if factor >= 10 else round(factor, 1)


def _badge(action: str) -> tuple[str, str]:
    word = action.lower()
    if word.startswith(("promot", "publish", "first", "accept", "champion")):
        return "Champion", "good"
    if word.startswith(("reject", "fail", "refus")):
        return "Rejected", "bad"
    if word.startswith(("keep", "kept", "hold", "challenger")):
        return "Champion kept", "neutral"
    if word.startswith(("roll",)):
        return "Rolled back", "neutral"
    return humanise(action).capitalize(), "neutral"


def _decimals_beside(value: float, spread: Any) -> int:
    """Decimals that show two digits of a spread that starts with 1 or 2, else one digit of it."""
    if not is_number(spread) or spread <= 0:
        return choose_decimals(float(value))
    leading = spread / 10 ** magnitude(spread)
    digits = 2 if leading < 3 else 1
    return min(max(digits - 1 - magnitude(spread), 0), 6)
