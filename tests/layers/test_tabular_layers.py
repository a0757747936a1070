"""The layers for tables: what each computes."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from regrow.layers import (
    Calendar,
    FillMissing,
    Logarithm,
    OrthogonalPolynomial,
    SelectColumns,
)

ROWS = np.array([[1.0, 2.0, np.nan], [0.0, -3.0, 5.0], [4.0, 0.5, 6.0]], "float32")
CLOCK = np.array([[0, 0], [6, 5], [23, 6]], "float32")


def output_of(layer: keras.layers.Layer, rows: Any) -> Any:
    return keras.ops.convert_to_numpy(layer(rows))


def test_select_columns() -> None:
    np.testing.assert_array_equal(output_of(SelectColumns([1]), ROWS), ROWS[:, [1]])


def test_logarithm_raises_to_the_floor_and_keeps_missing() -> None:
    found = output_of(Logarithm([0, 2], floor=0.1), ROWS)
    np.testing.assert_allclose(found[:, 0], np.log([1.0, 0.1, 4.0]), rtol=1e-6)
    np.testing.assert_array_equal(found[:, 1], ROWS[:, 1])
    assert np.isnan(found[0, 2])


def test_fill_missing_touches_nothing_else() -> None:
    found = output_of(FillMissing(-200.0), ROWS)
    assert found[0, 2] == -200
    np.testing.assert_array_equal(found[1:], ROWS[1:])


def test_calendar_puts_midnight_beside_23_h() -> None:
    hours = np.stack([np.arange(24), np.zeros(24)], axis=1).astype("float32")
    found = output_of(Calendar(), hours)
    steps = np.linalg.norm(np.diff(np.vstack([found, found[:1]]), axis=0), axis=1)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-4)
    weekend = output_of(Calendar(), np.array([[3, day] for day in range(7)], "float32"))[:, 4]
    np.testing.assert_array_equal(weekend, [0, 0, 0, 0, 0, 1, 1])


def test_orthogonal_polynomials_are_uncorrelated_powers() -> None:
    rows = np.random.default_rng(0).normal(size=(500, 2))
    layer = OrthogonalPolynomial(3)
    layer.adapt(rows)
    found = output_of(layer, rows.astype("float32")).astype("float64")
    np.testing.assert_allclose(np.cov(found, rowvar=False), np.eye(6), atol=1e-4)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-5)
    powers = np.hstack([np.ones((500, 1)), rows, rows**2, rows**3])
    fitted = powers @ np.linalg.lstsq(powers, found, rcond=None)[0]
    np.testing.assert_allclose(fitted, found, atol=1e-3)
