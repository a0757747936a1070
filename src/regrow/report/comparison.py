"""The page on which runs are compared: one HTML file, its curves drawn into one chart."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from regrow.report.evaluation import Figure
from regrow.report.numbers import begin, format_value, humanise
from regrow.report.templating import open_templates

if TYPE_CHECKING:
    from regrow.report.chart_style import Theme
    from regrow.report.pictures import Picture

QUANTITIES = 4


class Line(Protocol):
    """One value of all runs; see `regrow.operations.compare.Line`."""

    @property
    def name(self) -> str:
        """What the values are."""

    @property
    def values(self) -> list[Any]:
        """One value for each run."""

    @property
    def differs(self) -> bool:
        """Whether they are not all the same."""

    @property
    def best(self) -> list[int]:
        """The positions of the best."""


Parts = Mapping[str, Sequence[Line]]


def render_comparison(
    names: Sequence[str], parts: Parts, curves: Mapping[str, Mapping[str, Sequence[float]]]
) -> str:
    """The page.

    Args:
        names: the runs.
        parts: the lines of each part, by the part's title.
        curves: by run, its curves by name.
    """
    return _render(names, parts, draw_together(curves), whole=True)


def render_tables(names: Sequence[str], parts: Parts) -> str:
    """The tables alone, for a notebook."""
    return _render(names, parts, [], whole=False)


def draw_together(curves: Mapping[str, Mapping[str, Sequence[float]]]) -> list[Picture]:
    """A chart for each quantity, one line for each run that has it."""
    from regrow.report.pictures import load_figure

    found = [name for of in curves.values() for name, values in of.items() if len(values)]
    quantities = sorted(dict.fromkeys(found), key=lambda name: not name.startswith("val_"))
    pictures = []
    with tempfile.TemporaryDirectory(prefix="regrow-compare-") as folder:
        for number, quantity in enumerate(quantities[:QUANTITIES]):
            lines = {run: of[quantity] for run, of in curves.items() if len(of.get(quantity, ()))}
            out = plot_together(lines, Path(folder) / f"{number}.png", label=humanise(quantity))
            title = f"{begin(humanise(quantity))} per epoch"
            pictures.append(load_figure(out.parent, Figure(file=out.name, title=title)))
    return pictures


def plot_together(curves: Mapping[str, Sequence[float]], out: Path, *, label: str) -> Path:
    """One panel with a line for each run."""
    import numpy as np

    from regrow.report.chart_style import draw
    from regrow.report.charts import is_wide, label_lines, use_log_ticks, use_whole_ticks

    def paint(figure: Any, theme: Theme) -> None:
        axes = figure.subplots()
        for number, (run, values) in enumerate(curves.items()):
            axes.plot(
                range(1, len(values) + 1),
                values,
                color=theme.series[number % len(theme.series)],
                ls="-" if number < len(theme.series) else (0, (5, 2)),
                lw=1.6,
                marker="o" if len(values) == 1 else "",
                label=run,
            )
        axes.set(xlabel="epoch", ylabel=label)
        use_whole_ticks(axes.xaxis)
        if is_wide([np.asarray(values) for values in curves.values()]):
            axes.set_yscale("log")
            use_log_ticks(axes.yaxis)
        label_lines(axes)

    return draw(out, paint)


def _render(names: Sequence[str], parts: Parts, pictures: Sequence[Picture], *, whole: bool) -> str:
    template = open_templates(value=format_value).get_template("runs.html.j2")
    return template.render(names=names, parts=parts, pictures=pictures, whole=whole)
