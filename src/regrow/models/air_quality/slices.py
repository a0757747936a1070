"""The published network on parts of the test hours: a good mean can hide a bad month or morning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.models.air_quality.score import measure
from regrow.report.evaluation import Table

if TYPE_CHECKING:
    import pandas as pd

UNIT = "µg/m³"
HOURS_A_PART = 6
# Tertiles of what was measured: errors grow with the concentration.
LEVELS = ("low", "middle", "high")
AGE = "The training data ends before the first month, so the rows show how the model ages."


def tabulate_slices(predictions: pd.DataFrame) -> list[Table]:
    """Errors by month, by time of day and by level of benzene.

    Args:
        predictions: `timestamp`, `actual`, `predicted`, in the order of time.
    """
    time = predictions["timestamp"].dt
    starts = time.hour // HOURS_A_PART * HOURS_A_PART
    parts = starts.map(lambda start: f"{start:02} to {start + HOURS_A_PART:02}")
    edges = np.quantile(predictions["actual"], [1 / 3, 2 / 3])
    levels = np.asarray(LEVELS)[np.searchsorted(edges, predictions["actual"], side="left")]
    return [
        _tabulate("month", time.strftime("%Y-%m"), predictions, AGE),
        _tabulate("time of day", parts, predictions),
        _tabulate("benzene", levels, predictions, order=LEVELS),
    ]


def _tabulate(
    what: str,
    labels: Any,
    predictions: pd.DataFrame,
    caption: str = "",
    order: tuple[str, ...] = (),
) -> Table:
    rows = []
    groups = {str(label): part for label, part in predictions.groupby(np.asarray(labels))}
    for label in order or sorted(groups):
        if label in groups:
            part = groups[label]
            found = measure(part["actual"].to_numpy(), part["predicted"].to_numpy())
            mean = float(part["actual"].mean())
            rows.append([label, len(part), mean, found["rmse"], found["mae"]])
    return Table(
        title=f"The published network by {what}",
        caption=f"The mean is that of the measured values. {caption}".strip(),
        columns=(what, "hours", f"mean {UNIT}", f"RMSE {UNIT}", f"MAE {UNIT}"),
        rows=rows,
    )
