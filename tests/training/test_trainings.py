"""The trainings of a stage: none is done twice, all are kept, the best is published."""

from __future__ import annotations

import json
import time
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from regrow.report.history import TrainingRecord
from regrow.store.context import StageContext
from regrow.training.determinism import set_seed
from regrow.training.fit import FitResult
from regrow.training.saving import save_model
from regrow.training.seeds import load_runs, record_of, run_trainings
from tests.support.stages import make_context

LOSSES = {"good/seed-0": 0.3, "good/seed-1": 0.2, "good/seed-10": 0.4, "other/seed-0": 0.1}


def build(bias: float) -> keras.Model:
    x = keras.Input((1,))
    start = keras.initializers.Constant(bias)
    return keras.Model(x, keras.layers.Dense(1, bias_initializer=start)(x))


def share_a_precision() -> keras.Model:
    """Two layers with one object in common, which Keras writes by its address."""
    precision = keras.DTypePolicy("float32")
    layers = [keras.layers.Rescaling(scale, dtype=precision) for scale in (0.5, 4.0)]
    return keras.Sequential([keras.Input((1,)), keras.layers.Identity(), *layers])


class Trainings:
    """Trainings that count how often they were done, and break off where they are told to."""

    def __init__(self) -> None:
        self.done: list[str] = []
        self.break_at = ""

    def __call__(self, label: str, kept: Path) -> tuple[keras.Model, dict[str, Any]]:
        assert kept.is_dir()
        if label == self.break_at:
            raise KeyboardInterrupt
        self.done.append(label)
        record = {"curves": {"loss": [1.0]}, "val_loss": LOSSES[label], "seconds": 0.5}
        return build(LOSSES[label]), record

    def by_label(self) -> dict[str, Any]:
        return {label: partial(self, label) for label in LOSSES}


def open_context(folder: Path, name: str) -> StageContext:
    return make_context(None, folder / name, scratch=folder / "scratch")


def bias_of(path: Path) -> float:
    return float(keras.saving.load_model(path).layers[-1].bias.numpy()[0])


def test_a_model_is_saved_as_the_same_bytes_whenever_it_is_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / "first.keras", tmp_path / "second.keras"]
    now, kept = time.localtime, []
    for path, seconds in zip(paths, (1e9, 2e9), strict=True):
        monkeypatch.setattr(time, "localtime", lambda _=None, s=seconds: now(s))
        keras.utils.clear_session()
        kept.append(share_a_precision())  # at another address than the one before
        save_model(kept[-1], path)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    loaded = keras.saving.load_model(paths[1])
    np.testing.assert_array_equal(loaded(np.ones((1, 1))), [[2.0]])
    with zipfile.ZipFile(paths[0]) as archive:
        assert json.loads(archive.read("metadata.json")) == {"keras_version": keras.__version__}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first.keras", "second.keras"]


def test_a_training_that_takes_longer_or_is_resumed_has_the_same_result(tmp_path: Path) -> None:
    def train(seconds: float, epoch: int, _kept: Path) -> tuple[keras.Model, TrainingRecord]:
        result = FitResult({"val_loss": [0.5]}, steps=20, seconds=seconds, resumed_from=epoch)
        set_seed(0)
        return build(0.5), record_of(result)

    contents = []
    for name, seconds, epoch in (("first", 1.0, 0), ("second", 2.0, 7)):
        context = make_context(None, tmp_path / name)
        facts = run_trainings(context, {"a/seed-0": partial(train, seconds, epoch)})
        assert facts["seconds"] == seconds
        files = (path for path in context.out.rglob("*") if path.is_file())
        contents.append({path.relative_to(context.out): path.read_bytes() for path in files})
    assert contents[0] == contents[1]


def test_after_a_training_the_caller_seeds_keras_as_usual(tmp_path: Path) -> None:
    def train(_kept: Path) -> tuple[keras.Model, TrainingRecord]:
        set_seed(0)
        return build(0.5), record_of(FitResult({"val_loss": [0.5]}))

    run_trainings(make_context(None, tmp_path / "trained"), {"a/seed-0": train})
    weights = []
    for seed in (1, 1, 2):
        keras.utils.set_random_seed(seed)
        weights.append(float(build(0.5).get_weights()[0].item()))
    assert weights[0] == weights[1] != weights[2]


def test_the_best_of_the_first_group_is_published(tmp_path: Path) -> None:
    context = open_context(tmp_path, "out")
    facts = run_trainings(context, Trainings().by_label())
    assert facts == {
        "parameters": 2,
        "published_run": "good/seed-1",
        "runs": 4,
        "seconds": 2.0,
    }
    assert bias_of(context.out / "model.keras") == pytest.approx(0.2)
    history = json.loads((context.out / "history.json").read_text())
    assert [run["run"] for run in history] == list(LOSSES)
    assert list(load_runs(context.out, "good")) == ["seed-0", "seed-1", "seed-10"]
    np.testing.assert_allclose(
        [model.layers[-1].bias.numpy()[0] for model in load_runs(context.out, "good").values()],
        [0.3, 0.2, 0.4],
    )


def test_another_group_can_be_published(tmp_path: Path) -> None:
    context = open_context(tmp_path, "out")
    facts = run_trainings(context, Trainings().by_label(), published=["other"])
    assert facts["published_run"] == "other/seed-0"


def test_finished_trainings_are_not_done_again(tmp_path: Path) -> None:
    trainings = Trainings()
    trainings.break_at = "good/seed-10"
    with pytest.raises(KeyboardInterrupt):
        run_trainings(open_context(tmp_path, "first"), trainings.by_label())
    assert trainings.done == ["good/seed-0", "good/seed-1"]
    trainings.break_at = ""
    context = open_context(tmp_path, "second")
    facts = run_trainings(context, trainings.by_label())
    assert trainings.done == list(LOSSES)
    assert facts["published_run"] == "good/seed-1"
    assert len(list((context.out / "runs").iterdir())) == 4


def test_a_record_adds_up_its_phases() -> None:
    first = FitResult({"val_loss": [0.5, 0.4]}, steps=20, seconds=1.5, resumed_from=1)
    last = FitResult({"val_loss": [0.3]}, steps=10, seconds=0.25)
    assert record_of(first, threshold=0.7).to_json() == {
        "curves": {"val_loss": [0.5, 0.4]},
        "val_loss": 0.4,
        "threshold": 0.7,
        "seconds": 1.5,
        "steps": 20,
        "resumed_from": 1,
    }
    record = record_of(last, {"first": first, "last": last}, phases=["first", "last"])
    assert record.to_json() == {
        "curves": {"val_loss": [0.3]},
        "val_loss": 0.3,
        "phases": ["first", "last"],
        "seconds": 1.75,
        "steps": 30,
        "resumed_from": {"first": 1, "last": 0},
    }
