"""How a model of question-answering is scored: a challenger and the champion alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.models.question_answering.network import encode_frame
from regrow.models.question_answering.table import read_questions
from regrow.training.inference import answer

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

# A story counted word by word takes some 200 kB.
BATCH_ROWS = 256
FAILED_PERCENT = 5.0
"""A task with more errors than this counts as failed, as in the papers."""


def answer_questions(model: Any, frame: pd.DataFrame) -> dict[str, np.ndarray[Any, Any]]:
    """What a model says to rows of the table.

    Returns:
        `answer` (rows, answers), probabilities, and `attention` (rows, hops, sentences) if it has
        any.
    """
    found: dict[str, np.ndarray[Any, Any]] = answer(
        model, encode_frame(frame, model), batch_rows=BATCH_ROWS
    )
    return found


def find_right(model: Any, frame: pd.DataFrame, probabilities: Any) -> np.ndarray[Any, Any]:
    """Whether the likeliest answer is the right one, (rows,), bool."""
    wanted = model.get_layer("vocabulary").number_answers(frame["answer"])
    right: np.ndarray[Any, Any] = np.argmax(probabilities, axis=-1) == wanted
    return right


def count_errors(frame: pd.DataFrame, right: Any) -> dict[int, float]:
    """Errors in percent by task."""
    by_task = (~np.asarray(right)).astype("float64").reshape(-1)
    means = frame.assign(wrong=100 * by_task).groupby("task")["wrong"].mean()
    return dict(zip(means.index.tolist(), means.tolist(), strict=True))


def score(model: Any, table: Path, config: Any) -> dict[str, float]:
    """The mean over tasks of the errors in percent, and how many tasks are failed."""
    frame = read_questions(table, split="test", forget=config.forget_answered)
    right = find_right(model, frame, answer_questions(model, frame)["answer"])
    errors = list(count_errors(frame, right).values())
    return {
        "error_percent": float(np.mean(errors)),
        "failed": float(sum(value > FAILED_PERCENT for value in errors)),
    }
