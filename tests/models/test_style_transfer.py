"""style-transfer: its losses against their equations, both optimisers, scales, interruptions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from keras import ops

from regrow.base.errors import TrainingDiverged, UserError
from regrow.models.style_transfer.losses import (
    StyleLoss,
    gram_matrix,
    relative_error,
    share_styles,
    total_variation,
)
from regrow.models.style_transfer.score import measure
from regrow.models.style_transfer.spec import StyleTransferConfig
from regrow.models.style_transfer.transfer import list_scales, transfer
from tests.vision.test_vision import draw

SMALL: dict[str, Any] = {
    "weights": "random",
    "style_layers": {"conv1_relu": 1.0, "conv_pw_3_relu": 1.0},
    "content_layer": "conv_pw_3_relu",
    "size": 96,
    "scales": 2,
    "steps": 6,
}


def small_content() -> Any:
    return np.asarray(draw(size=(96, 64)))


def small_style(seed: int = 0) -> Any:
    """Stripes of a colour of its own."""
    chance = np.random.default_rng(seed)
    stripes = chance.integers(0, 256, size=(1, 24, 3)).repeat(4, axis=1)
    return stripes.repeat(64, axis=0).astype("uint8")


@pytest.fixture(scope="module")
def loss() -> StyleLoss:
    return StyleLoss(StyleTransferConfig(**SMALL), None)


def gram(features: Any, mask: Any = None) -> Any:
    tensors = [None if one is None else ops.convert_to_tensor(one) for one in (features, mask)]
    return ops.convert_to_numpy(gram_matrix(*tensors))


def test_gram_matrices_are_those_of_the_paper() -> None:
    features = np.random.default_rng(0).normal(size=(1, 5, 7, 3)).astype("float32")
    flat = features.reshape(35, 3)
    expected = [[(flat[:, i] * flat[:, j]).sum() / (35 * 3) for j in range(3)] for i in range(3)]
    np.testing.assert_allclose(gram(features), expected, rtol=1e-4)
    # Normalised by size: the same texture twice as wide has the same matrix.
    twice = np.concatenate([features, features], axis=2)
    np.testing.assert_allclose(gram(twice), expected, rtol=1e-4)
    # A mask of the left half looks at the left half alone.
    mask = np.zeros((1, 5, 14, 1), "float32")
    mask[:, :, :7] = 1
    other = np.concatenate([features, features * 9], axis=2)
    np.testing.assert_allclose(gram(other, mask), expected, rtol=1e-4)


def test_errors_are_relative_and_variation_is_of_neighbours() -> None:
    target = np.array([3.0, 4.0], "float32")
    assert float(relative_error(target, target)) == 0
    assert float(relative_error(target * 0, target)) == pytest.approx(1, rel=1e-6)
    pixels = np.zeros((3, 3, 3), "float32")
    pixels[1, 1] = 255  # four of the twelve differences are 1, two in each direction
    assert float(total_variation(ops.convert_to_tensor(pixels))) == pytest.approx(2 / 6 + 2 / 6)


def test_a_picture_is_at_no_distance_from_itself(loss: StyleLoss) -> None:
    content, style = small_content(), small_style()
    assert measure(loss, content, content, [style])["content"] == pytest.approx(0, abs=1e-6)
    assert measure(loss, style, content, [style])["style"] == pytest.approx(0, abs=1e-6)
    terms = measure(loss, content, content, [style])
    config = loss.config
    expected = (
        config.content_weight * terms["content"]
        + config.style_weight * terms["style"]
        + config.variation_weight * terms["variation"]
    )
    assert terms["loss"] == pytest.approx(expected, rel=1e-5)


def test_several_styles_are_mixed_by_their_shares(loss: StyleLoss) -> None:
    content, styles = small_content(), [small_style(1), small_style(2)]
    apart = [measure(loss, content, content, [style])["style"] for style in styles]
    both = measure(loss, content, content, styles)["style"]
    assert both == pytest.approx(np.mean(apart), rel=1e-4)
    assert share_styles([1, 3], 2) == [0.25, 0.75]
    with pytest.raises(UserError, match="needs a share"):
        share_styles([1, 3], 3)


def test_a_mask_keeps_a_style_to_its_region(loss: StyleLoss) -> None:
    content = small_content()
    left = np.zeros((64, 96), "float32")
    left[:, :48] = 1
    found = transfer(loss, content, [small_style(3)], [left])
    plain = transfer(loss, content, [small_style(3)])
    moved = [np.abs(one.pixels.astype(float) - content).mean(axis=(0, 2)) for one in (found, plain)]
    # Far from the edge of the mask, where the network's view does not reach over it.
    assert moved[0][72:].mean() < moved[1][72:].mean() * 0.8


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
def test_the_loss_falls_and_the_picture_stays_one(loss: StyleLoss, optimizer: Any) -> None:
    content, style = small_content(), small_style()
    plan = loss.config.model_copy(update={"optimizer": optimizer})
    found = transfer(loss, content, [style], plan=plan)
    assert found.pixels.shape == (64, 96, 3)
    assert found.pixels.dtype == np.uint8
    assert len(found.curves["loss"]) == 3 + 6  # half as many where it is coarse
    before = measure(loss, content, content, [style])["loss"]
    after = measure(loss, found.pixels, content, [style])["loss"]
    assert after < before * 0.7
    for name in ("content", "style", "variation"):
        assert len(found.curves[name]) == 9


def test_lbfgs_gets_further_than_adam_in_as_many_steps(loss: StyleLoss) -> None:
    content, style = small_content(), small_style()
    reached = {}
    for name in ("lbfgs", "adam"):
        plan = loss.config.model_copy(update={"optimizer": name, "scales": 1, "steps": 25})
        reached[name] = transfer(loss, content, [style], plan=plan).curves["loss"][-1]
    assert reached["lbfgs"] < reached["adam"]


@pytest.mark.parametrize("start", ["content", "style", "noise"])
def test_every_start_is_seeded(loss: StyleLoss, start: Any) -> None:
    plan = loss.config.model_copy(update={"start": start, "steps": 2, "optimizer": "adam"})
    one, same = (transfer(loss, small_content(), [small_style()], plan=plan) for _ in range(2))
    assert np.abs(one.pixels.astype(int) - same.pixels.astype(int)).max() <= 1


@pytest.mark.parametrize("optimizer", ["lbfgs", "adam"])
@pytest.mark.parametrize("at", [4, 8])
def test_an_interrupted_transfer_ends_alike(
    loss: StyleLoss, tmp_path: Path, optimizer: Any, at: int
) -> None:
    content, style = small_content(), small_style()
    plan = loss.config.model_copy(update={"optimizer": optimizer})
    whole = transfer(loss, content, [style], plan=plan)

    def stop(done: int, *_: Any) -> None:
        if done == at:
            raise KeyboardInterrupt

    options: dict[str, Any] = {"plan": plan, "checkpoint": tmp_path / "checkpoint.npz"}
    with pytest.raises(KeyboardInterrupt):
        transfer(loss, content, [style], checkpoint_every_s=0, on_step=stop, **options)
    again = transfer(loss, content, [style], **options)
    # L-BFGS leaves its checkpoints where it begins anew: here at the end of the coarse scale.
    assert again.resumed_from == (at - 1 if optimizer == "adam" else 3)
    np.testing.assert_allclose(again.curves["loss"], whole.curves["loss"], rtol=1e-3)
    assert np.abs(again.pixels.astype(int) - whole.pixels.astype(int)).mean() < 1


def test_colours_are_kept(loss: StyleLoss) -> None:
    content = small_content()
    plan = loss.config.model_copy(update={"keep_colour": True})
    found = transfer(loss, content, [small_style()], plan=plan).pixels
    plain = transfer(loss, content, [small_style()]).pixels

    def chroma(pixels: Any) -> Any:
        values = pixels.astype(float)
        return values - values.mean(axis=2, keepdims=True)

    kept, lost = (np.abs(chroma(one) - chroma(content)).mean() for one in (found, plain))
    assert kept < lost


def test_scales_go_from_coarse_to_fine() -> None:
    assert list_scales((300, 400), 3) == [(75, 100), (150, 200), (300, 400)]
    assert list_scales((60, 400), 3) == [(60, 400)]
    assert list_scales((20, 20), 3) == [(20, 20)]


def test_a_loss_that_is_not_finite_is_refused(loss: StyleLoss) -> None:
    class Broken:
        config = loss.config
        aim = staticmethod(loss.aim)

        def __call__(self, pixels: Any, _targets: Any) -> Any:
            return float("nan"), {}, pixels

    with pytest.raises(TrainingDiverged, match="no longer finite"):
        transfer(Broken(), small_content(), [small_style()])  # type: ignore[arg-type]


def test_settings_that_make_no_sense_are_refused() -> None:
    for wrong in (
        {"style_layers": {"conv1_relu": -1.0}},
        {"style_mix": [0.0]},
        {"content_weight": 0.0, "style_weight": 0.0},
    ):
        with pytest.raises(ValueError, match="Value error"):
            StyleTransferConfig(**wrong)
    weights = StyleTransferConfig(backbone="vgg19").chosen_styles
    assert sum(weights.values()) == pytest.approx(1)
    assert list(weights) == [f"block{n}_conv1" for n in range(1, 6)]
