"""Profiles of columns: of bounded size, and enough to compare other data with them later.

Apart from drift.py, so that a changed limit there does not train a model again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd

# Kept of a column are this many of its values, the midpoints of equal shares of the rows. Their
# distribution function is within 1 / 400 of the column's, so a KS distance is within 1 / 200.
SKETCH = 200


# Text with more different values than this is no category.
MAX_CATEGORIES = 50


# What pandas finds in columns of Python objects; lists and bytes are "other".
OBJECT_KINDS = {"string": "text", "categorical": "text", "date": "time", "datetime": "time"}


def profile_table(frame: pd.DataFrame, columns: Sequence[str]) -> dict[str, Any]:
    """Describes columns well enough to compare other data with them later.

    Returns:
        JSON by column: "dtype" ("number", "time", "boolean", "text" or "other"), "rows" and
        "missing" (a share; infinite numbers count as missing). Numbers have "mean", "std", "min",
        "max" and "quantiles" (200 of their values in order), times "min" and "max", booleans and
        texts of at most 50 different values "categories" (shares by value, the greatest first).
    """
    return {name: _profile_column(frame[name]) for name in columns}


def pick(values: Any, numerators: Any, denominator: int) -> Any:
    """The values, of those in ascending order, up to which given shares of them reach.

    In whole numbers: with 0.1 + 0.2 > 0.3 a decile would come out one value too high.
    """
    return np.asarray(values)[(numerators * len(values) - 1) // denominator]


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
        "quantiles": pick(values, 2 * np.arange(SKETCH) + 1, 2 * SKETCH).tolist(),
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
