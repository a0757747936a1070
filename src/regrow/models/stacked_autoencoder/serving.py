"""stacked-autoencoder where regrow is not installed: pictures of digits, their codes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from regrow.vision.picture_bytes import INK_MAX, encode_png, read_inks, to_digit

if TYPE_CHECKING:
    from collections.abc import Callable


def describe(_model: Any, inputs: Any) -> dict[str, Any]:
    """The column, and pictures of the model's example."""
    return {
        "columns": [{"name": "picture", "type": "binary", "required": True}],
        "example": [[encode_png(ink)] for ink in inputs[:2, ..., 0] / INK_MAX],
    }


def answer(frame: pd.DataFrame, facts: dict[str, Any], run: Callable[[Any], Any]) -> pd.DataFrame:
    """The code of each picture, and `mse`: how far the restored picture is from it."""
    digits = np.stack([to_digit(ink) for ink in read_inks(frame["picture"], "picture")])
    found = run(digits)
    error = ((found["reconstruction"] - digits) / INK_MAX) ** 2
    codes = {f"code_{n}": column for n, column in enumerate(found["code"].T)}
    return pd.DataFrame({"mse": error.mean(axis=(1, 2, 3)), **codes}, index=frame.index)
