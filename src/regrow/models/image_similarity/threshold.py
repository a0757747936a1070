"""From distances to a decision: the threshold, chosen on validation pairs."""

from __future__ import annotations

import numpy as np

from regrow.vision.digits import Array


def choose_threshold(distance: Array, same: Array) -> tuple[float, float]:
    """The distance below which most pairs are decided rightly, and how sharply odds change there.

    Args:
        distance: (pairs,), float.
        same: (pairs,), 1 for the same digit, 0 for different ones.

    Returns:
        The threshold, midway between two distances seen, and the slope of the log odds there, by
        logistic regression (J. Platt, Probabilistic outputs for support vector machines, 1999).
    """
    from sklearn.linear_model import LogisticRegression

    order = np.argsort(distance, kind="stable")
    # Right with the first n pairs called the same: those of them that are, and all later others.
    right = np.concatenate([[0], np.cumsum(np.where(same[order] > 0.5, 1, -1))])
    best = int(np.argmax(right))
    ends = np.concatenate([[0.0], distance[order], [2 * distance.max()]])
    threshold = float((ends[best] + ends[best + 1]) / 2)
    centred = (distance - threshold)[:, np.newaxis]
    model = LogisticRegression(fit_intercept=False).fit(centred, same > 0.5)
    return threshold, float(-model.coef_[0, 0])


def measure_accuracy(distance: Array, same: Array, threshold: float) -> float:
    """The share of pairs that the threshold decides rightly."""
    return float(np.mean((distance < threshold) == (same > 0.5)))
