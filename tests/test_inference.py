"""Models from files: what is whole is answered with, what holds code is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from regrow.engine.errors import DataError
from regrow.engine.inference import answer, find_difference, load_example, load_model, save_example

X = np.random.default_rng(0).normal(size=(50, 3)).astype("float32")


def build(outputs: str) -> keras.Model:
    x = keras.Input((3,), name="x")
    y = keras.layers.Dense(2, name="y")(x)
    made: dict[str, Any] = {
        "one": (x, y),
        "named": ({"x": x}, {"y": y, "z": keras.layers.ReLU()(y)}),
    }
    return keras.Model(*made[outputs])


@pytest.mark.parametrize("outputs", ["one", "named"])
def test_answers_come_in_batches_and_keep_their_structure(outputs: str, tmp_path: Path) -> None:
    model = build(outputs)
    inputs: Any = X if outputs == "one" else {"x": X}
    whole, parts = answer(model, inputs), answer(model, inputs, batch_rows=7)
    for one, other in zip(keras.tree.flatten(whole), keras.tree.flatten(parts), strict=True):
        assert one.shape == (50, 2)
        # Sums near zero differ by float32's rounding: batches of another size add up otherwise.
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-6)
    example = tmp_path / "example.npz"
    save_example(example, model, inputs)
    kept = load_example(example)
    keras.tree.assert_same_structure(kept, (inputs, whole))
    assert find_difference(model, example) is None
    model.get_layer("y").bias.assign([1.0, 1.0])
    assert "was" in str(find_difference(model, example))


def test_a_model_with_code_in_it_is_refused(tmp_path: Path) -> None:
    x = keras.Input((3,))
    path = tmp_path / "code.keras"
    keras.Model(x, keras.layers.Lambda(lambda t: t * 2)(x)).save(path)
    with pytest.raises(DataError) as raised:
        load_model(path)
    text = str(raised.value)
    assert "Lambda" in text
    assert str(path) in text
    assert "src/regrow/layers" in text


def test_damaged_and_foreign_files_are_refused(tmp_path: Path) -> None:
    whole = tmp_path / "whole.keras"
    build("one").save(whole)
    for name, content in {
        "cut.keras": whole.read_bytes()[:300],
        "text.keras": b"no model",
        "empty.keras": b"",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match="cannot be loaded"):
            load_model(tmp_path / name)


def test_no_source_of_ours_makes_a_lambda_layer() -> None:
    import regrow

    for path in Path(regrow.__file__).parent.rglob("*.py"):
        assert "layers.Lambda" not in path.read_text(), path
