"""deep-dream: the ascent with its octaves and tiles, and what an interruption changes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from regrow.base.errors import TrainingDiverged, UserError
from regrow.models.deep_dream.dream import (
    climb_tiles,
    draw_noise,
    dream,
    list_octaves,
    prepare,
    zoom_in,
)
from regrow.models.deep_dream.objective import build_objectives
from regrow.models.deep_dream.spec import SPEC, DeepDreamConfig
from regrow.training.determinism import set_seed
from regrow.vision.animation import save_animation
from regrow.vision.backbones import build_backbone, cut, preprocess
from regrow.vision.canvas import to_bytes
from tests.vision.test_vision import draw

SMALL: dict[str, Any] = {
    "weights": "random",
    "layers": {"conv_pw_3_relu": 1.0},
    "steps": 3,
    "octaves": 2,
    "size": 96,
    "jitter": 4,
}


def small_photo(height: int = 64, width: int = 96) -> Any:
    return np.asarray(draw(size=(width, height)), "float32")


def look_at(photo: Any, layer: str) -> Any:
    network = cut(build_backbone("mobilenet", weights=None), [layer])
    units = preprocess("mobilenet", keras.ops.convert_to_tensor(photo))
    return keras.ops.convert_to_numpy(network(units[None])[layer])


def test_a_dream_climbs_higher_than_noise_of_the_same_strength() -> None:
    config = DeepDreamConfig(**SMALL)
    climb = build_objectives(config, None)[""]
    photo = small_photo()
    found = dream(climb, photo, config)
    assert found.pixels.shape == photo.shape
    assert found.pixels.min() >= 0
    assert found.pixels.max() <= 255
    assert len(found.curves["objective"]) == 6
    change = np.sqrt(np.mean((found.pixels - photo) ** 2))
    noise = np.random.default_rng(0).normal(scale=change, size=photo.shape).astype("float32")
    reached, noisy, before = (climb(p)[0] for p in (found.pixels, photo + noise, photo))
    assert reached > max(noisy, before) * 1.02


def test_layers_channels_and_guides_are_what_is_climbed() -> None:
    photo = small_photo()
    two = DeepDreamConfig(**{**SMALL, "layers": {"conv1_relu": 2.0, "conv_pw_3_relu": 0.5}})
    value, terms, _gradient = build_objectives(two, None)[""](photo)
    assert value == pytest.approx(2 * terms["conv1_relu"] + 0.5 * terms["conv_pw_3_relu"], rel=1e-5)
    active = look_at(photo, "conv_pw_3_relu")
    means = active.mean(axis=(0, 1, 2))
    plain = build_objectives(DeepDreamConfig(**SMALL), None)[""]
    assert plain(photo)[0] == pytest.approx(means.mean(), rel=1e-4)
    one = build_objectives(DeepDreamConfig(**SMALL, channel=24), None)[""]
    assert one(photo)[0] == pytest.approx(means[24], rel=1e-4)
    guided = build_objectives(DeepDreamConfig(**SMALL, guided=True), None, to_bytes(photo))[""]
    # By itself a picture is guided along its own mean: the length of that vector.
    assert guided(photo)[0] == pytest.approx(float(np.linalg.norm(means)), rel=1e-3)
    apart = build_objectives(two.model_copy(update={"schedule": "apart"}), None)
    assert list(apart) == ["conv1_relu", "conv_pw_3_relu"]


def test_unknown_layers_and_channels_are_refused() -> None:
    with pytest.raises(UserError, match="no layer 'conv_pw_99'"):
        build_objectives(DeepDreamConfig(**{**SMALL, "layers": {"conv_pw_99": 1.0}}), None)
    with pytest.raises(UserError, match="no channel 32"):
        build_objectives(DeepDreamConfig(**SMALL, channel=32), None)


def test_octaves_go_from_coarse_to_fine_and_end_in_full_size() -> None:
    assert list_octaves((140, 280), 3, 1.4) == [(71, 143), (100, 200), (140, 280)]
    assert list_octaves((40, 400), 5, 2.0) == [(40, 400)]
    assert list_octaves((20, 20), 2, 2.0) == [(20, 20)]


def test_a_tiled_gradient_is_that_of_the_whole_picture() -> None:
    """Of a layer that looks 3 pixels around, in the middle of a picture where nothing wraps."""
    set_seed(0, deterministic=False)
    config = DeepDreamConfig(**{**SMALL, "layers": {"conv1_relu": 1.0}})
    climb = build_objectives(config, None)[""]
    pixels = np.random.default_rng(0).uniform(0, 255, size=(160, 224, 3)).astype("float32")
    _value, _terms, whole = climb_tiles(climb, pixels, 512, 16)
    _value, _terms, tiled = climb_tiles(climb, pixels, 96, 16)
    one, other = (g[24:-24, 24:-24] / np.abs(g[24:-24, 24:-24]).mean() for g in (whole, tiled))
    np.testing.assert_allclose(one, other, atol=0.02)


@pytest.mark.parametrize("size", [(64, 96), (200, 150), (97, 301)])
@pytest.mark.parametrize("shift", [(0, 0), (5, 31)])
def test_tiles_cover_every_pixel(size: tuple[int, int], shift: tuple[int, int]) -> None:
    """With the picture itself as gradient, each pixel must come back at its place."""
    pixels = np.random.default_rng(0).uniform(size=(*size, 3)).astype("float32")
    shapes = set()

    def climb(x: Any) -> Any:
        shapes.add(x.shape)
        return float(x.mean()), {}, x.copy()

    _value, _terms, gradient = climb_tiles(climb, pixels, 64, 8, shift)
    np.testing.assert_array_equal(gradient, pixels)
    assert len(shapes) == 1, "one shape is compiled once"
    assert max(shapes.pop()[:2]) <= 64


def test_an_interrupted_dream_ends_alike(tmp_path: Path) -> None:
    config = DeepDreamConfig(**SMALL)
    climb = build_objectives(config, None)[""]
    photo = small_photo()
    whole = dream(climb, photo, config)
    path = tmp_path / "checkpoint.npz"

    def stop(done: int, _total: int, _pixels: Any) -> None:
        if done == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        dream(climb, photo, config, checkpoint=path, checkpoint_every_s=0, on_step=stop)
    steps = []
    again = dream(
        climb, photo, config, checkpoint=path, on_step=lambda done, *_: steps.append(done)
    )
    assert steps == [5, 6]
    assert again.resumed_from == 4
    np.testing.assert_allclose(again.pixels, whole.pixels, atol=1e-3)
    assert again.curves["objective"] == pytest.approx(whole.curves["objective"], rel=1e-5)


def test_noise_is_seeded_and_needs_no_photo() -> None:
    np.testing.assert_array_equal(draw_noise(40, 50, 1), draw_noise(40, 50, 1))
    assert not np.array_equal(draw_noise(40, 50, 1), draw_noise(40, 50, 2))
    config = DeepDreamConfig(**SMALL, start="noise")
    climb = build_objectives(config, None)[""]
    one = dream(climb, small_photo(), config).pixels
    np.testing.assert_allclose(one, dream(climb, small_photo() * 0, config).pixels, atol=1e-3)


def test_a_picture_without_a_gradient_is_refused() -> None:
    def flat(x: Any) -> Any:
        return 0.0, {}, np.zeros_like(x)

    with pytest.raises(TrainingDiverged, match="cannot be used for gradient ascent"):
        dream(flat, small_photo(), DeepDreamConfig(**SMALL))


def test_zoom_goes_on_at_the_frames_that_are_there(tmp_path: Path) -> None:
    config = DeepDreamConfig(**SMALL, zoom_frames=3, zoom_steps=1, zoom=1.5)
    climb = build_objectives(config, None)[""]
    photo = to_bytes(prepare(to_bytes(small_photo()), 64))
    frames = zoom_in(climb, photo, config, tmp_path)
    contents = [frame.read_bytes() for frame in frames]
    frames[-1].unlink()
    again = zoom_in(climb, photo, config, tmp_path)
    assert [frame.read_bytes() for frame in again[:2]] == contents[:2]
    from PIL import Image

    with Image.open(save_animation(frames, tmp_path / "zoom.gif")) as moving:
        assert moving.n_frames == 3  # type: ignore[attr-defined]
        assert moving.size == (photo.shape[1], photo.shape[0])
    if shutil.which("ffmpeg"):
        film = save_animation(frames, tmp_path / "zoom.mp4").read_bytes()
        assert film[4:8] == b"ftyp"


def test_settings_that_contradict_each_other_are_refused() -> None:
    for wrong in (
        {"layers": {"conv1_relu": 0.0}},
        {"guided": True, "channel": 3},
        {"tile": 128, "overlap": 64},
    ):
        with pytest.raises(ValueError, match="Value error"):
            DeepDreamConfig(**wrong)
    assert DeepDreamConfig(backbone="vgg16").chosen_layers == {"block5_conv1": 1.0}


def test_only_what_the_settings_need_is_fetched() -> None:
    def needed(**settings: Any) -> tuple[str, ...]:
        return SPEC.needs(DeepDreamConfig(**settings), SPEC.sources)

    assert needed() == ("photo", "mobilenet-imagenet")
    assert needed(weights="random") == ("photo",)
    assert needed(backbone="vgg19", guided=True) == ("photo", "style", "vgg19-imagenet")
    assert SPEC.scope(DeepDreamConfig()) == "mobilenet-conv_pw_11_relu"
    assert SPEC.scope(DeepDreamConfig(weights="random", channel=3)).endswith("-c3")
