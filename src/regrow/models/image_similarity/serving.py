"""image-similarity where regrow is not installed: two columns of pictures, their likeness."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from regrow.vision.picture_bytes import INK_MAX, encode_png, read_inks, to_digit

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS = ("first", "second")


def describe(_model: Any, inputs: Any) -> dict[str, Any]:
    """The columns, and pairs of the model's example."""
    pairs = zip(*(inputs[name][:2, ..., 0] / INK_MAX for name in COLUMNS), strict=True)
    return {
        "columns": [{"name": name, "type": "binary", "required": True} for name in COLUMNS],
        "example": [[encode_png(ink) for ink in pair] for pair in pairs],
    }


def answer(frame: pd.DataFrame, facts: dict[str, Any], run: Callable[[Any], Any]) -> pd.DataFrame:
    """Whether the two pictures of each row show the same digit; `similarity` is from 0 to 1."""
    found = run(
        {
            name: np.stack([to_digit(ink) for ink in read_inks(frame[name], name)])
            for name in COLUMNS
        }
    )
    return pd.DataFrame(
        {
            "same": found["similarity"][:, 0] > 0.5,
            "similarity": found["similarity"][:, 0],
            "distance": found["distance"][:, 0],
        },
        index=frame.index,
    )
