"""How a model of image-similarity is scored: the same way for a challenger and for the champion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.models.image_similarity.pairs import Pairs, make_pairs
from regrow.training.inference import answer
from regrow.vision.digits import Digits, read_digits

if TYPE_CHECKING:
    from pathlib import Path

TEST_PAIRS = 10_000
TEST_SEED = 2


def take_test_pairs(table: Path) -> tuple[Digits, Pairs]:
    """The digits that training never saw, and the pairs of them that every model is tested on."""
    digits = read_digits(table, "test")
    return digits, make_pairs(digits, TEST_PAIRS, TEST_SEED)


def score(model: Any, table: Path, _config: Any) -> dict[str, float]:
    """Accuracy and area under the ROC curve on the test pairs."""
    from sklearn.metrics import roc_auc_score

    digits, pairs = take_test_pairs(table)
    similarity = answer(model, pairs.take(digits.pixels))["similarity"]
    return {
        "accuracy": float(np.mean((similarity > 0.5) == (pairs.same > 0.5))),
        "auc": float(roc_auc_score(pairs.same[:, 0], similarity[:, 0])),
    }
