"""The trainings of a stage: none is done twice, all are kept, the best is published."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from regrow.engine.spec import StageContext
from regrow.engine.training import FitResult
from regrow.engine.trainings import load_runs, record_of, run_trainings

LOSSES = {"good/seed-0": 0.3, "good/seed-1": 0.2, "good/seed-10": 0.4, "other/seed-0": 0.1}


def build(bias: float) -> keras.Model:
    x = keras.Input((1,))
    start = keras.initializers.Constant(bias)
    return keras.Model(x, keras.layers.Dense(1, bias_initializer=start)(x))


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


def make_context(folder: Path, name: str) -> StageContext:
    (folder / name).mkdir()
    return StageContext(None, {}, folder / name, folder / "scratch", lambda *_: None)


def bias_of(path: Path) -> float:
    return float(keras.saving.load_model(path).layers[-1].bias.numpy()[0])


def test_the_best_of_the_first_group_is_published(tmp_path: Path) -> None:
    context = make_context(tmp_path, "out")
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
    context = make_context(tmp_path, "out")
    facts = run_trainings(context, Trainings().by_label(), published=["other"])
    assert facts["published_run"] == "other/seed-0"


def test_finished_trainings_are_not_done_again(tmp_path: Path) -> None:
    trainings = Trainings()
    trainings.break_at = "good/seed-10"
    with pytest.raises(KeyboardInterrupt):
        run_trainings(make_context(tmp_path, "first"), trainings.by_label())
    assert trainings.done == ["good/seed-0", "good/seed-1"]
    trainings.break_at = ""
    context = make_context(tmp_path, "second")
    facts = run_trainings(context, trainings.by_label())
    assert trainings.done == list(LOSSES)
    assert facts["published_run"] == "good/seed-1"
    assert len(list((context.out / "runs").iterdir())) == 4


def test_a_record_adds_up_its_phases() -> None:
    first = FitResult({"val_loss": [0.5, 0.4]}, steps=20, seconds=1.5, resumed_from=1)
    last = FitResult({"val_loss": [0.3]}, steps=10, seconds=0.25)
    assert record_of(first, threshold=0.7) == {
        "curves": {"val_loss": [0.5, 0.4]},
        "val_loss": 0.4,
        "threshold": 0.7,
        "seconds": 1.5,
        "steps": 20,
        "resumed_from": 1,
    }
    record = record_of(last, {"first": first, "last": last}, phases=["first", "last"])
    assert record == {
        "curves": {"val_loss": [0.3]},
        "val_loss": 0.3,
        "phases": ["first", "last"],
        "seconds": 1.75,
        "steps": 30,
        "resumed_from": {"first": 1, "last": 0},
    }
