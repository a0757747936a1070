"""digit-localisation where regrow is not installed: pictures, digits and their boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from regrow.vision.picture_bytes import encode_png, read_inks

if TYPE_CHECKING:
    from collections.abc import Callable

CANVAS = 32
BOX = ("left", "top", "right", "bottom")


def describe(_model: Any, inputs: Any) -> dict[str, Any]:
    """The column, and scenes of the model's example."""
    return {
        "columns": [{"name": "picture", "type": "binary", "required": True}],
        "example": [[encode_png(scene)] for scene in inputs[:2, ..., 0] / 255],
    }


def answer(frame: pd.DataFrame, facts: dict[str, Any], run: Callable[[Any], Any]) -> pd.DataFrame:
    """The digit of each picture, its probability, and its box in the picture's own pixels."""
    inks = read_inks(frame["picture"], "picture")
    found = run(np.stack([_to_scene(ink) for ink in inks]))
    sides = np.array([max(ink.shape) for ink in inks])
    limits = np.array([[*ink.shape[::-1]] * 2 for ink in inks])
    boxes = np.clip(found["box"] * sides[:, np.newaxis], 0, limits)
    return pd.DataFrame(
        {
            "digit": found["digit"].argmax(axis=1),
            "confidence": found["digit"].max(axis=1),
            **{name: boxes[:, n] for n, name in enumerate(BOX)},
        },
        index=frame.index,
    )


def _to_scene(ink: Any) -> Any:
    """A picture's ink as the network takes it: square, (32, 32, 1), 0 to 255."""
    from PIL import Image

    height, width = ink.shape
    square = np.zeros((max(ink.shape),) * 2, dtype="float32")
    square[:height, :width] = ink
    scaled = Image.fromarray(square).resize((CANVAS, CANVAS), Image.Resampling.BILINEAR)
    return np.round(np.asarray(scaled) * 255)[..., np.newaxis]
