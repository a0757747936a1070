"""The result of a run in sentences: its figure beside the baseline, and the gate's decision."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from regrow.base.decision import Action, Decision
from regrow.report.evaluation import Headline
from regrow.report.numbers import (
    begin,
    choose_decimals,
    format_number,
    format_value,
    magnitude,
)

# For each action of the gate a word, and the tone of its badge.
BADGES: Mapping[Action, tuple[str, str]] = {
    "first": ("Champion", "good"),
    "promoted": ("Champion", "good"),
    "kept": ("Champion kept", "neutral"),
    "refused": ("Rejected", "bad"),
    "held": ("Waits for approval", "neutral"),
    "approved": ("Approved", "good"),
    "rejected": ("Rejected by a reviewer", "bad"),
    "rolled-back": ("Rolled back", "neutral"),
    "frozen": ("Frozen", "neutral"),
    "unfrozen": ("Unfrozen", "neutral"),
}


@dataclass(frozen=True)
class HeadlineText:
    """The figure that a run is known by, as text.

    Attributes:
        label: what was measured, e.g. "RMSE on the last 30 %".
        value: the figure without its unit.
        spread: "± ..." or "".
        unit: the unit or "".
        seeds: "5 seeds".
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
class DecisionText:
    """The gate's decision: a word, a tone ("good", "neutral", "bad"), a sentence, the figures."""

    badge: str
    tone: str
    sentence: str
    facts: tuple[tuple[str, str], ...]


def state_headline(headline: Headline) -> HeadlineText | None:
    """A headline in words; None where its figure is not finite."""
    if not math.isfinite(headline.value):
        return None
    decimals = _decimals_beside(headline.value, headline.spread)
    value = format_number(headline.value, decimals)
    spread = f"± {format_number(headline.spread, decimals)}" if headline.spread > 0 else ""
    seeds = f"{headline.seeds} seed{'s' if headline.seeds > 1 else ''}"
    baseline, comparison, is_better, shares = _compare(headline)
    figure = " ".join(part for part in (value, spread, headline.unit) if part)
    over = f"mean and standard deviation over {seeds}" if spread else seeds
    then = f", {comparison}" if comparison else ""
    return HeadlineText(
        label=headline.label,
        value=value,
        spread=spread,
        unit=headline.unit,
        seeds=seeds,
        baseline=baseline,
        comparison=comparison,
        wish="smaller is better" if headline.direction == "minimize" else "larger is better",
        is_better=is_better,
        shares=shares,
        sentence=f"{begin(headline.label)}: {figure} ({over}){then}.",
    )


def state_decision(decision: Decision) -> DecisionText:
    """The gate's decision in one sentence, with the figures that it rests on."""
    badge, tone = BADGES[decision.action]
    facts = {
        "version": decision.version,
        "champion before": decision.champion_before,
        "champion after": decision.champion_after,
        "metric": decision.metric,
        "challenger": decision.challenger,
        "champion": decision.champion,
        "margin": decision.margin,
        "data version": decision.data_version,
    }
    sentence = f"{begin(decision.reason)}."
    shown = tuple((label, format_value(value)) for label, value in facts.items())
    return DecisionText(badge, tone, sentence, shown)


def _compare(
    headline: Headline,
) -> tuple[tuple[str, str] | None, str, bool | None, tuple[float, float] | None]:
    baseline, value = headline.baseline, headline.value
    if baseline is None or not math.isfinite(baseline.value):
        return None, "", None, None
    other, is_minimised = baseline.value, headline.direction == "minimize"
    shown = f"{format_number(other)} {headline.unit}".strip()
    is_better = value < other if is_minimised else value > other
    tail = f"the best baseline, {baseline.name} ({shown})"
    if value == other:
        words = f"the same as {tail}"
    elif is_minimised and value > 0 and other > 0:
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
    return (baseline.name, shown), words, is_better, shares


def _relate(value: float, other: float) -> str:
    if other / value >= 2:
        return f"{format_number(_round_off(other / value))} times smaller than"
    if value / other >= 2:
        return f"{format_number(_round_off(value / other))} times as large as"
    share = abs(value / other - 1)
    return f"{share:.0%} {'below' if value < other else 'above'}".replace("%", " %")


def _round_off(factor: float) -> float | int:
    return round(factor) if factor >= 10 else round(factor, 1)


def _decimals_beside(value: float, spread: float) -> int:
    """Decimals that show two digits of a spread that starts with 1 or 2, else one digit of it."""
    if not spread > 0:
        return choose_decimals(value)
    leading = spread / 10 ** magnitude(spread)
    digits = 2 if leading < 3 else 1
    return min(max(digits - 1 - magnitude(spread), 0), 6)
