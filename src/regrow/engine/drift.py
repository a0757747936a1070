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

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

PSI_WARN = 0.25
KS_WARN = 0.2
MISSING_WARN = 0.05
# Kept of a column are this many of its values, the midpoints of equal shares of the rows. Their
# distribution function is within 1 / 400 of the column's, so a KS distance is within 1 / 200.
SKETCH = 200
# With fewer values chance alone moves PSI and KS beyond the limits above.
MIN_VALUES = 100
# Text with more different values than this is no category.
MAX_CATEGORIES = 50
BINS = 10
# An empty bin counts as this share, so that the logarithm stays finite.
PSI_FLOOR = 1e-4
# What pandas finds in columns of Python objects; lists and bytes are "other".
OBJECT_KINDS = {"string": "text", "categorical": "text", "date": "time", "datetime": "time"}

Finding = dict[str, Any]


def profile_table(frame: pd.DataFrame, columns: Sequence[str]) -> dict[str, Any]:
    """Describes columns well enough to compare other data with them later.

    Returns:
        JSON by column: "dtype" ("number", "time", "boolean", "text" or "other"), "rows" and
        "missing" (a share; infinite numbers count as missing). Numbers have "mean", "std", "min",
        "max" and "quantiles" (200 of their values in order), times "min" and "max", booleans and
        texts of at most 50 different values "categories" (shares by value, the greatest first).
    """
    return {name: _profile_column(frame[name]) for name in columns}


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
            change = "is new" if before is None else "is no longer there"
            findings.append(_schema(name, f"the column {change}"))
            continue
        has_values = before["missing"] < 1 and now["missing"] < 1  # else the type is not known
        if before["dtype"] != now["dtype"] and has_values:
            findings.append(_schema(name, f"was {before['dtype']} and is {now['dtype']} now"))
        findings.append(_compare_missing(name, before["missing"], now["missing"], missing_warn))
        if min(_count_values(before), _count_values(now)) < MIN_VALUES:
            continue
        if "quantiles" in before and "quantiles" in now:
            findings += _compare_numbers(name, before, now, psi_warn, ks_warn)
        elif "categories" in before and before["dtype"] == now["dtype"]:
            findings.append(_compare_categories(name, before, now, psi_warn))
    return findings


def population_stability_index(reference: Sequence[float], current: Sequence[float]) -> float:
    """PSI over the deciles of `reference`; both are values in ascending order.

    The outer bins are open. Deciles that fall together, as with a constant column, make one bin.
    """
    edges = np.unique(_pick(reference, np.arange(1, BINS), BINS))
    p = np.diff([0.0, *_share_up_to(reference, edges), 1.0])
    q = np.diff([0.0, *_share_up_to(current, edges), 1.0])
    return _divergence(p, q)


def kolmogorov_smirnov(reference: Sequence[float], current: Sequence[float]) -> float:
    """The two-sample Kolmogorov-Smirnov distance of values in ascending order."""
    points = np.concatenate([reference, current])
    return float(np.max(np.abs(_share_up_to(reference, points) - _share_up_to(current, points))))


def _pick(values: Any, numerators: Any, denominator: int) -> Any:
    """The values, of those in ascending order, up to which given shares of them reach.

    In whole numbers: with 0.1 + 0.2 > 0.3 a decile would come out one value too high.
    """
    return np.asarray(values)[(numerators * len(values) - 1) // denominator]


def _share_up_to(values: Sequence[float], points: Any) -> Any:
    return np.searchsorted(np.asarray(values), points, side="right") / len(values)


def _divergence(p: Any, q: Any) -> float:
    p, q = np.maximum(p, PSI_FLOOR), np.maximum(q, PSI_FLOOR)
    return float(np.sum((q - p) * np.log(q / p)))


def _profile_column(column: pd.Series) -> dict[str, Any]:
    kind = _kind(column)
    if kind == "number":
        numbers = column.to_numpy(dtype="float64", na_value=np.nan)
        values: Any = numbers[np.isfinite(numbers)]
    else:
        values = column.dropna()
    rows = len(column)
    profile: dict[str, Any] = {
        "dtype": kind,
        "rows": rows,
        "missing": round(1 - len(values) / rows, 6) if rows else 0.0,
    }
    if not len(values):
        return profile
    if kind == "number":
        profile |= _summarise_numbers(values)
    elif kind == "time":
        # No quantiles: new data is later than old data, which is no drift.
        profile |= {"min": str(values.min()), "max": str(values.max())}
    elif kind in ("boolean", "text"):
        shares = values.astype(str).value_counts(normalize=True)
        if len(shares) <= MAX_CATEGORIES:
            profile["categories"] = {name: round(share, 6) for name, share in shares.items()}
    return profile


def _summarise_numbers(values: Any) -> dict[str, Any]:
    values = np.sort(values)
    return {
        # Extended precision, so that sums of huge values do not overflow.
        "mean": float(values.mean(dtype=np.longdouble)),
        "std": float(values.std(dtype=np.longdouble)),
        "min": float(values[0]),
        "max": float(values[-1]),
        "quantiles": _pick(values, 2 * np.arange(SKETCH) + 1, 2 * SKETCH).tolist(),
    }


def _kind(column: pd.Series) -> str:
    """A name for the column's type that all widths of it share."""
    from pandas.api import types

    if types.is_bool_dtype(column):
        return "boolean"
    if types.is_numeric_dtype(column):
        return "number"
    if types.is_datetime64_any_dtype(column):
        return "time"
    if types.is_string_dtype(column):
        return "text"
    return OBJECT_KINDS.get(types.infer_dtype(column, skipna=True), "other")


def _count_values(profile: Mapping[str, Any]) -> float:
    return float(profile["rows"] * (1 - profile["missing"]))


def _compare_missing(name: str, before: float, now: float, limit: float) -> Finding:
    text = f"missing in {now:.1%} of the rows; it was {before:.1%}"
    return _finding(name, "missing", abs(now - before), limit, text)


def _compare_numbers(
    name: str, before: Mapping[str, Any], now: Mapping[str, Any], psi_warn: float, ks_warn: float
) -> list[Finding]:
    psi = population_stability_index(before["quantiles"], now["quantiles"])
    ks = kolmogorov_smirnov(before["quantiles"], now["quantiles"])
    means = f"the mean was {before['mean']:.4g} and is {now['mean']:.4g}"
    return [
        _finding(name, "psi", psi, psi_warn, f"PSI {psi:.3f} (limit {psi_warn:g}); {means}"),
        _finding(name, "ks", ks, ks_warn, f"KS distance {ks:.3f} (limit {ks_warn:g}); {means}"),
    ]


def _compare_categories(
    name: str, before: Mapping[str, Any], now: Mapping[str, Any], limit: float
) -> Finding:
    """PSI over the nine most frequent values of the reference and all others together."""
    if "categories" not in now:
        return _schema(name, f"has more than {MAX_CATEGORIES} different values; it had fewer")
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
