"""Training curves and charts over time."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from regrow.report import charts
from regrow.report.curves import median_curve
from regrow.report.history import History, TrainingRecord
from regrow.report.pictures import draw_curves


def test_curves_are_drawn_for_each_quantity() -> None:
    curves = {"loss": [2.0, 1.0], "val_loss": [2.5, 1.5], "accuracy": [0.5, 0.7]}
    pictures = draw_curves(History([TrainingRecord(curves, f"seed-{n}") for n in range(3)]))
    assert [picture.title for picture in pictures] == ["Loss per epoch", "Accuracy per epoch"]
    assert "3 runs, of 2 epochs: the line is the median" in pictures[0].caption


def test_a_run_that_stopped_early_keeps_its_last_value() -> None:
    curves = [np.array([4.0, 2.0]), np.array([4.0, 3.0, 1.0]), np.array([4.0, 3.0, 5.0])]
    assert median_curve(curves).tolist() == [4.0, 3.0, 2.0]


def test_lines_are_not_drawn_across_holes(tmp_path: Path) -> None:
    """The close-up of a plot over time with a hole differs from one without."""
    hours = np.arange(50)
    value = np.sin(hours / 5)
    time = np.datetime64("2004-03-10T18", "h") + hours
    gap = np.where(hours < 25, time, time + np.timedelta64(2, "D"))
    whole = charts.plot_over_time(time, value, {"a": value}, tmp_path / "a.png", label="x")
    holed = charts.plot_over_time(gap, value, {"a": value}, tmp_path / "b.png", label="x")
    assert whole.read_bytes() != holed.read_bytes()
