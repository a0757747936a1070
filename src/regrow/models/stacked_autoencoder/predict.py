"""Codes of a user's pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.training.inference import answer
from regrow.vision.digits import INK_MAX
from regrow.vision.pictures import read_grey, to_digit

if TYPE_CHECKING:
    import pandas as pd


def predict(model: Any, paths: Sequence[Path]) -> pd.DataFrame:
    """Codes each picture.

    Returns:
        A frame with `file`, `mse` (how far the restored picture is from it, for ink from 0 to 1;
        large for what is no digit) and the code, `code_0` and so on.
    """
    import pandas as pd

    digits = np.stack([to_digit(read_grey(path)) for path in paths])
    found = answer(model, digits)
    error = ((found["reconstruction"] - digits) / INK_MAX) ** 2
    frame = pd.DataFrame({"file": list(map(str, paths)), "mse": error.mean(axis=(1, 2, 3))})
    for n, column in enumerate(found["code"].T):
        frame[f"code_{n}"] = column
    return frame
