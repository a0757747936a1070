"""Galleries of pictures where regrow is not installed: the number of a picture, its PNG."""

from __future__ import annotations

import json
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable


def describe(model: Any, inputs: Any) -> dict[str, Any]:
    """The labels and sizes of the pictures; the example asks for the first."""
    gallery = model.get_layer("gallery")
    return {
        "labels": gallery.labels,
        "sizes": [list(size) for size in gallery.sizes],
        "columns": [{"name": "number", "type": "long", "required": True}],
        "example": [[int(inputs[0])]],
    }


def answer(frame: pd.DataFrame, facts: dict[str, Any], run: Callable[[Any], Any]) -> pd.DataFrame:
    """The pictures of the numbers: `picture`, a PNG, and `label`, JSON of what it was made from."""
    from PIL import Image

    numbers, sizes = frame["number"].to_numpy(), facts["sizes"]
    if not ((numbers >= 0) & (numbers < len(sizes))).all():
        raise ValueError(f"column number: there are pictures 0 to {len(sizes) - 1}")
    pictures = []
    for number, pixels in zip(numbers, run(numbers.astype("int32")), strict=True):
        height, width = sizes[number]
        out = BytesIO()
        Image.fromarray(np.asarray(pixels[:height, :width])).save(out, "PNG")
        pictures.append(out.getvalue())
    labels = [json.dumps(facts["labels"][number]) for number in numbers]
    return pd.DataFrame(
        {"number": numbers, "label": labels, "picture": pictures}, index=frame.index
    )
