"""Which rows lie outside what training has seen: beyond its smallest and largest numbers, or with
values that it had not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import pandas as pd


def find_outside(profile: Mapping[str, Any], frame: pd.DataFrame) -> dict[str, Any]:
    """Compares rows with the profile of the training data.

    Missing values are not outside, nor are times: new ones are later than old ones.

    Args:
        profile: see `profile_table`.
        frame: the rows; columns without a profile are not looked at.

    Returns:
        JSON: "rows", "outside" (how many rows have at least one such value), "columns" (by name:
        "rows", and what was "seen" in words).
    """
    outside = np.zeros(len(frame), dtype=bool)
    columns: dict[str, Any] = {}
    for name, seen in profile.items():
        if name not in frame:
            continue
        found = _find_in_column(seen, frame[name])
        if found is not None and found.any():
            columns[name] = {"rows": int(found.sum()), "seen": _describe(seen)}
            outside |= found
    return {"rows": len(frame), "outside": int(outside.sum()), "columns": columns}


def _find_in_column(seen: Mapping[str, Any], column: pd.Series) -> Any:
    """Which rows are outside; None where the profile says nothing of that."""
    import pandas as pd

    if seen["dtype"] == "number" and "min" in seen:
        numbers = pd.to_numeric(column, errors="coerce").to_numpy(dtype="float64", na_value=np.nan)
        # Training has single precision, in which a bound may have been rounded.
        slack = 1e-6 * max(abs(seen["min"]), abs(seen["max"]))
        return (numbers < seen["min"] - slack) | (numbers > seen["max"] + slack)
    if "categories" in seen:
        there = column.notna().to_numpy(dtype=bool)
        return there & ~column.astype(str).isin(seen["categories"]).to_numpy(dtype=bool)
    return None


def _describe(seen: Mapping[str, Any]) -> str:
    if "categories" in seen:
        return f"{len(seen['categories'])} different values"
    return f"{seen['min']:.5g} to {seen['max']:.5g}"
