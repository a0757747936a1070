"""The contract of every layer, on the backend of KERAS_BACKEND; on JAX with JAX_ENABLE_X64=1."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import regrow.layers
from regrow.layers import (
    Calendar,
    EuclideanDistance,
    FillMissing,
    LocalResponseNormalization,
    Logarithm,
    OrthogonalPolynomial,
    SelectColumns,
    SpatialSoftmax,
    Squared,
    run_layer,
)

Array = np.ndarray[Any, np.dtype[Any]]
CHANCE = np.random.default_rng(0)
ROWS = CHANCE.uniform(0.5, 2, size=(6, 3))
CLOCK = np.array([[0, 0], [6, 5], [23, 6], [12, 1]], "float64")
PICTURES = CHANCE.normal(size=(4, 6, 5, 7))


@dataclass(frozen=True)
class Case:
    """A layer and what to give it.

    Attributes:
        make: makes the layer; called with `dtype`.
        inputs: float64 arrays, equal in their first axis: one for each input of the layer.
        has_gradient: whether inputs move the output smoothly.
    """

    make: type[keras.layers.Layer]
    inputs: list[Array]
    options: dict[str, Any] = field(default_factory=dict)
    has_gradient: bool = True

    def build(self, dtype: str = "float32") -> keras.layers.Layer:
        return self.make(**self.options, dtype=dtype)

    def arrays(self, dtype: str = "float32") -> Any:
        arrays = [keras.ops.convert_to_tensor(array, dtype=dtype) for array in self.inputs]
        return arrays[0] if len(arrays) == 1 else arrays


CASES: dict[str, Case] = {
    "Calendar": Case(Calendar, [CLOCK], has_gradient=False),
    "EuclideanDistance": Case(EuclideanDistance, [ROWS, ROWS[::-1].copy()], {"epsilon": 0.5}),
    "FillMissing": Case(FillMissing, [ROWS], {"value": 7.0}),
    "LocalResponseNormalization within": Case(
        LocalResponseNormalization, [PICTURES], {"mode": "within_channel", "size": 3, "alpha": 0.5}
    ),
    "LocalResponseNormalization across": Case(
        LocalResponseNormalization,
        [PICTURES],
        {
            "mode": "across_channels",
            "size": 4,
            "alpha": 0.3,
            "beta": 0.6,
            "k": 2.0,
            "data_format": "channels_first",
        },
    ),
    "Logarithm": Case(Logarithm, [ROWS], {"columns": [0, 2], "floor": 0.7}),
    "OrthogonalPolynomial": Case(OrthogonalPolynomial, [ROWS], {"degree": 3}),
    "SelectColumns": Case(SelectColumns, [ROWS], {"columns": [2, 0]}),
    "SpatialSoftmax": Case(SpatialSoftmax, [PICTURES]),
    "Squared": Case(Squared, [ROWS]),
}
# Keras's matmul with PyTorch answers float64 in float32.
NARROWED = ("OrthogonalPolynomial", "SpatialSoftmax")
each_layer = pytest.mark.parametrize("name", CASES)


def numbers(tensor: Any) -> Array:
    return np.asarray(keras.ops.convert_to_numpy(tensor), dtype="float64")


def wrap(layer: keras.layers.Layer, case: Case) -> keras.Model:
    inputs = [keras.Input(array.shape[1:]) for array in case.inputs]
    return keras.Model(inputs, layer(inputs[0] if len(inputs) == 1 else inputs))


def test_no_layer_is_left_out() -> None:
    ours = {
        name
        for name, value in vars(regrow.layers).items()
        if inspect.isclass(value) and issubclass(value, keras.layers.Layer)
    }
    assert ours == {case.make.__name__ for case in CASES.values()}
    assert ours | {"run_layer"} == set(regrow.layers.__all__)


def test_every_argument_is_tried() -> None:
    """Some case gives each argument of a layer's own, and not its default."""
    for make in {case.make for case in CASES.values() if "__init__" in vars(case.make)}:
        arguments = inspect.signature(make).parameters.values()
        own = [one for one in arguments if one.kind is one.POSITIONAL_OR_KEYWORD]
        assert own, make
        for one in own:
            given = [
                case.options[one.name]
                for case in CASES.values()
                if case.make is make and one.name in case.options
            ]
            assert any(value != one.default for value in given), f"{make.__name__}: {one.name}"


