"""What vectors of documents know of topics: a linear probe, and the nearest documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

# How much an error costs beside the size of the weights, from little to much.
COSTS = (3.0, 10.0)
THRESHOLDS = tuple(np.linspace(-0.5, 0.2, 15).round(2).tolist())
HELD_OUT = 0.2
ITERATIONS = 100
NEAREST = 100

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Probe:
    """A linear classifier for every topic: those whose score is above the threshold are said.

    Attributes:
        weights: (features + 1, topics); the last row is the bias.
        threshold: of the scores, one for all topics.
        cost: with which it was fitted.
    """

    weights: Array
    threshold: float
    cost: float

    def score(self, vectors: Any) -> Array:
        """The topics' scores, (documents, topics)."""
        scores: Array = vectors @ self.weights[:-1] + self.weights[-1]
        return scores

    def predict(self, vectors: Any) -> Array:
        """Which topics documents have, (documents, topics), bool."""
        said: Array = self.score(vectors) > self.threshold
        return said


def fit_probe(vectors: Any, topics: Array) -> Probe:
    """Fits a linear support vector machine a topic, on vectors that stay as they are.

    The last fifth of the documents chooses cost and threshold; then all are fitted.

    Args:
        vectors: (documents, features), dense or sparse, in the order of time.
        topics: (documents, topics), bool.
    """
    known = round(len(topics) * (1 - HELD_OUT))
    best = (-1.0, COSTS[0], 0.0)
    weights = None
    for cost in COSTS:
        weights = _fit(vectors[:known], topics[:known], cost, weights)
        scores = vectors[known:] @ weights[:-1] + weights[-1]
        for threshold in THRESHOLDS:
            found = measure_f1(topics[known:], scores > threshold)
            if found > best[0]:
                best = (found, cost, threshold)
    _, cost, threshold = best
    return Probe(_fit(vectors, topics, cost, weights), threshold, cost)


def _fit(vectors: Any, topics: Array, cost: float, start: Array | None) -> Array:
    """The weights with the least ||w||^2 / 2 + cost * sum(max(0, 1 - y score)^2).

    This is scikit-learn's LinearSVC for each topic, but with products of whole matrices.
    """
    from scipy.optimize import minimize

    features, count = vectors.shape[1], topics.shape[1]
    sign = np.where(topics, 1, -1).astype("float32")

    def loss(flat: Array) -> tuple[float, Array]:
        weights = flat.reshape(features + 1, count).astype("float32")
        missing = np.maximum(0, 1 - sign * (vectors @ weights[:-1] + weights[-1]))
        pull = -2 * cost * sign * missing
        slope = weights + np.vstack([vectors.T @ pull, pull.sum(axis=0)])
        value = 0.5 * float(np.vdot(weights, weights)) + cost * float(np.vdot(missing, missing))
        return value, slope.ravel().astype("float64")

    first = np.zeros((features + 1, count)) if start is None else start
    options = {"maxiter": ITERATIONS, "maxcor": 6}
    found = minimize(loss, first.ravel(), jac=True, method="L-BFGS-B", options=options)
    weights: Array = found.x.reshape(features + 1, count).astype("float32")
    return weights


def measure_f1(topics: Array, said: Array) -> float:
    """The micro-averaged F1: of all pairs of a document and a topic; 0 where there are none."""
    both = float((topics & said).sum())
    return 2 * both / max(float(topics.sum() + said.sum()), 1.0)


def measure_precision(
    vectors: Array, topics: Array, found: Array, found_topics: Array, nearest: int = NEAREST
) -> float:
    """Of the nearest documents by cosine, the share with a topic in common; mean over documents.

    Args:
        vectors: (documents, features), what is asked for.
        topics: (documents, topics), bool.
        found: (others, features), among which is looked.
        found_topics: (others, topics), bool.
        nearest: how many are counted; all, if there are fewer.
    """
    likeness = _unit(vectors) @ _unit(found).T
    count = min(nearest, len(found))
    top = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
    shared = (topics.astype("float32") @ found_topics.T.astype("float32")) > 0
    return float(np.take_along_axis(shared, top, axis=1).mean())


def _unit(vectors: Array) -> Array:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: Array = vectors / np.maximum(length, np.finfo("float32").tiny)
    return scaled
