"""image-similarity: pairs that share no picture, shared weights, the threshold, the figures."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from regrow.models.image_similarity.network import (
    ContrastiveLoss,
    build_tower,
    build_twins,
    embed,
)
from regrow.models.image_similarity.pairs import make_pairs
from regrow.models.image_similarity.score import take_test_pairs
from regrow.models.image_similarity.spec import ImageSimilarityConfig
from regrow.models.image_similarity.threshold import choose_threshold, measure_accuracy
from regrow.training.inference import answer
from regrow.vision.digits import Digits, read_digits
from tests.vision.test_digits import run_clean


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    run_clean(folder)
    return folder / "table.parquet"


def test_pairs_are_balanced_and_of_two_different_pictures(table: Path) -> None:
    digits = read_digits(table, "validation")
    pairs = make_pairs(digits, 5001, seed=3)
    assert len(pairs) == 5001
    assert pairs.same.mean() == pytest.approx(0.5, abs=1e-3)
    assert (pairs.first != pairs.second).all()
    one, other = digits.labels[pairs.first], digits.labels[pairs.second]
    np.testing.assert_array_equal(one == other, pairs.same[:, 0] == 1)
    # Every digit meets every other one.
    assert len({tuple(pair) for pair in zip(one.tolist(), other.tolist(), strict=True)}) == 100
    again = make_pairs(digits, 5001, seed=3)
    np.testing.assert_array_equal(again.first, pairs.first)
    assert not np.array_equal(make_pairs(digits, 5001, seed=4).first, pairs.first)


def test_pairs_need_partners() -> None:
    digits = Digits(np.arange(3), np.zeros((3, 8, 8, 1)), np.array([0, 0, 1]))
    with pytest.raises(ValueError, match="two of each"):
        make_pairs(digits, 10, seed=0)


def test_no_test_picture_is_in_another_split(table: Path) -> None:
    digits, pairs = take_test_pairs(table)
    used = set(digits.digit_id[np.concatenate([pairs.first, pairs.second])].tolist())
    for split in ("train", "validation"):
        assert not used & set(read_digits(table, split).digit_id.tolist())


def test_the_contrastive_loss_is_that_of_the_paper() -> None:
    distance = np.array([[0.0], [0.4], [0.4], [1.7]], "float32")
    same = np.array([[1.0], [1.0], [0.0], [0.0]], "float32")
    found = ContrastiveLoss(margin=1.0, reduction="none")(same, distance)
    expected = [0, 0.4**2 / 2, 0.6**2 / 2, 0]
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), expected, rtol=1e-6)
    twin = ContrastiveLoss.from_config(ContrastiveLoss(margin=0.5).get_config())
    assert twin.margin == 0.5


def test_the_twins_share_their_weights() -> None:
    tower = build_tower(ImageSimilarityConfig(filters=4))
    twins = build_twins(tower)
    assert twins.count_params() == tower.count_params()
    rng = np.random.default_rng(0)
    pictures = rng.uniform(0, 16, size=(2, 5, 8, 8, 1)).astype("float32")
    one = answer(twins, {"first": pictures[0], "second": pictures[1]})
    other = answer(twins, {"first": pictures[1], "second": pictures[0]})
    np.testing.assert_allclose(one, other, rtol=1e-5)
    vectors = [embed(twins, half) for half in pictures]
    expected = np.linalg.norm(vectors[0] - vectors[1], axis=1)
    np.testing.assert_allclose(one[:, 0], expected, rtol=1e-4)


def test_the_threshold_decides_most_pairs_rightly() -> None:
    rng = np.random.default_rng(0)
    same = (np.arange(400) % 2 == 0).astype("float32")
    distance = np.where(same, 0.3, 0.7) + rng.normal(scale=0.15, size=400)
    threshold, slope = choose_threshold(distance, same)
    best = max(measure_accuracy(distance, same, t) for t in np.linspace(0, 1.5, 3001))
    assert measure_accuracy(distance, same, threshold) == best
    assert slope > 0
    assert choose_threshold(np.array([0.1, 0.2, 0.8, 0.9]), np.array([1, 1, 0, 0]))[0] == 0.5
