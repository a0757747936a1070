"""Digits in a user's pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.models.digit_localisation.data import BOX
from regrow.models.digit_localisation.scenes import CANVAS
from regrow.training.inference import answer
from regrow.vision.pictures import read_grey, shrink, to_ink

if TYPE_CHECKING:
    import pandas as pd

    from regrow.vision.digits import Array


def predict(model: Any, paths: Sequence[Path]) -> pd.DataFrame:
    """Finds the digit of each picture.

    Returns:
        A frame with `file`, `digit`, `confidence`, and the box in the picture's own pixels: `left`,
        `top`, `right`, `bottom`.
    """
    import pandas as pd

    pictures = [to_ink(read_grey(path)) for path in paths]
    found = answer(model, np.stack([to_scene(picture) for picture in pictures]))
    # A picture that is not square was padded on the right or below.
    sides = np.array([max(picture.shape) for picture in pictures])
    limits = np.array([[*picture.shape[::-1]] * 2 for picture in pictures])
    boxes = np.clip(found["box"] * sides[:, np.newaxis], 0, limits)
    frame = pd.DataFrame({"file": list(map(str, paths))})
    frame["digit"] = found["digit"].argmax(axis=1)
    frame["confidence"] = found["digit"].max(axis=1)
    for n, name in enumerate(BOX):
        frame[name] = boxes[:, n]
    return frame


def to_scene(ink: Array) -> Array:
    """A picture's ink (height, width), 0 to 1, as the network takes it: (32, 32, 1), uint8."""
    from PIL import Image

    ink = shrink(ink)  # or the square of a long strip would not fit into memory
    height, width = ink.shape
    square = np.zeros((max(ink.shape),) * 2, dtype="float32")
    square[:height, :width] = ink
    scaled = Image.fromarray(square).resize((CANVAS, CANVAS), Image.Resampling.BILINEAR)
    scene: Array = np.round(np.asarray(scaled) * 255).astype("uint8")[..., np.newaxis]
    return scene
