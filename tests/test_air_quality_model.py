"""The networks of air-quality: no leakage, raw readings in, the figures that were promised."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from regrow.engine.inference import answer
from regrow.engine.spec import StageContext
from regrow.models.air_quality.columns import FEATURES, TARGET
from regrow.models.air_quality.evaluate import evaluate
from regrow.models.air_quality.network import train
from regrow.models.air_quality.predict import predict
from regrow.models.air_quality.score import score
from regrow.models.air_quality.spec import SPEC, AirQualityConfig
from regrow.models.air_quality.table import read_rows, split
from tests.test_air_quality_data import SAMPLE, run_clean


def folder_entry(folder: Path) -> Any:
    """A folder that answers as a stored entry does."""
    files = [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()]
    manifest = SimpleNamespace(files=dict.fromkeys(files))
    return SimpleNamespace(path=folder, file=lambda name: folder / name, manifest=manifest)


once = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="done on TensorFlow; tests/test_backends.py compares the backends",
)


def run_train(table: Path, out: Path, preset: str = "quick", **settings: Any) -> dict[str, Any]:
    config = AirQualityConfig.model_validate({**SPEC.presets[preset], **settings})
    shutil.rmtree(out, ignore_errors=True)
    (out / "scratch").mkdir(parents=True)
    (out / "train").mkdir()
    inputs = {"clean": folder_entry(table.parent)}
    context = StageContext(config, inputs, out / "train", out / "scratch", lambda *_: None)
    return train(context)


def run_evaluate(table: Path, out: Path, preset: str = "quick", **settings: Any) -> dict[str, Any]:
    config = AirQualityConfig.model_validate({**SPEC.presets[preset], **settings})
    (out / "evaluate").mkdir()
    inputs = {"clean": folder_entry(table.parent), "train": folder_entry(out / "train")}
    context = StageContext(config, inputs, out / "evaluate", out / "scratch", lambda *_: None)
    evaluate(context)
    found: dict[str, Any] = json.loads((out / "evaluate" / "evaluation.json").read_text())
    return found


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clean")
    run_clean(SAMPLE, folder)
    return folder / "table.parquet"


@pytest.fixture(scope="module")
def trained(table: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    run_train(table, out)
    return out


def test_the_split_is_by_time_and_knows_no_gaps(table: Path) -> None:
    rows = read_rows(table)
    training, test = split(rows, 0.3)
    assert training.time.max() < test.time.min()
    assert len(training) + len(test) == len(rows)
    assert np.isfinite(rows.y).all()
    assert rows.x.shape == (len(rows), len(FEATURES))


def test_test_rows_leak_nowhere(table: Path, trained: Path, tmp_path: Path) -> None:
    """Other values in the test rows change no bit of any model: weights, scalers, polynomials."""
    frame = pd.read_parquet(table)
    training, _test = split(read_rows(table), 0.3)
    later = frame["timestamp"] > training.time.max()
    numbers = [name for name in frame.columns if name != "timestamp"]
    frame.loc[later, numbers] = frame.loc[later, numbers] * 3 + 100
    (tmp_path / "clean").mkdir()
    frame.to_parquet(tmp_path / "clean" / "table.parquet")
    run_train(tmp_path / "clean" / "table.parquet", tmp_path / "out")
    for path in sorted((trained / "train" / "runs").glob("*.keras")):
        one = keras.saving.load_model(path)
        other = keras.saving.load_model(tmp_path / "out" / "train" / "runs" / path.name)
        for a, b in zip(one.variables, other.variables, strict=True):
            np.testing.assert_array_equal(np.asarray(a), np.asarray(b))
        np.testing.assert_array_equal(answer(one, training.x), answer(other, training.x))


def test_a_saved_model_takes_raw_readings_with_gaps(trained: Path, table: Path) -> None:
    rows = read_rows(table)
    for path in (trained / "train" / "runs").glob("*.keras"):
        model = keras.saving.load_model(path, safe_mode=True)
        raw = rows.x[:20].copy()
        raw[::2, :-2] = np.nan
        found = answer(model, raw)
        assert found.shape == (20, 1)
        assert np.isfinite(found).all()
        assert (found >= 0).all()


def test_the_example_is_what_the_published_model_answers(trained: Path) -> None:
    model = keras.saving.load_model(trained / "train" / "model.keras")
    with np.load(trained / "train" / "example.npz", allow_pickle=False) as example:
        np.testing.assert_allclose(answer(model, example["inputs"]), example["outputs"], rtol=1e-5)


@once
def test_the_published_seed_is_the_best_on_validation_rows(table: Path, tmp_path: Path) -> None:
    facts = run_train(table, tmp_path, seeds=3)
    history = json.loads((tmp_path / "train" / "history.json").read_text())
    losses = {r["run"]: r["val_loss"] for r in history if r["run"].startswith("all-sensors/")}
    assert len(losses) == 3
    assert facts["published_run"] == min(losses, key=lambda run: losses[run])
    published = (tmp_path / "train" / "model.keras").read_bytes()
    name = facts["published_run"].replace("/", "-")
    assert published == (tmp_path / "train" / "runs" / f"{name}.keras").read_bytes()


def test_evaluation_stands_beside_its_baselines(trained: Path, table: Path) -> None:
    found = run_evaluate(table, trained)
    titles = [part["title"] for part in found["tables"]]
    assert titles == ["Variant all-sensors", "Variant without-s2"]
    names = [row[0] for row in found["tables"][0]["rows"]]
    assert names[1:] == [
        "training mean",
        "linear regression",
        "gradient boosting",
        "random forest",
        "isotonic on PT08.S2",
    ]
    assert "isotonic on PT08.S2" not in [row[0] for row in found["tables"][1]["rows"]]
    for figure in found["figures"]:
        assert (trained / "evaluate" / figure["file"]).stat().st_size > 1000
    config = AirQualityConfig.model_validate(SPEC.presets["quick"])
    model = keras.saving.load_model(trained / "train" / "model.keras")
    assert score(model, table, config)["rmse"] == pytest.approx(found["metrics"]["rmse"])
    frame = pd.read_parquet(trained / "evaluate" / "predictions.parquet")
    error = np.sqrt((frame["residual"] ** 2).mean())
    assert error == pytest.approx(found["metrics"]["rmse"], rel=1e-4)


def test_predictions_for_a_file_of_readings(trained: Path) -> None:
    model = keras.saving.load_model(trained / "train" / "model.keras")
    frame = predict(model, [SAMPLE])
    assert list(frame.columns) == ["timestamp", TARGET, f"{TARGET}_predicted"]
    assert len(frame) == 1500


def test_unknown_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown"):
        AirQualityConfig.model_validate({"variants": {"x": {"inputs": ["pt08_s9"]}}})


@once
@pytest.mark.slow
@pytest.mark.real_data
def test_the_figures_on_the_real_file(mirror: Path, tmp_path: Path) -> None:
    run_clean(mirror / "air-quality" / "AirQualityUCI.csv", tmp_path / "clean")
    table = tmp_path / "clean" / "table.parquet"
    run_train(table, tmp_path / "out", "best")
    metrics = run_evaluate(table, tmp_path / "out", "best")["metrics"]
    assert metrics["rmse_all-sensors"] <= 0.035
    assert metrics["rmse_without-s2"] < 2.0


@once
@pytest.mark.slow
@pytest.mark.real_data
def test_the_chapters_recipe_on_the_real_file(mirror: Path, tmp_path: Path) -> None:
    run_clean(mirror / "air-quality" / "AirQualityUCI.csv", tmp_path / "clean")
    run_train(tmp_path / "clean" / "table.parquet", tmp_path / "out", "book")
    history = json.loads((tmp_path / "out" / "train" / "history.json").read_text())
    losses = [run["val_loss"] for run in history]
    assert len(losses) == 5
    assert 0.0005 <= np.mean(losses) <= 0.004
