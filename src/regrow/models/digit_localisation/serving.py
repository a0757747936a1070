"""digit-localisation where regrow is not installed: pictures, digits and their boxes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from regrow.vision.picture_bytes import encode_png, read_inks, shrink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

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
    return pd.DataFrame(locate(read_inks(frame["picture"], "picture"), run), index=frame.index)


def locate(inks: Sequence[Any], run: Callable[[Any], Any]) -> dict[str, Any]:
    """The columns `digit`, `confidence`, and the box in the picture's own pixels, for each ink."""
    found = run(np.stack([to_scene(ink) for ink in inks]))
    # A picture that is not square was padded on the right or below.
    sides = np.array([max(ink.shape) for ink in inks])
    limits = np.array([[*ink.shape[::-1]] * 2 for ink in inks])
    boxes = np.clip(found["box"] * sides[:, np.newaxis], 0, limits)
    return {
        "digit": found["digit"].argmax(axis=1),
        "confidence": found["digit"].max(axis=1),
        **{name: boxes[:, n] for n, name in enumerate(BOX)},
    }


def to_scene(ink: Any) -> Any:
    """A picture's ink (height, width), 0 to 1, as the network takes it: (32, 32, 1), uint8."""
    from PIL import Image

    ink = shrink(ink)  # or the square of a long strip would not fit into memory
    height, width = ink.shape
    square = np.zeros((max(ink.shape),) * 2, dtype="float32")
    square[:height, :width] = ink
    scaled = Image.fromarray(square).resize((CANVAS, CANVAS), Image.Resampling.BILINEAR)
    return np.round(np.asarray(scaled) * 255).astype("uint8")[..., np.newaxis]
