"""Why deep-dream answers no questions about files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.base.errors import UserError

if TYPE_CHECKING:
    import pandas as pd


def predict(_model: Any, paths: Sequence[Path]) -> pd.DataFrame:
    """Always refuses: the model holds finished pictures.

    Raises:
        UserError: says which command dreams on a photo.
    """
    raise UserError(
        "deep-dream contains finished pictures and makes no predictions",
        received=", ".join(map(str, paths)),
        remedies=[f"to use your own photo: regrow dream {paths[0]} -o dream.jpg"],
    )
