"""Why style-transfer answers no questions about files."""

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
        UserError: says which command works on pictures of one's own.
    """
    raise UserError(
        "style-transfer contains finished pictures and makes no predictions",
        received=", ".join(map(str, paths)),
        remedies=[f"to use your own picture: regrow stylize {paths[0]} style.jpg -o out.png"],
    )
