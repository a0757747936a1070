"""stacked-autoencoder: layers that are shared between the phases, and what they learn."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from regrow.models.stacked_autoencoder.evaluate import evaluate
from regrow.models.stacked_autoencoder.network import Coder, train
from regrow.models.stacked_autoencoder.score import score
from regrow.models.stacked_autoencoder.spec import StackedAutoencoderConfig
from regrow.training.inference import answer
from tests.support.stages import make_context, make_entry
from tests.vision.test_digits import run_clean

CONFIG = StackedAutoencoderConfig(widths=(64, 8), layer_epochs=10, tuning_epochs=30, seeds=2)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The stages clean, train and evaluate, each in its folder."""
    root = tmp_path_factory.mktemp("autoencoder")
    run_clean(root / "clean")
    cleaned = make_entry(root / "clean")
    train(make_context(CONFIG, root / "train", clean=cleaned))
    networks = make_entry(root / "train")
    evaluate(make_context(CONFIG, root / "evaluate", clean=cleaned, train=networks))
    return root


def test_phases_train_the_layers_of_the_whole() -> None:
    coder = Coder((16, 4))
    whole = coder.join(0.0)
    before = [weight.copy() for weight in whole.get_weights()]
    layer = coder.wrap(0, 0.0)
    layer.compile(optimizer="adam", loss="mse")
    x = np.random.default_rng(0).uniform(size=(32, 64)).astype("float32")
    layer.fit(x, x, verbose=0)
    changed = [not np.array_equal(a, b) for a, b in zip(before, whole.get_weights(), strict=True)]
    # Outermost kernels and biases have moved, the inner layer's have not.
    assert changed == [True, True, False, False, False, False, True, True]


def test_the_published_model_takes_pictures_and_gives_code_and_picture(trained: Path) -> None:
    model = keras.saving.load_model(trained / "train" / "model.keras")
    pixels = np.random.default_rng(0).uniform(0, 16, size=(3, 8, 8, 1)).astype("float32")
    found = answer(model, pixels)
    assert found["code"].shape == (3, 8)
    assert found["reconstruction"].shape == (3, 8, 8, 1)


def test_every_phase_has_its_curves_and_both_ways_as_many_steps(trained: Path) -> None:
    history = json.loads((trained / "train" / "history.json").read_text())
    assert [run["run"] for run in history] == [
        *(f"layer-by-layer/seed-{seed}" for seed in range(2)),
        *(f"whole/seed-{seed}" for seed in range(2)),
    ]
    assert list(history[0]["phases"]) == ["layer-1", "layer-2", "together"]
    for curves in history[0]["phases"].values():
        assert curves["loss"][-1] < curves["loss"][0]
    assert len({run["steps"] for run in history}) == 1


def test_it_beats_pca_of_the_same_width_on_unseen_digits(trained: Path) -> None:
    evaluation = json.loads((trained / "evaluate" / "evaluation.json").read_text())
    errors = {row[0]: row[1] for row in evaluation["tables"][0]["rows"]}
    assert errors["trained layer by layer (2 seeds)"] < errors["PCA, 8 components"]
    assert errors["PCA, 8 components"] < errors["untrained network"]
    for figure in evaluation["figures"]:
        assert (trained / "evaluate" / figure["file"]).stat().st_size > 1000
    model = keras.saving.load_model(trained / "train" / "model.keras")
    found = score(model, trained / "clean" / "table.parquet", CONFIG)
    assert found["mse"] == pytest.approx(evaluation["metrics"]["mse"])
