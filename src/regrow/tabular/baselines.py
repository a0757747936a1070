"""The simple models that a network of a table is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from regrow.tabular.model import Task

Array = np.ndarray
CONSTANT = "constant prediction"
# Gradient boosting takes long on more features: words of texts are left to the linear model.
MAX_FEATURES = 400


def usual_baselines(task: Task) -> dict[str, Any]:
    """A linear model and gradient boosting, with the defaults of scikit-learn."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.linear_model import LogisticRegression, Ridge

    if task == "regression":
        return {
            "ridge": Ridge(),
            "gradient boosting": HistGradientBoostingRegressor(random_state=0),
        }
    return {
        "logistic regression": LogisticRegression(max_iter=1000),
        "gradient boosting": HistGradientBoostingClassifier(random_state=0),
    }


def answer_with_baselines(
    task: Task,
    estimators: Mapping[str, Any],
    training: tuple[Array, Array],
    test: Array,
    labels: int,
    progress: Any,
) -> dict[str, Array]:
    """The answers of the baselines and of a constant, each (rows, outputs) as a network's.

    Args:
        training: features (rows, width) and targets (rows,).
        test: features of the test rows.
        labels: the number of labels; 0 for a regression.
    """
    features, target = training
    found = {CONSTANT: _constant(task, target, len(test), labels)}
    for n, (name, estimator) in enumerate(estimators.items()):
        progress("baselines", n, len(estimators))
        if features.shape[1] > MAX_FEATURES and "boosting" in name:
            continue
        estimator.fit(features, target)
        if task == "regression":
            found[name] = estimator.predict(test).reshape(-1, 1)
            continue
        shares = np.zeros((len(test), labels))
        shares[:, estimator.classes_] = estimator.predict_proba(test)
        found[name] = shares[:, 1:] if task == "binary" else shares
    progress("baselines", len(estimators), len(estimators))
    return found


def _constant(task: Task, target: Array, rows: int, labels: int) -> Array:
    if task == "regression":
        return np.full((rows, 1), target.mean())
    shares = np.bincount(target, minlength=labels) / len(target)
    return np.tile(shares[1:] if task == "binary" else shares, (rows, 1))
