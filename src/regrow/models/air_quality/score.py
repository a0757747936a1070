"""How a model of air-quality is scored: the same way for a challenger and for the champion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.models.air_quality.table import Array, read_rows, split
from regrow.training.inference import answer

if TYPE_CHECKING:
    from pathlib import Path

    from regrow.models.air_quality.spec import AirQualityConfig


def score(model: Any, table: Path, config: AirQualityConfig) -> dict[str, float]:
    """RMSE and mean absolute error, in µg/m³, on the last rows of the table that have a target."""
    _training, test = split(read_rows(table), config.test_share)
    return measure(test.y[:, 0], answer(model, test.x)[:, 0])


def measure(actual: Array, predicted: Array) -> dict[str, float]:
    """RMSE and mean absolute error of two arrays (rows,), in their unit."""
    error = predicted.astype("float64") - actual.astype("float64")
    return {"rmse": float(np.sqrt(np.mean(error**2))), "mae": float(np.mean(np.abs(error)))}
