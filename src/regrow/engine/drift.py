"""How far new data has moved from the data that the champion was trained on.

Two figures per column: the population stability index, PSI = sum((q - p) ln(q / p)) over the
reference's deciles (S. Siddiqi, *Credit Risk Scorecards*, 2006: above 0.25 a major shift, above 0.1
a minor one), and the two-sample Kolmogorov-Smirnov distance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

PSI_WARN = 0.25
KS_WARN = 0.2
MISSING_WARN = 0.05
# So many quantiles are kept of a column: the distance found with them is exact to 1 / 200.
QUANTILES = 201
# An empty bin counts as this share, so that the logarithm stays finite.
PSI_FLOOR = 1e-4

Finding = dict[str, Any]


def profile_table(frame: pd.DataFrame, columns: Sequence[str]) -> dict[str, Any]:
    """Describes columns well enough to compare other data with them later.

    Returns:
        JSON by column: "dtype", "rows", "missing" (a share), and for numbers and times "quantiles",
        201 values from the least to the greatest (times as nanoseconds since 1970).
    """
    return {name: _profile_column(frame[name]) for name in columns}


def compare_profiles(reference: Mapping[str, Any], current: Mapping[str, Any]) -> list[Finding]:
    """Compares each column of two profiles.

    Returns:
        Findings, each with "column", "check" ("schema", "missing", "psi" or "ks"), "value",
        "threshold", "warning" (whether it is beyond) and "text".
    """
    findings: list[Finding] = []
    for name in sorted(reference.keys() | current.keys()):
        before, now = reference.get(name), current.get(name)
        if before is None or now is None:
            text = f"{name} is new" if before is None else f"{name} is gone"
            findings.append(_finding(name, "schema", None, None, True, text))
            continue
        if before["dtype"] != now["dtype"]:
            text = f"{name} was {before['dtype']} and is now {now['dtype']}"
            findings.append(_finding(name, "schema", None, None, True, text))
        findings.append(_compare_missing(name, before["missing"], now["missing"]))
        if before.get("quantiles") and now.get("quantiles"):
            findings += _compare_distributions(name, before["quantiles"], now["quantiles"])
    return findings


def population_stability_index(reference: Sequence[float], current: Sequence[float]) -> float:
    """PSI over the reference's deciles, from two lists of quantiles."""
    edges = np.unique(
        np.interp(np.linspace(0, 1, 11)[1:-1], np.linspace(0, 1, len(reference)), reference)
    )
    p = np.diff([0.0, *_share_below(reference, edges), 1.0])
    q = np.diff([0.0, *_share_below(current, edges), 1.0])
    p, q = np.maximum(p, PSI_FLOOR), np.maximum(q, PSI_FLOOR)
    return float(np.sum((q - p) * np.log(q / p)))


def kolmogorov_smirnov(reference: Sequence[float], current: Sequence[float]) -> float:
    """The greatest distance between two distribution functions, from two lists of quantiles."""
    points = np.concatenate([reference, current])
    return float(np.max(np.abs(_share_below(reference, points) - _share_below(current, points))))


def _share_below(quantiles: Sequence[float], points: Any) -> Any:
    """The share of values at or below each point."""
    return np.searchsorted(np.asarray(quantiles), points, side="right") / len(quantiles)


def _profile_column(column: pd.Series) -> dict[str, Any]:
    import pandas as pd

    missing = float(column.isna().mean()) if len(column) else 0.0
    profile: dict[str, Any] = {
        "dtype": _kind(column),
        "rows": len(column),
        "missing": round(missing, 6),
    }
    values = column.dropna()
    if len(values) and profile["dtype"] in ("number", "time"):
        if profile["dtype"] == "time":
            values = values.astype("datetime64[ns]").astype("int64")
        numbers = pd.to_numeric(values).to_numpy(dtype="float64")
        spots = np.linspace(0, 1, QUANTILES)
        profile["quantiles"] = np.quantile(numbers, spots, method="inverted_cdf").tolist()
    return profile


def _kind(column: pd.Series) -> str:
    """A name for the column's type that float32 and float64 share."""
    from pandas.api import types

    if types.is_datetime64_any_dtype(column):
        return "time"
    if types.is_numeric_dtype(column) and not types.is_bool_dtype(column):
        return "number"
    return "other"


def _compare_missing(name: str, before: float, now: float) -> Finding:
    change = now - before
    text = f"{name} is missing in {now:.1%} of the rows; it was {before:.1%}"
    return _finding(name, "missing", change, MISSING_WARN, abs(change) > MISSING_WARN, text)


def _compare_distributions(
    name: str, before: Sequence[float], now: Sequence[float]
) -> list[Finding]:
    psi = population_stability_index(before, now)
    ks = kolmogorov_smirnov(before, now)
    return [
        _finding(name, "psi", psi, PSI_WARN, psi > PSI_WARN, f"{name}: PSI {psi:.3f}"),
        _finding(name, "ks", ks, KS_WARN, ks > KS_WARN, f"{name}: KS distance {ks:.3f}"),
    ]


def _finding(
    column: str, check: str, value: float | None, threshold: float | None, warning: bool, text: str
) -> Finding:
    return {
        "column": column,
        "check": check,
        "value": None if value is None else round(value, 6),
        "threshold": threshold,
        "warning": bool(warning),
        "text": text,
    }