@each_layer
def test_the_output_has_the_promised_shape(name: str) -> None:
    case = CASES[name]
    layer = case.build()
    output = layer(case.arrays())
    shapes = [array.shape for array in case.inputs]
    promised = layer.compute_output_shape(shapes[0] if len(shapes) == 1 else shapes)
    assert tuple(output.shape) == tuple(promised)
    assert np.isfinite(numbers(output)).all()
    assert wrap(case.build(), case).output_shape == (None, *promised[1:])


@each_layer
def test_the_configuration_makes_the_same_layer(name: str) -> None:
    case = CASES[name]
    layer = case.build()
    expected = numbers(layer(case.arrays()))
    twin = type(layer).from_config(layer.get_config())
    np.testing.assert_array_equal(numbers(twin(case.arrays())), expected)
    # What was asked for is in the configuration, not the class's defaults.
    assert all(layer.get_config()[key] == value for key, value in case.options.items())


@each_layer
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_every_width_of_floats(name: str, dtype: str) -> None:
    case = CASES[name]
    output = case.build(dtype)(case.arrays(dtype))
    narrowed = dtype == "float64" and name in NARROWED and keras.backend.backend() == "torch"
    assert keras.backend.standardize_dtype(output.dtype) == ("float32" if narrowed else dtype)
    exact = numbers(case.build("float32")(case.arrays()))
    tolerance = {"float16": 0.02, "bfloat16": 0.1}.get(dtype, 1e-4)
    np.testing.assert_allclose(numbers(output), exact, rtol=tolerance, atol=tolerance)


@each_layer
def test_a_saved_model_loads_in_safe_mode(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    model = wrap(case.build(), case)
    expected = numbers(model(case.arrays()))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(numbers(loaded(case.arrays())), expected, rtol=1e-6)


@each_layer
def test_a_training_step_goes_through_it(name: str) -> None:
    """Weights before the layer get a gradient through it; those behind it learn in any case."""
    case = CASES[name]
    inputs = [keras.Input(array.shape[1:]) for array in case.inputs]
    before = [keras.layers.Dense(x.shape[-1], kernel_initializer="identity") for x in inputs]
    passed = [dense(x) if case.has_gradient else x for dense, x in zip(before, inputs, strict=True)]
    x = case.build()(passed[0] if len(passed) == 1 else passed)
    output = keras.layers.Dense(1)(keras.layers.Flatten()(x))
    model = keras.Model(inputs, output)
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss="mse")
    kernels = [weight for weight in model.trainable_variables if "kernel" in weight.path]
    old = [numbers(kernel.value).copy() for kernel in kernels]
    y = np.linspace(-1, 1, len(case.inputs[0]))[:, np.newaxis]
    data = [array.astype("float32") for array in case.inputs]
    loss = model.train_on_batch(data[0] if len(data) == 1 else data, y)
    assert np.isfinite(loss)
    for kernel, then in zip(kernels, old, strict=True):
        now = numbers(kernel.value)
        assert np.isfinite(now).all()
        assert not np.array_equal(now, then), kernel.path


def test_the_distance_of_equal_vectors_has_a_finite_gradient() -> None:
    case = Case(EuclideanDistance, [ROWS, ROWS])
    model_input = keras.Input((3,))
    dense = keras.layers.Dense(3, kernel_initializer="identity")
    model = keras.Model(model_input, EuclideanDistance()([dense(model_input), dense(model_input)]))
    model.compile(optimizer="sgd", loss="mse")
    model.train_on_batch(ROWS.astype("float32"), np.ones((6, 1)))
    assert all(np.isfinite(numbers(weight.value)).all() for weight in model.variables)
    np.testing.assert_allclose(numbers(case.build()(case.arrays())), 1e-3, rtol=1e-5)


