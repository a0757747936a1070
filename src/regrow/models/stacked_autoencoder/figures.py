"""The training of stacked-autoencoder as a figure: the loss of each phase."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure

from regrow.models.stacked_autoencoder.network import WAYS
from regrow.report.chart_style import Theme, draw
from regrow.report.charts import use_whole_ticks
from regrow.report.evaluation import Figures
from regrow.report.history import History
from regrow.report.numbers import begin

MAX_COLUMNS = 3  # more panels side by side would write their titles over each other


def draw_phases(history: History, figures: Figures) -> None:
    """One panel a phase: the layers in turn, all together, and the network trained whole."""
    panels: dict[str, list[dict[str, list[float]]]] = {}
    for run in history.runs:
        for name, curves in run.more["phases"].items():
            title = begin(name.replace("-", " ") if run.group == WAYS[0] else run.group)
            panels.setdefault(title, []).append(curves)

    columns = min(len(panels), MAX_COLUMNS)
    rows = -(-len(panels) // columns)

    def paint(figure: Figure, theme: Theme) -> None:
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes in grid[len(panels) :]:
            axes.set_visible(False)
        for axes, (title, found) in zip(grid, panels.items(), strict=False):
            for n, (key, style) in enumerate({"loss": "-", "val_loss": (0, (5, 2))}.items()):
                median = np.median([curves[key] for curves in found], axis=0)
                epochs = np.arange(1, len(median) + 1)
                axes.plot(epochs, median, ls=style, color=theme.series[n], lw=1.5)
            axes.set_title(title, loc="left")
            axes.set_xlabel("epoch")
            axes.set_ylim(bottom=0)
            use_whole_ticks(axes.xaxis)

    path = figures.add(
        "phases.png",
        "Loss of each phase",
        "The loss of a layer refers to its own input, so the values of different phases are not "
        "comparable. Lines show the median over seeds; dashed lines are validation.",
    )
    draw(path, paint, height_in=2.4 * rows)
