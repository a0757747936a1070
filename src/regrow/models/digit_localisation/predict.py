"""Digits in a user's pictures."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.models.digit_localisation.serving import locate
from regrow.training.inference import answer
from regrow.vision.pictures import read_grey, to_ink

if TYPE_CHECKING:
    import pandas as pd


def predict(model: Any, paths: Sequence[Path]) -> pd.DataFrame:
    """Finds the digit of each picture.

    Returns:
        A frame with `file`, `digit`, `confidence`, and the box in the picture's own pixels: `left`,
        `top`, `right`, `bottom`.
    """
    import pandas as pd

    pictures = [to_ink(read_grey(path)) for path in paths]
    return pd.DataFrame({"file": list(map(str, paths)), **locate(pictures, partial(answer, model))})
