"""How far new data has moved from the data that the champion was trained on.

Two figures say how far a column's distribution has moved:

- the population stability index, PSI = sum((q - p) ln(q / p)) over the reference's deciles, where p
  and q are the shares of the reference and of the new values in a bin (S. Siddiqi, *Credit Risk
  Scorecards*, Wiley 2006: below 0.1 no change to speak of, above 0.25 a major one);
- the two-sample Kolmogorov-Smirnov distance, the greatest difference between the two distribution
  functions (N. Smirnov, *Ann. Math. Stat.* 19, 1948). Only the distance is used: with thousands of
  rows its p-value calls every change significant.

Both work on profiles of bounded size, so that the training data need not be kept or read again.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from regrow.checks.profiles import MAX_CATEGORIES, pick

PSI_WARN = 0.25
KS_WARN = 0.2
MISSING_WARN = 0.05
# From here on a change is severe: eight times what PSI calls major, a distance of a half between
# the distribution functions, or 30 % more or fewer values missing.
SEVERE = {"psi": 2.0, "ks": 0.5, "missing": 0.3}
# With fewer values chance alone moves PSI and KS beyond the limits above.
MIN_VALUES = 100
BINS = 10
# An empty bin counts as this share, so that the logarithm stays finite.
PSI_FLOOR = 1e-4

Finding = dict[str, Any]


def compare_profiles(
    reference: Mapping[str, Any],
    current: Mapping[str, Any],
    *,
    psi_warn: float = PSI_WARN,
    ks_warn: float = KS_WARN,
    missing_warn: float = MISSING_WARN,
) -> list[Finding]:
    """Compares two profiles column by column.

    Returns:
        Findings: "column", "check" ("schema", "missing", "psi" or "ks"), "value", "threshold"
        (both None for "schema"), "level" ("warning" beyond the threshold, else "ok"), "sentence".
    """
    findings: list[Finding] = []
    for name in dict.fromkeys([*reference, *current]):
        before, now = reference.get(name), current.get(name)
        if before is None or now is None:
            change = "is new" if before is None else "is missing"
            findings.append(_schema(name, f"the column {change}"))
            continue
        has_values = before["missing"] < 1 and now["missing"] < 1  # else the type is not known
        if before["dtype"] != now["dtype"] and has_values:
            findings.append(_schema(name, f"changed from {before['dtype']} to {now['dtype']}"))
        findings.append(_compare_missing(name, before["missing"], now["missing"], missing_warn))
        if min(_count_values(before), _count_values(now)) < MIN_VALUES:
            continue
        if "quantiles" in before and "quantiles" in now:
            findings += _compare_numbers(name, before, now, psi_warn, ks_warn)
        elif "categories" in before and before["dtype"] == now["dtype"]:
            findings.append(_compare_categories(name, before, now, psi_warn))
    return findings


def severe_columns(findings: Sequence[Finding]) -> list[str]:
    """The columns that have changed so much that a person should look at them."""
    severe = [
        f["column"] for f in findings if (f["value"] or 0) >= SEVERE.get(f["check"], math.inf)
    ]
    return list(dict.fromkeys(severe))


def population_stability_index(reference: Sequence[float], current: Sequence[float]) -> float:
    """PSI over the deciles of `reference`; both are values in ascending order.

    The outer bins are open. Deciles that fall together, as with a constant column, make one bin.
    """
    edges = np.unique(pick(reference, np.arange(1, BINS), BINS))
    p = np.diff([0.0, *_share_up_to(reference, edges), 1.0])
    q = np.diff([0.0, *_share_up_to(current, edges), 1.0])
    return _divergence(p, q)


def kolmogorov_smirnov(reference: Sequence[float], current: Sequence[float]) -> float:
    """The two-sample Kolmogorov-Smirnov distance of values in ascending order."""
    points = np.concatenate([reference, current])
    return float(np.max(np.abs(_share_up_to(reference, points) - _share_up_to(current, points))))


def _share_up_to(values: Sequence[float], points: Any) -> Any:
    return np.searchsorted(np.asarray(values), points, side="right") / len(values)


def _divergence(p: Any, q: Any) -> float:
    p, q = np.maximum(p, PSI_FLOOR), np.maximum(q, PSI_FLOOR)
    return float(np.sum((q - p) * np.log(q / p)))


def _count_values(profile: Mapping[str, Any]) -> float:
    return float(profile["rows"] * (1 - profile["missing"]))


def _compare_missing(name: str, before: float, now: float, limit: float) -> Finding:
    text = f"missing in {now:.1%} of the rows; previously {before:.1%}"
    return _finding(name, "missing", abs(now - before), limit, text)


def _compare_numbers(
    name: str, before: Mapping[str, Any], now: Mapping[str, Any], psi_warn: float, ks_warn: float
) -> list[Finding]:
    psi = population_stability_index(before["quantiles"], now["quantiles"])
    ks = kolmogorov_smirnov(before["quantiles"], now["quantiles"])
    means = f"the mean changed from {before['mean']:.4g} to {now['mean']:.4g}"
    return [
        _finding(name, "psi", psi, psi_warn, f"PSI {psi:.3f} (limit {psi_warn:g}); {means}"),
        _finding(name, "ks", ks, ks_warn, f"KS distance {ks:.3f} (limit {ks_warn:g}); {means}"),
    ]


def _compare_categories(
    name: str, before: Mapping[str, Any], now: Mapping[str, Any], limit: float
) -> Finding:
    """PSI over the nine most frequent values of the reference and all others together."""
    if "categories" not in now:
        return _schema(name, f"has more than {MAX_CATEGORIES} different values; previously fewer")
    frequent = list(before["categories"])[: BINS - 1]
    p = [before["categories"][value] for value in frequent]
    q = [now["categories"].get(value, 0.0) for value in frequent]
    psi = _divergence([*p, 1 - sum(p)], [*q, 1 - sum(q)])
    return _finding(name, "psi", psi, limit, f"PSI {psi:.3f} (limit {limit:g}) of its categories")


def _schema(name: str, text: str) -> Finding:
    return _finding(name, "schema", None, None, text)


def _finding(
    column: str, check: str, value: float | None, threshold: float | None, text: str
) -> Finding:
    beyond = value is None or threshold is None or value > threshold
    return {
        "column": column,
        "check": check,
        "value": None if value is None else round(value, 6),
        "threshold": threshold,
        "level": "warning" if beyond else "ok",
        "sentence": f"{column}: {text}",
    }
