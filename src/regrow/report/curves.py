"""Training curves: one panel per group of runs, in the light and the dark style of the charts."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from regrow.report.chart_style import Theme, draw
from regrow.report.charts import Array, is_wide, label_lines, use_log_ticks, use_whole_ticks
from regrow.report.history import History


def plot_curves(history: History, out: Path, *, quantity: str = "loss", label: str = "") -> Path:
    """Training and validation curves per epoch: one panel per group of runs.

    Runs named "group/seed-0" belong to one group: the line is their median, the band goes from
    the smallest to the largest. A run that stopped early keeps its last value.

    Args:
        history: the trainings.
        quantity: the curve to draw; that on validation data is "val_" and its name.
        label: the axis label; the quantity's name by default.
    """
    groups = group_curves(history, quantity)
    columns = min(len(groups), 3)
    rows = -(-len(groups) // columns)

    def paint(figure: Figure, theme: Theme) -> None:
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, (group, curves) in zip(panels, groups.items(), strict=False):
            for name, runs in curves.items():
                _add_band(axes, runs, name == f"val_{quantity}", theme)
            axes.set_title(group, loc="left")
            axes.set_xlabel(history.unit)
            use_whole_ticks(axes.xaxis)
            _scale_values(axes, [c for runs in curves.values() for c in runs])
            label_lines(axes)
        for row in range(rows):
            panels[row * columns].set_ylabel(label or quantity.replace("_", " "))
        for axes in panels[len(groups) :]:
            axes.set_visible(False)

    return draw(out, paint, height_in=3.3 if rows == 1 else 2.6 * rows)


def group_curves(history: History, quantity: str) -> dict[str, dict[str, list[Array]]]:
    """The finite-length curves of one quantity: group -> curve name -> one array per run.

    Raises:
        ValueError: no run has such a curve.
    """
    groups: dict[str, dict[str, list[Array]]] = {}
    for run in history.runs:
        for name in (quantity, f"val_{quantity}"):
            if len(values := run.curves.get(name, ())):
                curves = groups.setdefault(run.group, {})
                curves.setdefault(name, []).append(np.asarray(values, dtype=float))
    if not groups:
        raise ValueError(f"no run has a curve named {quantity!r}")
    return groups


def median_curve(runs: Sequence[Array]) -> Array:
    """The median over runs, (epochs,); runs that stopped early keep their last value."""
    return np.asarray(np.median(_pad(runs), axis=0))


def _add_band(axes: Axes, runs: Sequence[Array], is_validation: bool, theme: Theme) -> None:
    values = _pad(runs)
    epochs = np.arange(1, values.shape[1] + 1)
    colour = theme.series[1 if is_validation else 0]
    if len(runs) > 1:
        axes.fill_between(epochs, values.min(0), values.max(0), color=colour, alpha=0.2, lw=0)
    axes.plot(
        epochs,
        np.median(values, axis=0),
        color=colour,
        lw=1.6,
        ls=(0, (5, 2)) if is_validation else "-",
        marker="o" if len(epochs) == 1 else "",
        label="validation" if is_validation else "training",
    )


def _pad(runs: Sequence[Array]) -> Array:
    longest = max(len(run) for run in runs)
    return np.array([np.pad(run, (0, longest - len(run)), mode="edge") for run in runs])


def _scale_values(axes: Axes, curves: Sequence[Array]) -> None:
    if is_wide(curves):
        axes.set_yscale("log")
        use_log_ticks(axes.yaxis)
