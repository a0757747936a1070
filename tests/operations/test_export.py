"""Every model in every format, and `regrow export`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from regrow.base.home import Home
from regrow.registry.versions import Registry
from regrow.training.export import export_model
from regrow.training.formats import FORMATS, Format
from regrow.training.inference import load_example
from tests.conftest import Regrow
from tests.support.small_models import SMALL_MODELS, make_release


@pytest.mark.parametrize("name", SMALL_MODELS)
@pytest.mark.parametrize("kind", ["onnx", "litert"])
def test_every_model_answers_alike(name: str, kind: Format, tmp_path: Path) -> None:
    release = make_release(name, tmp_path / "release")
    out = tmp_path / f"model{FORMATS[kind]}"
    found = export_model(release.model, release.example, out, kind)
    assert out.stat().st_size > 1000
    assert found.difference < 1e-3


@pytest.fixture(scope="module")
def home(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(shutil.copytree(trained, tmp_path_factory.mktemp("export") / "home"))


@pytest.mark.parametrize("kind", FORMATS)
def test_the_champion_is_written_and_answers_its_example(
    kind: Format, home: Path, regrow: Regrow, tmp_path: Path
) -> None:
    out = tmp_path / f"benzene{FORMATS[kind]}"
    command = ["export", "air-quality", "--sample", "--format", kind, "-o", str(out), "--json"]
    done = regrow(*command, home=home)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    assert (made["model"], made["version"], made["format"]) == ("air-quality.sample", 1, kind)
    assert made["bytes"] > 1000
    assert made["difference"] < 1e-3
    assert [path.name for path in tmp_path.iterdir() if "export" in path.name] == []
    again = regrow(*command, home=home)
    assert again.returncode == 2
    assert "nothing is overwritten" in again.stderr


def test_onnx_answers_in_its_own_runtime(home: Path, regrow: Regrow, tmp_path: Path) -> None:
    import onnxruntime

    done = regrow("export", "air-quality", "--sample", "--format", "onnx", home=home)
    assert done.returncode == 0, done.stderr
    session = onnxruntime.InferenceSession(str(tmp_path / "air-quality.sample-1.onnx"))
    registry = Registry(f"sqlite:///{home / 'mlflow.db'}", "air-quality.sample", Home(home))
    inputs, expected = load_example(registry.artifact(registry.find(None), "example.npz"))
    [only] = session.get_inputs()
    [found] = session.run(None, {only.name: inputs[:3].astype("float32")})
    np.testing.assert_allclose(found, expected[:3], rtol=1e-4)


def test_a_wrong_ending_is_named(home: Path, regrow: Regrow, tmp_path: Path) -> None:
    command = ["export", "air-quality", "--sample", "--format", "onnx", "-o", "benzene.bin"]
    done = regrow(*command, home=home)
    assert done.returncode == 2
    assert "a name that ends in .onnx" in done.stderr
    assert not (tmp_path / "benzene.bin").exists()
