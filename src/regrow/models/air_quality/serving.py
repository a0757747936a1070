"""air-quality where regrow is not installed: readings as columns, benzene as a column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from regrow.models.air_quality.columns import FEATURES, INPUTS, TARGET, TIMESTAMP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# A Monday; the rows of an example have an hour and a weekday but no date.
FIRST_DAY = "2004-03-15"


def describe(model: Any, inputs: Any) -> dict[str, Any]:
    """Which columns the network looks at, and readings of its example (rows, 14)."""
    used = {FEATURES[n] for layer in _find_selections(model) for n in layer.columns}
    rows = []
    for values in inputs[:3]:
        hour, weekday = map(float, values[-2:])
        time = pd.Timestamp(FIRST_DAY) + pd.Timedelta(days=weekday, hours=hour)
        readings = [None if np.isnan(value) else float(value) for value in values[:-2]]
        rows.append([time.isoformat(), *readings])
    needs_time = bool(used & {"hour", "weekday"})
    return {
        "columns": [
            {"name": TIMESTAMP, "type": "datetime", "required": needs_time},
            *({"name": name, "type": "double", "required": name in used} for name in INPUTS),
        ],
        "example": rows,
    }


def answer(frame: pd.DataFrame, facts: dict[str, Any], run: Callable[[Any], Any]) -> pd.DataFrame:
    """Benzene in µg/m³ for each reading; a missing reading is NaN, or its column is absent."""
    x = np.full((len(frame), len(FEATURES)), np.nan, dtype="float32")
    for n, name in enumerate(INPUTS):
        if name in frame:
            x[:, n] = frame[name].to_numpy(dtype="float32", na_value=np.nan)
            if np.isinf(x[:, n]).any():
                raise ValueError(f"column {name} has infinite values; leave out what is missing")
    found = {}
    if TIMESTAMP in frame:
        time = pd.to_datetime(frame[TIMESTAMP])
        x[:, -2], x[:, -1] = time.dt.hour, time.dt.dayofweek
        found[TIMESTAMP] = time
    return pd.DataFrame({**found, f"{TARGET}_predicted": run(x)[:, 0]}, index=frame.index)


def _find_selections(model: Any) -> Iterator[Any]:
    """The layers that choose columns, at any depth."""
    for layer in getattr(model, "layers", ()):
        if type(layer).__name__ == "SelectColumns":
            yield layer
        yield from _find_selections(layer)
