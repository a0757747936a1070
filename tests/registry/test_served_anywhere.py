"""All models' versions load and answer in an environment with their own requirements alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest

from regrow.base.home import Home
from regrow.base.project import list_models
from regrow.registry.versions import Registry
from tests.conftest import REPOSITORY
from tests.support.load_served import answer_example
from tests.support.small_models import SMALL_MODELS, make_release

pytestmark = [pytest.mark.slow, pytest.mark.e2e, pytest.mark.network]


def test_no_model_is_left_out() -> None:
    assert set(SMALL_MODELS) == set(list_models())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A registry with a champion of every model."""
    folder = tmp_path_factory.mktemp("served")
    for name in SMALL_MODELS:
        registry = Registry(f"sqlite:///{folder / 'mlflow.db'}", name, Home(folder))
        registry.register(make_release(name, folder / "releases" / name))
        registry.set_alias("champion", 1)
    return folder


@pytest.fixture(scope="module")
def answers(home: Path) -> dict[str, Any]:
    """What the versions answer here."""
    mlflow.set_tracking_uri(f"sqlite:///{home / 'mlflow.db'}")
    return {f"models:/{n}@champion": answer_example(f"models:/{n}@champion") for n in SMALL_MODELS}


def test_every_version_answers_in_a_fresh_environment(
    home: Path, answers: dict[str, Any], tmp_path: Path
) -> None:
    wanted = {
        line
        for path in home.rglob("requirements.txt")
        for line in path.read_text(encoding="utf-8").splitlines()
    }
    assert not [line for line in wanted if "regrow" in line or "+" in line]
    venv.create(tmp_path / "elsewhere", with_pip=True)
    python = tmp_path / "elsewhere" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", *sorted(wanted)]
    subprocess.run(install, check=True, cwd=tmp_path)
    script = REPOSITORY / "tests" / "support" / "load_served.py"
    done = subprocess.run(
        [str(python), "-I", str(script), f"sqlite:///{home / 'mlflow.db'}", *answers],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert_alike(json.loads(done.stdout.splitlines()[-1]), answers)


def test_mlflow_makes_a_container_of_a_version(home: Path, tmp_path: Path) -> None:
    subprocess.run(
        [
            *(sys.executable, "-m", "mlflow", "models", "generate-dockerfile"),
            *("-m", "models:/question-answering@champion", "-d", str(tmp_path / "image")),
        ],
        env={**os.environ, "MLFLOW_TRACKING_URI": f"sqlite:///{home / 'mlflow.db'}"},
        check=True,
        cwd=tmp_path,
    )
    text = (tmp_path / "image" / "Dockerfile").read_text(encoding="utf-8")
    assert text.count("FROM ") == 1
    assert (tmp_path / "image" / "model_dir" / "served_model.py").is_file()


def assert_alike(found: Any, expected: Any) -> None:
    """JSON that is equal but for rounding."""
    if isinstance(expected, dict):
        assert found.keys() == expected.keys()
        for name, value in expected.items():
            assert_alike(found[name], value)
    elif isinstance(expected, float):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    elif isinstance(expected, list):
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            assert_alike(one, other)
    else:
        assert found == expected
