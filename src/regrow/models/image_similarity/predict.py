"""Comparisons of a user's pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.base.errors import UserError
from regrow.training.inference import answer
from regrow.vision.pictures import read_grey, to_digit

if TYPE_CHECKING:
    import pandas as pd


def predict(model: Any, paths: Sequence[Path]) -> pd.DataFrame:
    """Compares the first picture with each of the others.

    Returns:
        A frame with `first`, `second`, `same` (bool), `similarity` (0 to 1) and `distance`.
    """
    import pandas as pd

    if len(paths) < 2:
        raise UserError(
            "image-similarity compares pictures and requires at least two",
            received=f"{len(paths)}",
            remedies=["regrow predict image-similarity a.png b.png"],
        )
    digits = np.stack([to_digit(read_grey(path)) for path in paths])
    others = digits[1:]
    found = answer(model, {"first": np.repeat(digits[:1], len(others), axis=0), "second": others})
    return pd.DataFrame(
        {
            "first": str(paths[0]),
            "second": [str(path) for path in paths[1:]],
            "same": found["similarity"][:, 0] > 0.5,
            "similarity": found["similarity"][:, 0],
            "distance": found["distance"][:, 0],
        }
    )
