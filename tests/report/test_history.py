"""The typed content of history.json: as trainings write it, and as earlier versions wrote it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from regrow.base.errors import UserError
from regrow.report.history import FILE, PASSING, History, TrainingRecord

STORED = [
    {
        "run": "siamese/seed-0",
        "curves": {"loss": [0.5, 0.25], "val_loss": [0.75, 0.5]},
        "val_loss": 0.5,
        "threshold": {"distance": 0.7, "slope": 5.0},
        "steps": 80,
    },
    {
        "run": "whale/seed-1",
        "per": "step",
        "curves": {"objective": [1.0, 2.0, 3.0]},
        "steps": 3,
        "seconds": 1.5,
        "resumed_from": 0,
    },
]


def test_what_is_stored_is_read_and_written_alike(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps(STORED))
    history = History.read(tmp_path / FILE)
    (tmp_path / "again").mkdir()
    history.write(tmp_path / "again")
    assert json.loads((tmp_path / "again" / FILE).read_text()) == STORED
    first, second = history.runs
    assert (first.group, first.path) == ("siamese", "runs/siamese-seed-0.keras")
    assert first.more == {"threshold": {"distance": 0.7, "slope": 5.0}}
    assert (first.loss, second.loss) == (0.5, float("inf"))
    assert second.seconds_per_step == 0.5
    assert (history.unit, history.seconds) == ("step", 1.5)
    assert history.names == ["loss", "val_loss", "objective"]
    assert history.find("whale/seed-1") is second
    assert history.find("whale/seed-2") is None


def test_what_differs_between_repetitions_can_be_left_out(tmp_path: Path) -> None:
    record = TrainingRecord({"loss": [1.0]}, "a/seed-0", seconds=2.0, resumed_from={"first": 3})
    History([record]).write(tmp_path, omit=PASSING)
    assert json.loads((tmp_path / FILE).read_text()) == [
        {"run": "a/seed-0", "curves": {"loss": [1.0]}}
    ]


@pytest.mark.parametrize("content", [[{"run": "a/seed-0"}], ["a"], [{"curves": [1.0]}], {"a": 1}])
def test_another_form_is_refused(content: Any, tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(json.dumps(content))
    with pytest.raises(UserError, match="does not have the form") as caught:
        History.read(tmp_path / FILE)
    assert caught.value.where == str(tmp_path / FILE)
