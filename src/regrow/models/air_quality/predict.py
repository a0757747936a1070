"""Predictions for new readings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.engine.inference import answer
from regrow.models.air_quality.columns import TARGET, TIMESTAMP
from regrow.models.air_quality.data import read_readings
from regrow.models.air_quality.table import to_features

if TYPE_CHECKING:
    import pandas as pd


def predict(model: Any, paths: Sequence[Path]) -> pd.DataFrame:
    """Predicts benzene for every reading of the files.

    Returns:
        A frame with `timestamp` and `benzene_ug_m3_predicted`; `benzene_ug_m3` stands beside it
        where the file has it.
    """
    import pandas as pd

    frame = pd.concat([read_readings(path) for path in paths], ignore_index=True)
    result = frame[[TIMESTAMP]].copy()
    if TARGET in frame and frame[TARGET].notna().any():
        result[TARGET] = frame[TARGET]
    result[f"{TARGET}_predicted"] = answer(model, to_features(frame))[:, 0]
    return result
