"""Distributions of columns before and now, drawn as SVG that is part of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from regrow.report.numbers import format_number

BINS = 24
WIDTH, HEIGHT = 240, 64  # units of the drawing, which takes the width that it is given
# What lies outside is drawn at the edge: an outlier must not squeeze all else into one bin.
TAIL = 0.01
MAX_CATEGORIES = 12


@dataclass(frozen=True)
class Distribution:
    """A column's distribution in two sets of data.

    Attributes:
        column: its name.
        before: the outline of the shares before, as the data of an SVG path.
        now: the same of the new data.
        labels: what the left and the right end stand for, or the categories from left to right.
    """

    column: str
    before: str
    now: str
    labels: tuple[str, ...]


def draw_distribution(
    column: str, before: Mapping[str, Any], now: Mapping[str, Any]
) -> Distribution | None:
    """The distributions of two profiles of a column; None where they cannot be compared.

    Args:
        before: see `regrow.checks.profiles.profile_table`.
        now: the same of the new data.
    """
    if "quantiles" in before and "quantiles" in now:
        edges = _choose_edges(before["quantiles"], now["quantiles"])
        shares = [_share(edges, profile["quantiles"]) for profile in (before, now)]
        labels: tuple[str, ...] = tuple(format_number(float(end)) for end in (edges[0], edges[-1]))
    elif "categories" in before and "categories" in now:
        names = list({**before["categories"], **now["categories"]})[:MAX_CATEGORIES]
        shares = [[profile["categories"].get(n, 0.0) for n in names] for profile in (before, now)]
        labels = tuple(names)
    else:
        return None
    highest = max(max(each) for each in shares) or 1.0
    first, second = (_outline(each, highest) for each in shares)
    return Distribution(column, first, second, labels)


def _choose_edges(*quantiles: Sequence[float]) -> Any:
    ends = [np.quantile(values, [TAIL, 1 - TAIL]) for values in quantiles]
    low, high = min(end[0] for end in ends), max(end[1] for end in ends)
    if not high > low:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, BINS + 1)


def _share(edges: Any, values: Sequence[float]) -> list[float]:
    """The share of the values in each bin, those outside in the outermost ones."""
    counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
    return [float(share) for share in counts / len(values)]


def _outline(shares: Sequence[float], highest: float) -> str:
    """Bars without gaps, as one line from left to right."""
    step = WIDTH / len(shares)
    points = [f"M0 {HEIGHT}"]
    for number, share in enumerate(shares):
        height = HEIGHT - share / highest * (HEIGHT - 2) if math.isfinite(share) else HEIGHT
        points.append(f"V{height:.1f}H{(number + 1) * step:.1f}")
    return "".join([*points, f"V{HEIGHT}"])
