"""How a model of stacked-autoencoder is scored: the same way for a challenger and the champion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.training.inference import answer
from regrow.vision.digits import INK_MAX, Array, Digits, read_digits

if TYPE_CHECKING:
    from pathlib import Path


def score(model: Any, table: Path, _config: Any) -> dict[str, float]:
    """Mean squared error of the restored test digits, for ink from 0 to 1."""
    test = read_digits(table, "test")
    return {"mse": measure_error(test, answer(model, test.pixels)["reconstruction"])}


def measure_error(digits: Digits, restored: Array) -> float:
    """Mean squared error of restored pictures (digits, 8, 8, 1), for ink from 0 to 1."""
    return float(np.mean(((restored - digits.pixels) / INK_MAX).astype("float64") ** 2))
