"""Every model's network trains alike on TensorFlow, JAX and PyTorch."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from regrow.base.project import list_models
from tests.support.ten_steps import STEPS, TRIALS

ROOT = Path(__file__).resolve().parents[2]
TOLERANCE = 1e-4


def run_steps(backend: str, weights: Path) -> dict[str, list[float]]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.ten_steps", str(weights)],
        env={**os.environ, "KERAS_BACKEND": backend},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    losses: dict[str, list[float]] = json.loads(done.stdout.splitlines()[-1])
    return losses


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, list[float]]]:
    weights = tmp_path_factory.mktemp("weights")
    return weights, run_steps("tensorflow", weights)


def test_no_model_is_left_out() -> None:
    assert set(TRIALS) == set(list_models())


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_ten_steps_have_the_same_losses(
    backend: str, reference: tuple[Path, dict[str, list[float]]]
) -> None:
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed: make {backend}")
    weights, expected = reference
    found = run_steps(backend, weights)
    for name, losses in expected.items():
        assert len(set(losses)) == STEPS, "a loss that does not move compares nothing"
        np.testing.assert_allclose(found[name], losses, rtol=0, atol=TOLERANCE, err_msg=name)