def test_the_distance_is_euclidean_and_checks_its_inputs() -> None:
    found = numbers(EuclideanDistance()([ROWS.astype("float32"), 2 * ROWS.astype("float32")]))
    np.testing.assert_allclose(found[:, 0], np.linalg.norm(ROWS, axis=1), rtol=1e-5)
    with pytest.raises(ValueError, match="the same shape"):
        EuclideanDistance()([np.ones((2, 3)), np.ones((2, 4))])
    with pytest.raises(ValueError, match="positive"):
        EuclideanDistance(epsilon=0.0)


@pytest.mark.parametrize("dtype", ["uint8", "int32"])
@pytest.mark.parametrize(
    "make", [Squared, partial(LocalResponseNormalization, alpha=0.5), EuclideanDistance]
)
def test_whole_numbers_are_computed_with_as_floats(make: Any, dtype: str) -> None:
    """200 squared is more than uint8 holds, and less than nothing is none of its numbers."""
    whole = CHANCE.integers(0, 200, size=(2, 4, 4, 3)).astype(dtype)
    given = [whole, whole[::-1].copy()] if make is EuclideanDistance else whole
    found = make()(keras.tree.map_structure(keras.ops.convert_to_tensor, given))
    assert keras.backend.standardize_dtype(found.dtype) == "float32"
    floats = keras.tree.map_structure(lambda x: x.astype("float32"), given)
    np.testing.assert_allclose(numbers(found), numbers(make()(floats)), rtol=1e-6)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_the_distance_does_not_overflow_in_half_precision(dtype: str) -> None:
    """300 squared is more than float16 can hold."""
    pair = [keras.ops.full((1, 4), value, dtype=dtype) for value in (300.0, 0.0)]
    found = EuclideanDistance(dtype=dtype)(pair)
    assert keras.backend.standardize_dtype(found.dtype) == dtype
    np.testing.assert_allclose(numbers(found), 600, rtol=0.01)


def test_the_spatial_softmax_finds_a_peak_between_cells() -> None:
    cells = np.full((1, 4, 8, 2), -30.0, "float32")
    cells[0, 1, 2, 0] = 30
    cells[0, 3, 5:7, 1] = 30
    found = numbers(SpatialSoftmax()(cells))
    np.testing.assert_allclose(found, [[2.5 / 8, 1.5 / 4, 6 / 8, 3.5 / 4]], rtol=1e-5)


def test_run_layer_puts_one_sample_through_a_layer() -> None:
    np.testing.assert_array_equal(run_layer(Squared(), [1.0, -3.0]), [1, 9])
    picture = np.arange(12, dtype="float32").reshape(2, 2, 3)
    found = run_layer(keras.layers.GlobalAveragePooling2D(), picture)
    np.testing.assert_allclose(found, picture.mean(axis=(0, 1)))
    tokens = run_layer(keras.layers.Embedding(5, 2), np.array([1, 4, 1], "int32"))
    assert tokens.shape == (3, 2)
    np.testing.assert_array_equal(tokens[0], tokens[2])


def test_run_layer_rebuilds_the_layer_from_its_configuration() -> None:
    class Scaled(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self, factor: float, *, complete: bool) -> None:
            super().__init__()
            self.factor, self.complete = factor, complete

        def call(self, inputs: Any) -> Any:
            return self.factor * inputs

        def get_config(self) -> dict[str, Any]:
            told = {"factor": self.factor, "complete": self.complete}
            return told if self.complete else {"complete": False}

    np.testing.assert_array_equal(run_layer(Scaled(3.0, complete=True), [1.0, 2.0]), [3, 6])
    with pytest.raises(TypeError, match="factor"):
        run_layer(Scaled(3.0, complete=False), [1.0, 2.0])

    trained = keras.layers.Dense(2)
    expected = keras.ops.convert_to_numpy(trained(np.ones((1, 3), "float32")))[0]
    np.testing.assert_array_equal(run_layer(trained, [1.0, 1.0, 1.0]), expected)


def test_run_layer_gives_every_output() -> None:
    steps = CHANCE.normal(size=(5, 3)).astype("float32")
    outputs = run_layer(keras.layers.LSTM(4, return_sequences=True, return_state=True), steps)
    assert [output.shape for output in outputs] == [(5, 4), (4,), (4,)]
    np.testing.assert_allclose(outputs[0][-1], outputs[1], rtol=1e-6)
