"""keras.json reaches the whole pipeline: doctor, results, report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import QUICK_RUN, Regrow


@pytest.mark.e2e
def test_keras_json_is_in_doctor_results_and_report(regrow: Regrow, tmp_path: Path) -> None:
    """And what was trained by it is not found without it."""
    keras = tmp_path / "keras"
    keras.mkdir()
    (keras / "keras.json").write_text(json.dumps({"backend": "jax", "floatx": "float32"}))
    chosen = {"KERAS_HOME": str(keras), "KERAS_BACKEND": ""}
    shown = json.loads(regrow("doctor", "--json", env=chosen).stdout)
    assert any("in use: jax, float32" in check["found"] for check in shown)
    summaries = []
    for env in (chosen, {**chosen, "KERAS_BACKEND": "tensorflow"}):
        done = regrow(*QUICK_RUN, env=env)
        assert done.returncode == 0, done.stderr
        summaries.append(json.loads(done.stdout))
    by_jax, by_tensorflow = summaries
    assert "jax" in Path(by_jax["report"]).read_text()
    cached = {stage["stage"]: stage["cached"] for stage in by_tensorflow["stages"]}
    assert cached == {
        **dict.fromkeys(("download", "clean", "validate"), True),
        **dict.fromkeys(("train", "evaluate", "publish"), False),
    }
