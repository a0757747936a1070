"""Figures of a table's predictions: the same for the network and for the baselines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from regrow.tabular.model import Task

Array = np.ndarray


def measure(task: Task, actual: Array, answers: Array) -> dict[str, float]:
    """The figures of a task.

    Args:
        actual: (rows,) numbers, or numbers of labels.
        answers: (rows, outputs): a number, the probability of the second label, or one for each
            label.

    Returns:
        Of a regression "rmse", "mae" and "r2"; else "accuracy" and "log_loss", and for two labels
        "auc" (NaN where the rows have one label only), for more "macro_f1".
    """
    if task == "regression":
        return _measure_numbers(actual, answers[:, 0])
    from sklearn.metrics import f1_score, roc_auc_score

    if task == "binary":
        answers = np.column_stack([1 - answers[:, 0], answers[:, 0]])
    chosen = answers.argmax(axis=1)
    known = actual >= 0
    right = np.clip(answers[np.flatnonzero(known), actual[known]], 1e-7, 1)
    found = {
        "accuracy": float(np.mean(chosen == actual)),
        "log_loss": float(-np.mean(np.log(right))) if known.any() else float("nan"),
    }
    if task == "binary":
        both = len(np.unique(actual)) == 2
        auc = float(roc_auc_score(actual, answers[:, 1])) if both else float("nan")
        return {"auc": auc, **found}
    macro = f1_score(actual, chosen, average="macro", zero_division=0)
    return {**found, "macro_f1": float(macro)}


def _measure_numbers(actual: Array, predicted: Array) -> dict[str, float]:
    error = predicted.astype("float64") - actual
    spread = float(np.sum((actual - actual.mean()) ** 2))
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "mae": float(np.mean(np.abs(error))),
        "r2": 1 - float(np.sum(error**2)) / spread if spread > 0 else float("nan"),
    }
