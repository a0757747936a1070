"""Models from files: what is whole is answered with, what holds code is refused."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from regrow.base.errors import DataError, OutOfMemory, is_transient
from regrow.base.model_file import unloadable
from regrow.training.inference import (
    answer,
    find_difference,
    load_example,
    load_model,
    save_example,
)

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


Change = Callable[[dict[str, Any]], None]


def rewrite_config(path: Path, change: Change, out: Path, **zip_options: Any) -> Path:
    """The same model with a changed configuration."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w", **zip_options) as new:
        for name in old.namelist():
            content = old.read(name)
            if name == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            new.writestr(name, content)
    return out


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("saved") / "model.keras"
    build("one").save(path)
    return path


def dense(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of the model's second layer, a Dense."""
    layer: dict[str, Any] = config["config"]["layers"][1]
    return layer


def put(module: str, name: str, config: dict[str, Any], registered: str | None = None) -> Change:
    def change(model: dict[str, Any]) -> None:
        dense(model).update(
            module=module, class_name=name, registered_name=registered, build_config=None
        )
        dense(model)["config"] = {"name": "y", **config}

    return change


def put_function(module: str, name: str) -> Change:
    function = {"module": module, "class_name": "function", "config": name, "registered_name": name}
    return lambda model: dense(model)["config"].update(activation=function)


HOSTILE = {
    "keras.layers.TFSMLayer": put("keras.layers", "TFSMLayer", {"filepath": "EVIL"}),
    "keras.src.export.tfsm_layer.TFSMLayer": put(
        "keras.src.export.tfsm_layer", "TFSMLayer", {"filepath": "EVIL"}
    ),
    "keras.layers.TorchModuleWrapper": put("keras.layers", "TorchModuleWrapper", {"module": "x"}),
    "keras.layers.JaxLayer": put("keras.layers", "JaxLayer", {"call_fn": "x"}),
    "keras.layers.FlaxLayer": put("keras.layers", "FlaxLayer", {"module": "x"}),
    "keras.layers.Lambda": put("keras.layers", "Lambda", {"function": "x"}),
    "__lambda__": lambda model: dense(model)["config"].update(
        activation={"class_name": "__lambda__", "config": {"value": "x"}}
    ),
    "keras.layers.StringLookup": put("keras.layers", "StringLookup", {"vocabulary": "/etc/hosts"}),
    "keras.layers.TextVectorization": put(
        "keras.layers", "TextVectorization", {"vocabulary": [], "idf_weights": "/etc/hosts"}
    ),
    "keras.utils.get_file": put_function("keras.utils", "get_file"),
    "keras.saving.load_model": put_function("keras.saving", "load_model"),
    "builtins.eval": put_function("builtins", "eval"),
    "os.system": put_function("os", "system"),
    "keras.src.utils.python_utils.func_load": put_function(
        "keras.src.utils.python_utils", "func_load"
    ),
    "hostile.Thing": put("hostile", "Thing", {}),
    "tests.support.stages.Thing": put("tests.support.stages", "Thing", {}),
    "regrow.cli.__main__.Thing": put("regrow.cli.__main__", "Thing", {}),
    "regrow.layers.squared.Squared": put(
        "regrow.layers.squared", "Squared", {}, registered="other>Squared"
    ),
    "keras_hub.layers.Thing": put("keras_hub.layers", "Thing", {}),
    "Thing": lambda model: dense(model).update(class_name="Thing", module=None),
    "old.Dense": lambda model: dense(model).pop("module") and None,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_file_is_refused_before_anything_is_imported_or_built(
    name: str, saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "hostile.py").write_text("raise SystemExit('the hostile module was imported')")
    monkeypatch.syspath_prepend(tmp_path)
    path = rewrite_config(saved, HOSTILE[name], tmp_path / "hostile.keras")
    with pytest.raises(DataError) as raised:
        load_model(path)
    assert str(raised.value.received) in (name, name.removeprefix("old."))
    assert str(raised.value.where).startswith(f"{path}, config.layers[1]")
    assert raised.value.remedies


def test_what_is_registered_by_a_package_that_is_not_declared_is_refused(
    saved: Path, tmp_path: Path
) -> None:
    @keras.saving.register_keras_serializable(package="foreign")
    class Foreign(keras.layers.Layer):  # type: ignore[misc]
        pass

    hide = put("regrow.layers.squared", "Squared", {}, registered="foreign>Foreign")
    with pytest.raises(DataError, match=r"registered name is of tests\.training"):
        load_model(rewrite_config(saved, hide, tmp_path / "foreign.keras"))
    keras.saving.get_custom_objects().pop("foreign>Foreign")


def test_a_model_of_keras_and_of_our_own_layers_is_loaded(tmp_path: Path) -> None:
    from regrow.layers.squared import Squared

    words = keras.layers.Embedding(7, 4)(keras.Input((5,), dtype="int32"))
    read = keras.layers.Bidirectional(keras.layers.GRU(3, dropout=0.1, return_sequences=True))
    y = keras.layers.MultiHeadAttention(2, 2)(read(words), read(words))
    y = keras.ops.relu(keras.layers.Activation(keras.ops.silu)(y) + 1.0)
    y = keras.Sequential([keras.layers.Flatten(), Squared(), keras.layers.Dense(2, "gelu")])(y)
    model = keras.Model(words._keras_history.operation.input, y)
    model.compile(loss=lambda _true, _answer: 0.0)  # is not loaded
    model.save(tmp_path / "own.keras")
    rows = np.ones((3, 5), "int32")
    np.testing.assert_allclose(
        answer(load_model(tmp_path / "own.keras"), rows), answer(model, rows), rtol=1e-5, atol=1e-6
    )


def grow(**settings: Any) -> Change:
    return lambda model: (dense(model)["config"].update(settings), None)[1]


ABSURD = {
    "many units": (grow(units=10**12), "weights of"),
    "a row that fills the memory": (
        put("keras.layers", "RepeatVector", {"n": 10**11}),
        "numbers per row",
    ),
}


@pytest.mark.parametrize("case", ABSURD)
def test_absurd_sizes_are_one_clear_message(case: str, saved: Path, tmp_path: Path) -> None:
    change, said = ABSURD[case]
    path = rewrite_config(saved, change, tmp_path / "large.keras")
    with pytest.raises(DataError, match="larger than its file can contain") as raised:
        load_model(path)
    assert said in str(raised.value.received)
    assert "'y'" in str(raised.value.received) or "y/kernel" in str(raised.value.received)
    build("one").save(path)  # nothing of the refused one is left that Keras would allocate
    np.testing.assert_array_equal(answer(load_model(path), X).shape, (50, 2))


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("RESOURCE_EXHAUSTED: no memory")])
def test_too_little_memory_is_worth_another_try(error: Exception, saved: Path) -> None:
    assert isinstance(unloadable(error, saved), OutOfMemory)
    assert is_transient(unloadable(error, saved))


def test_a_file_that_would_become_far_larger_is_not_unpacked(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "bomb.keras"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", "{}")
        archive.writestr("model.weights.h5", b"0" * (80 * 2**20))
    with pytest.raises(DataError, match=r"model\.weights\.h5"):
        load_model(path)
    deep = tmp_path / "deep.keras"
    with zipfile.ZipFile(deep, "w") as archive:
        archive.writestr("config.json", "[" * 100_000 + "]" * 100_000)
    with pytest.raises(DataError, match="cannot be loaded"):
        load_model(deep)


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
