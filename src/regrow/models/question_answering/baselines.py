"""Simple ways to answer, for comparison: they must be beaten."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.models.question_answering.score import count_errors

if TYPE_CHECKING:
    import pandas as pd

COMMONEST = "most common answer"
LINEAR = "linear on words"


def measure_baselines(training: pd.DataFrame, test: pd.DataFrame) -> dict[str, dict[int, float]]:
    """Errors in percent by task, for each way; every task by itself."""
    errors: dict[str, dict[int, float]] = {COMMONEST: {}, LINEAR: {}}
    for task, known in training.groupby("task"):
        asked = test[test["task"] == task]
        if asked.empty:
            continue
        commonest = known["answer"].mode().iloc[0]
        errors[COMMONEST] |= count_errors(asked, asked["answer"] == commonest)
        errors[LINEAR] |= count_errors(asked, _predict_linear(known, asked) == asked["answer"])
    return errors


def _predict_linear(known: pd.DataFrame, asked: pd.DataFrame) -> Any:
    """A logistic regression on counted words."""
    from sklearn.feature_extraction import DictVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    if known["answer"].nunique() == 1:
        return np.repeat(known["answer"].iloc[0], len(asked))
    model = make_pipeline(DictVectorizer(), LogisticRegression(max_iter=200))
    model.fit(_describe(known), known["answer"])
    return model.predict(_describe(asked))


def _describe(frame: pd.DataFrame) -> list[Mapping[str, float]]:
    """Which words stand in the question, and in the last sentences that share a word with it."""
    return [
        _describe_one(list(story), question)
        for story, question in zip(frame["story"], frame["question"], strict=True)
    ]


def _describe_one(story: list[str], question: str) -> Mapping[str, float]:
    asked = set(question.split())
    features = dict.fromkeys((f"asked {word}" for word in asked), 1.0)
    sharing = [sentence for sentence in story if asked & (set(sentence.split()) - COMMON)]
    for back, sentence in enumerate(reversed(sharing[-3:])):
        features |= dict.fromkeys((f"{back} back {word}" for word in sentence.split()), 1.0)
    return features


# Words that sentences share without being about the same thing.
COMMON = frozenset(["the", "a", "is", "to", "in", "of", "and", "are", "there"])
