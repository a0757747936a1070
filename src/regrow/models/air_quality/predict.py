"""Predictions for new readings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.base.errors import DataError
from regrow.models.air_quality.columns import INPUTS, TARGET, TIMESTAMP
from regrow.models.air_quality.data import read_readings
from regrow.models.air_quality.table import to_features
from regrow.training.inference import answer

if TYPE_CHECKING:
    import pandas as pd


def predict(model: Any, paths: Sequence[Path]) -> pd.DataFrame:
    """Predicts benzene for every reading of the files.

    Returns:
        A frame with `timestamp` and `benzene_ug_m3_predicted`; `benzene_ug_m3` stands beside it
        where the file has it.
    """
    import pandas as pd

    return predict_frame(model, pd.concat(map(read_readings, paths), ignore_index=True))


def predict_frame(model: Any, frame: pd.DataFrame) -> pd.DataFrame:
    """As `predict`, for readings in memory: the columns as `read_readings` returns them.

    Raises:
        DataError: a column that the model needs is missing, or the timestamps are no dates.
    """
    _check(frame)
    result = frame[[TIMESTAMP]].copy()
    if TARGET in frame and frame[TARGET].notna().any():
        result[TARGET] = frame[TARGET]
    result[f"{TARGET}_predicted"] = answer(model, to_features(frame))[:, 0]
    return result


def _check(frame: pd.DataFrame) -> None:
    missing = [name for name in (TIMESTAMP, *INPUTS) if name not in frame.columns]
    if missing:
        raise DataError(
            f"columns are missing: {', '.join(missing)}",
            where="the input data frame",
            received=", ".join(map(str, frame.columns)),
            expected=", ".join((TIMESTAMP, *INPUTS)),
        )
    if frame[TIMESTAMP].dtype.kind != "M":
        raise DataError(
            "the times are not dates",
            where=f"the input data frame, column {TIMESTAMP}",
            received=str(frame[TIMESTAMP].dtype),
            expected="datetime64, as returned by pandas.to_datetime",
        )
