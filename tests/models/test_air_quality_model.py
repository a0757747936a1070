"""The networks of air-quality: no leakage, raw readings in, the figures that were promised."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest

from regrow.base.errors import DataError
from regrow.base.model_file import read_config
from regrow.models.air_quality.columns import FEATURES, TARGET
from regrow.models.air_quality.evaluate import evaluate
from regrow.models.air_quality.network import train
from regrow.models.air_quality.predict import predict
from regrow.models.air_quality.score import score
from regrow.models.air_quality.slices import tabulate_slices
from regrow.models.air_quality.spec import SPEC, AirQualityConfig
from regrow.models.air_quality.table import read_rows, split
from regrow.training.inference import answer
from tests.models.test_air_quality_data import SAMPLE, run_clean
from tests.support.stages import make_context, make_entry

once = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow",
    reason="done on TensorFlow; tests/test_backends.py compares the backends",
)


def run_train(table: Path, out: Path, preset: str = "quick", **settings: Any) -> dict[str, Any]:
    config = AirQualityConfig.model_validate({**SPEC.presets[preset], **settings})
    return train(make_context(config, out / "train", clean=make_entry(table.parent)))


def run_evaluate(table: Path, out: Path, preset: str = "quick", **settings: Any) -> dict[str, Any]:
    config = AirQualityConfig.model_validate({**SPEC.presets[preset], **settings})
    clean, networks = make_entry(table.parent), make_entry(out / "train")
    evaluate(make_context(config, out / "evaluate", clean=clean, train=networks))
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


def test_every_backend_can_load_the_published_model(trained: Path) -> None:
    # PyTorch's optimizers are classes of their own, and the core was compiled with one.
    config = json.dumps(read_config(trained / "train" / "model.keras"))
    assert "optimizer" not in config
    assert "keras.src.backend" not in config


@once
def test_the_published_seed_is_the_best_on_validation_rows(table: Path, tmp_path: Path) -> None:
    variants = {"all-sensors": {"inputs": ["pt08_s2_nmhc"], "epochs": 2}}
    facts = run_train(table, tmp_path, seeds=3, variants=variants)
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
    assert titles == [
        "Variant all-sensors",
        "Variant without-s2",
        *(f"The published network by {what}" for what in ("month", "time of day", "benzene")),
    ]
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


def test_slices_are_all_test_hours_and_a_bad_one_is_seen() -> None:
    time = pd.Series(pd.date_range("2026-01-31", periods=72, freq="h"))
    actual = np.arange(72.0)
    predicted = actual + np.where(time.dt.hour < 6, 2.0, 0.5)
    frame = pd.DataFrame({"timestamp": time, "actual": actual, "predicted": predicted})
    by_month, by_time, by_level = tabulate_slices(frame)
    assert [row[:2] for row in by_month.rows] == [("2026-01", 24), ("2026-02", 48)]
    assert [(row[0], row[1], row[3]) for row in by_time.rows] == [
        ("00 to 06", 18, 2.0),
        ("06 to 12", 18, 0.5),
        ("12 to 18", 18, 0.5),
        ("18 to 24", 18, 0.5),
    ]
    assert [row[:3] for row in by_level.rows] == [
        ("low", 24, 11.5),
        ("middle", 24, 35.5),
        ("high", 24, 59.5),
    ]
    constant = tabulate_slices(frame.assign(actual=1.0))[2]
    assert [row[:2] for row in constant.rows] == [("low", 72)]


def test_predictions_for_a_file_of_readings(trained: Path) -> None:
    model = keras.saving.load_model(trained / "train" / "model.keras")
    frame = predict(model, [SAMPLE])
    assert list(frame.columns) == ["timestamp", TARGET, f"{TARGET}_predicted"]
    assert len(frame) == 1500


@once
@pytest.mark.parametrize(
    ("column", "value"), [("pt08_s2_nmhc", 1.0), ("pt08_s2_nmhc", np.nan), (TARGET, 1.0)]
)
def test_a_stuck_sensor_is_named_before_anything_is_trained(
    column: str, value: float, table: Path, tmp_path: Path
) -> None:
    frame = pd.read_parquet(table)
    frame[column] = value
    (tmp_path / "clean").mkdir()
    frame.to_parquet(tmp_path / "clean" / "table.parquet")
    with pytest.raises(DataError, match=column) as refused:
        run_train(tmp_path / "clean" / "table.parquet", tmp_path)
    assert ("no value" if np.isnan(value) else "only the value 1") in str(refused.value)


@once
@pytest.mark.parametrize(
    ("column", "values", "preset"),
    [
        ("pt08_s2_nmhc", [1.0], "quick"),
        ("pt08_s2_nmhc", [1.0, 2.0, 3.0, 4.0], "quick"),
        (TARGET, [1.0], "quick"),
        (TARGET, [1.0], "book"),
    ],
)
def test_a_sensor_that_moves_in_validation_rows_only_is_named(
    column: str, values: list[float], preset: str, table: Path, tmp_path: Path
) -> None:
    frame = pd.read_parquet(table)
    frame = frame[frame[TARGET].notna()].reset_index(drop=True)
    early = int(0.6 * len(frame))  # of the training rows those that the selection is fitted on
    frame.loc[: early - 1, column] = np.resize(values, early)
    (tmp_path / "clean").mkdir()
    frame.to_parquet(tmp_path / "clean" / "table.parquet")
    with pytest.raises(DataError, match=f"cannot be used for training: {column}"):
        run_train(tmp_path / "clean" / "table.parquet", tmp_path, preset)


@once
def test_inputs_that_follow_from_each_other_are_refused(table: Path, tmp_path: Path) -> None:
    frame = pd.read_parquet(table)
    frame["pt08_s1_co"] = frame["pt08_s2_nmhc"]
    (tmp_path / "clean").mkdir()
    frame.to_parquet(tmp_path / "clean" / "table.parquet")
    variants = {"x": {"inputs": ["pt08_s1_co", "pt08_s2_nmhc"], "degree": 2}}
    with pytest.raises(DataError, match="depend on one another"):
        run_train(tmp_path / "clean" / "table.parquet", tmp_path, variants=variants)
    with pytest.raises(ValueError, match="listed twice"):
        AirQualityConfig.model_validate({"variants": {"x": {"inputs": ["pt08_s1_co"] * 2}}})


def test_unknown_inputs_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown"):
        AirQualityConfig.model_validate({"variants": {"x": {"inputs": ["pt08_s9"]}}})


@once
@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.e2e
def test_the_figures_on_the_real_file(mirror: Path, tmp_path: Path) -> None:
    run_clean(mirror / "air-quality" / "AirQualityUCI.csv", tmp_path / "clean")
    table = tmp_path / "clean" / "table.parquet"
    run_train(table, tmp_path / "out", "best", seeds=2)
    metrics = run_evaluate(table, tmp_path / "out", "best", seeds=2)["metrics"]
    assert metrics["rmse_all-sensors"] <= 0.035
    assert metrics["rmse_without-s2"] < 2.0


@once
@pytest.mark.slow
@pytest.mark.real_data
@pytest.mark.e2e
def test_the_chapters_recipe_on_the_real_file(mirror: Path, tmp_path: Path) -> None:
    run_clean(mirror / "air-quality" / "AirQualityUCI.csv", tmp_path / "clean")
    run_train(tmp_path / "clean" / "table.parquet", tmp_path / "out", "book")
    history = json.loads((tmp_path / "out" / "train" / "history.json").read_text())
    losses = [run["val_loss"] for run in history]
    assert len(losses) == 5
    assert 0.0005 <= np.mean(losses) <= 0.004
