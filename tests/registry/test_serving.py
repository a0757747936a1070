"""Registered versions answer where regrow is not installed, by what is registered with them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

import regrow
from regrow.base.addresses import reroot_database
from regrow.base.errors import DataError, UserError
from regrow.base.home import Home
from regrow.base.model_digests import TAG
from regrow.base.spec import Serving
from regrow.models.air_quality.data import read_readings
from regrow.registry.scoring import copy_verified, load_scorer
from regrow.registry.serving import copy_modules, export_release
from regrow.registry.versions import Registry
from regrow.training.export import NotExportable, export_model
from regrow.training.inference import save_example
from tests.conftest import REPOSITORY, SAMPLE

NAME = "air-quality.sample"
PICKLES = (b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


@pytest.fixture
def home(trained: Path, tmp_path: Path) -> Path:
    home = Path(shutil.copytree(trained, tmp_path / "home"))
    reroot_database(Home(home))  # MLflow itself finds the copy's files then
    return home


@pytest.fixture
def registry(home: Path) -> Registry:
    return Registry(f"sqlite:///{home / 'mlflow.db'}", NAME, Home(home))


def load_elsewhere(home: Path, *addresses: str) -> dict[str, Any]:
    """The answers of versions in a fresh process that cannot import regrow."""
    script = REPOSITORY / "tests" / "support" / "load_served.py"
    done = subprocess.run(
        [sys.executable, str(script), f"sqlite:///{home / 'mlflow.db'}", *addresses],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_a_champion_answers_without_regrow_as_with_it(
    home: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REGROW_HOME", str(home))
    address = f"models:/{NAME}@champion"
    found = pd.DataFrame(load_elsewhere(home, address)[address])
    assert list(found) == ["timestamp", "benzene_ug_m3_predicted"]
    inputs, outputs = np.load(registry.artifact(registry.find(None), "example.npz")).values()
    assert len(found) == 3 < len(inputs)
    np.testing.assert_allclose(found["benzene_ug_m3_predicted"], outputs[:3, 0], rtol=1e-4)


def test_its_columns_are_named_typed_and_required_where_the_network_looks_at_them(
    registry: Registry,
) -> None:
    inputs = {one["name"]: one for one in load_scorer(registry, registry.find(None)).columns}
    assert inputs["pt08_s2_nmhc"] == {"name": "pt08_s2_nmhc", "type": "double", "required": True}
    assert inputs["timestamp"]["type"] == "datetime"
    assert [name for name, one in inputs.items() if one["required"]] == ["pt08_s2_nmhc"]


def test_nothing_in_a_version_is_pickled_and_its_packages_are_plain_releases(
    registry: Registry,
) -> None:
    folder = registry.files(registry.find(None))
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {"MLmodel", "served_model.py", "serving.py"} <= {path.name for path in files}
    for path in files:
        assert path.suffix not in (".pkl", ".pickle")
        assert not path.read_bytes().startswith(PICKLES), path
    assert "python_model.pkl" not in (folder / "MLmodel").read_text()
    packages = (folder / "requirements.txt").read_text().split()
    names = {package.partition("==")[0] for package in packages}
    assert names == {"mlflow", "tensorflow", "numpy", "pandas"}
    assert not [package for package in packages if "+" in package or "==" not in package]


def test_every_file_of_a_version_is_compared_before_mlflow_loads_it(
    registry: Registry, tmp_path: Path
) -> None:
    version = registry.find(None)
    folder = registry.files(version)
    stated = json.loads(version.tags[TAG])
    assert set(stated) == {
        path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()
    }
    (folder / "unknown.py").write_text("raise SystemExit")
    copied = copy_verified(registry, version, tmp_path / "copy")
    assert not (copied / "unknown.py").exists()
    code = folder / "served_model.py"
    code.write_text(code.read_text() + "\nprint('changed')\n")
    with pytest.raises(DataError, match="is not what was registered") as caught:
        load_scorer(registry, version)
    assert str(code) in str(caught.value)


def test_a_version_of_an_older_regrow_says_how_to_serve_it(registry: Registry) -> None:
    version = registry.find(None)
    stated = {"data/model.keras": json.loads(version.tags[TAG])["artifacts/model.keras"]}
    registry.set_tag(int(version.version), TAG, json.dumps(stated))
    with pytest.raises(UserError, match="cannot be served") as caught:
        load_scorer(registry, registry.find(None))
    assert "registered by an older version of regrow" in str(caught.value)


def test_frames_are_answered_as_regrow_answers_them(
    home: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.setenv("REGROW_HOME", str(home))
    frame = read_readings(SAMPLE).drop(columns="benzene_ug_m3")
    expected = regrow.load_champion("air-quality", sample=True).predict(frame)
    model = mlflow.pyfunc.load_model(str(registry.files(registry.find(None))))
    found = model.predict(frame)
    pd.testing.assert_frame_equal(found, expected, check_dtype=False, rtol=1e-5)
    few = model.predict(frame[["pt08_s2_nmhc"]].head(2))
    np.testing.assert_allclose(
        few["benzene_ug_m3_predicted"], expected["benzene_ug_m3_predicted"][:2], rtol=1e-5
    )
    with pytest.raises(mlflow.MlflowException, match="pt08_s2_nmhc has infinite values"):
        model.predict(frame.assign(pt08_s2_nmhc=np.inf))


@keras.saving.register_keras_serializable("tests")
class Untraceable(keras.layers.Layer):  # type: ignore[misc]
    """Answers by numpy, which no graph can hold."""

    def call(self, x: Any) -> Any:
        return keras.ops.convert_to_tensor(np.asarray(keras.ops.convert_to_numpy(x)) * 2)

    def compute_output_spec(self, x: Any) -> Any:
        return keras.KerasTensor(x.shape)


def write_model(layer: Any, folder: Path, *, shift: float = 0.0) -> tuple[Path, Path]:
    inputs = keras.Input((3,))
    model = keras.Model(inputs, layer(keras.layers.Dense(2, name="plain")(inputs)))
    model.save(folder / "model.keras")
    rows = np.ones((2, 3), "float32")
    if shift:
        np.savez(folder / "example.npz", inputs=rows, outputs=np.asarray(model(rows)) + shift)
    else:
        save_example(folder / "example.npz", model, rows)
    return folder / "model.keras", folder / "example.npz"


def test_a_model_of_arrays_is_exported_whatever_wrote_its_example(tmp_path: Path) -> None:
    model, example = write_model(keras.layers.Dense(1), tmp_path)
    assert export_model(model, example, tmp_path / "out").dtypes == "float32"
    assert (tmp_path / "out" / "saved_model.pb").is_file()


def test_an_export_that_answers_otherwise_is_not_used(tmp_path: Path) -> None:
    model, example = write_model(keras.layers.Dense(1), tmp_path, shift=1e-3)
    with pytest.raises(NotExportable, match="difference"):
        export_model(model, example, tmp_path / "out")


def test_a_layer_that_cannot_be_exported_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, example = write_model(Untraceable(name="by_hand"), tmp_path)
    # The layer's module belongs to no project, from which regrow would load it.
    monkeypatch.setattr("regrow.training.export.load_model", keras.saving.load_model)
    with pytest.raises(NotExportable, match="layer 'by_hand' cannot be exported"):
        export_model(model, example, tmp_path / "out")


def test_code_that_is_served_must_not_need_regrow(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not copied with it") as caught:
        copy_modules(["regrow.models.air_quality.predict"], tmp_path / "serving")
    assert "regrow" in str(caught.value)


def test_an_answer_that_does_not_fit_its_description_is_not_registered(tmp_path: Path) -> None:
    model, example = write_model(keras.layers.Dense(1), tmp_path)
    spec = "regrow.models.question_answering.serving"
    serving = Serving((spec,), "tests.registry.test_serving:describe_wrongly")
    with pytest.raises(UserError, match="gives no answer to its own example"):
        export_release(model, example, serving, tmp_path / "out")


def describe_wrongly(_model: Any, _inputs: Any) -> dict[str, Any]:
    return {"columns": [{"name": "story", "type": "string", "required": True}], "example": [["x"]]}
