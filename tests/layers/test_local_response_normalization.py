"""Local response normalisation against a plain loop, and against TensorFlow's and PyTorch's own."""

from __future__ import annotations

import importlib.util
import itertools
from typing import Any

import keras
import numpy as np
import pytest

from regrow.layers import LocalResponseNormalization
from tests.support.gradients import differentiate

Array = np.ndarray[Any, np.dtype[Any]]
X = np.random.default_rng(1).normal(size=(2, 5, 4, 6))
SETTINGS: dict[str, Any] = {"alpha": 0.7, "beta": 0.75, "k": 1.3}
SIZES = [1, 2, 3, 4, 5, 9]
# Computed in float32, and only cast, nothing would be so near.
BOUND = 1e-12
WITHOUT_FLOAT64 = "JAX has float64 where it is started with JAX_ENABLE_X64=1: see the Makefile"


def loop(x: Array, mode: Any, size: int) -> Array:
    """The equation, one value after another; x is (batch, height, width, channels)."""
    reach = range(-(size // 2), (size - 1) // 2 + 1)
    y = np.empty_like(x)
    for n, i, j, c in np.ndindex(*x.shape):
        places = (
            [(n, i + di, j + dj, c) for di, dj in itertools.product(reach, reach)]
            if mode == "within_channel"
            else [(n, i, j, c + d) for d in reach]
        )
        energy = sum(
            x[place] ** 2
            for place in places
            if all(0 <= at < length for at, length in zip(place, x.shape, strict=True))
        )
        divisor = SETTINGS["k"] + SETTINGS["alpha"] / len(places) * energy
        y[n, i, j, c] = x[n, i, j, c] / divisor ** SETTINGS["beta"]
    return y


def run(x: Array, mode: Any, size: int, dtype: str = "float64", **more: Any) -> Array:
    layer = LocalResponseNormalization(mode, size=size, dtype=dtype, **SETTINGS, **more)
    found = layer(keras.ops.convert_to_tensor(x, dtype=dtype))
    assert keras.backend.standardize_dtype(found.dtype) == dtype, WITHOUT_FLOAT64
    array: Array = keras.ops.convert_to_numpy(found)
    return array


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", ["within_channel", "across_channels"])
def test_it_is_the_equation_borders_included(mode: Any, size: int) -> None:
    expected = loop(X, mode, size)
    np.testing.assert_allclose(run(X, mode, size), expected, atol=BOUND, rtol=0)
    first = run(X.transpose(0, 3, 1, 2), mode, size, data_format="channels_first")
    np.testing.assert_allclose(first.transpose(0, 2, 3, 1), expected, atol=BOUND, rtol=0)


@pytest.mark.parametrize("size", [3, 4])
@pytest.mark.parametrize("mode", ["within_channel", "across_channels"])
def test_gradients_are_those_of_the_loop(mode: Any, size: int) -> None:
    x = X[:1, :3, :3, :4]
    weights = np.random.default_rng(2).normal(size=x.shape)
    tensor = keras.ops.convert_to_tensor(weights, dtype="float64")
    layer = LocalResponseNormalization(mode, size=size, dtype="float64", **SETTINGS)
    found = differentiate(lambda t: keras.ops.sum(layer(t) * tensor), x)
    step, expected = 1e-6, np.empty_like(x)
    for place in np.ndindex(*x.shape):
        ends = []
        for sign in (1, -1):
            moved = x.copy()
            moved[place] += sign * step
            ends.append(np.sum(loop(moved, mode, size) * weights))
        expected[place] = (ends[0] - ends[1]) / (2 * step)
    assert found.dtype == np.float64, WITHOUT_FLOAT64
    # So near come differences of float64.
    np.testing.assert_allclose(found, expected, atol=1e-8, rtol=0)


@pytest.mark.parametrize("size", [1, 3, 5])
def test_across_channels_is_tensorflows_with_alpha_divided_by_size(size: int) -> None:
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    expected = tf.nn.local_response_normalization(
        X.astype("float32"),
        depth_radius=size // 2,
        bias=SETTINGS["k"],
        alpha=SETTINGS["alpha"] / size,
        beta=SETTINGS["beta"],
    )
    found = run(X, "across_channels", size, "float32")
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
def test_across_channels_is_pytorchs(size: int) -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed: make torch")
    import torch

    theirs = torch.nn.LocalResponseNorm(size, **SETTINGS)
    expected = theirs(torch.tensor(X.transpose(0, 3, 1, 2))).numpy().transpose(0, 2, 3, 1)
    found = run(X, "across_channels", size)
    np.testing.assert_allclose(found, expected, atol=BOUND, rtol=0)


def normalise(name: str, **changes: Any) -> Array:
    layer = LocalResponseNormalization.preset(name, dtype="float32", **changes)
    array: Array = keras.ops.convert_to_numpy(layer(X.astype("float32")))
    return array


def test_the_preset_tensorflow_has_the_defaults_of_tensorflow() -> None:
    tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
    expected = tf.nn.local_response_normalization(X.astype("float32")).numpy()
    np.testing.assert_allclose(normalise("tensorflow"), expected, atol=1e-6)


def test_the_preset_pytorch_has_the_defaults_of_pytorch() -> None:
    if importlib.util.find_spec("torch") is None:
        pytest.skip("PyTorch is not installed: make torch")
    import torch

    theirs = torch.nn.LocalResponseNorm(3)
    expected = theirs(torch.tensor(X.transpose(0, 3, 1, 2))).numpy().transpose(0, 2, 3, 1)
    np.testing.assert_allclose(normalise("pytorch", size=3), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "axes", "alpha", "k"), [("caffe", 1, 1.0, 1.0), ("chapter", 2, 5e-4, 2.0)]
)
def test_the_other_presets_are_their_equations(
    name: str, axes: int, alpha: float, k: float
) -> None:
    """On an input of ones the middle sees whole windows, so the mean of the squares is one."""
    found = LocalResponseNormalization.preset(name)(np.ones((1, 5, 5, 5), "float32"))
    at_a_border = 3 / 5 if axes == 1 else (3 / 5) ** 2
    for place, energy in (((0, 2, 2, 2), 1.0), ((0, 0, 0, 0), at_a_border)):
        assert float(found[place]) == pytest.approx((k + alpha * energy) ** -0.75, rel=1e-6)


def test_a_preset_that_does_not_exist_is_named() -> None:
    with pytest.raises(ValueError, match="caffe, pytorch, tensorflow, chapter; received 'theano'"):
        LocalResponseNormalization.preset("theano")


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_half_precision_does_not_overflow(dtype: str) -> None:
    """300 squared is more than float16 can hold."""
    x = np.full((1, 3, 3, 2), 300.0)
    found = run(x, "within_channel", 3, dtype).astype("float64")
    np.testing.assert_allclose(found, loop(x, "within_channel", 3), rtol=0.01)


def test_pictures_of_unknown_size() -> None:
    inputs = keras.Input((None, None, 6))
    layer = LocalResponseNormalization("within_channel", size=3, **SETTINGS)
    model = keras.Model(inputs, layer(inputs))
    found = keras.ops.convert_to_numpy(model(X.astype("float32")))
    np.testing.assert_allclose(found, loop(X, "within_channel", 3), atol=1e-5)


@pytest.mark.parametrize(
    "settings", [{"mode": "both"}, {"size": 0}, {"size": 2.5}, {"k": 0.0}, {"data_format": "wide"}]
)
def test_what_cannot_be_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="received"):
        LocalResponseNormalization(**settings)
    with pytest.raises(ValueError, match="ndim"):
        LocalResponseNormalization()(np.ones((2, 3)))
