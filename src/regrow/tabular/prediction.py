"""Predictions for files with the columns of a table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.tabular.cleaning import convert, read_inputs
from regrow.tabular.inputs import encode, find_layer
from regrow.tabular.serving import add_answers
from regrow.training.inference import answer

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

    from regrow.tabular.model import Columns


def predict(model: Any, network: Any, paths: Sequence[Path]) -> pd.DataFrame:
    """Predicts for every row of the files.

    Args:
        model: the user's model.
        network: its trained Keras model.

    Returns:
        The id and time of each row, the target where the files have it, "TARGET_predicted", and
        for labels "probability" of the predicted one, or of the second of two.
    """
    return _answer(model, network, read_inputs(model, paths))


def predict_frame(model: Any, network: Any, frame: pd.DataFrame) -> pd.DataFrame:
    """As `predict`, for rows in memory: raw columns, as they are in a file."""
    cleaned = model.clean(frame.copy())
    return _answer(
        model, network, convert(cleaned, model.table, "the data frame", needs_target=False)
    )


def _answer(model: Any, network: Any, frame: pd.DataFrame) -> pd.DataFrame:
    layer = find_layer(network)
    return describe(frame, model.table, answer(network, encode(frame, layer)), layer.labels)


def describe(
    frame: pd.DataFrame, columns: Columns, answers: np.ndarray, labels: Sequence[str]
) -> pd.DataFrame:
    """The answers (rows, outputs) beside what identifies the rows."""
    kept = [name for name in (columns.id, columns.time, columns.target) if name in frame.columns]
    found = frame[list(dict.fromkeys(kept))].copy()
    return add_answers(found, columns.target, columns.task, answers, labels)
