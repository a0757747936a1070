"""Charts for every model: predictions over time, scatter, residuals, baselines.

Each is written as `name.png` with its dark sibling `name.dark.png` (see chart_style). Titles and
captions belong to the page, not to the chart.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter
from numpy.typing import ArrayLike, NDArray

from regrow.report.chart_style import WIDTH_IN, Theme, draw
from regrow.report.evaluation import Comparison, Direction

LOG_RATIO = 20.0
"""A scale becomes logarithmic where the largest value is this many times the smallest."""

Array = NDArray[Any]


def plot_over_time(
    time: ArrayLike,
    actual: ArrayLike,
    predicted: Mapping[str, ArrayLike],
    out: Path,
    *,
    label: str,
    unit: str = "",
    close_up: int = 240,
) -> Path:
    """Actual against predicted over time: the whole period, and its middle from close by.

    Args:
        time: (n,) increasing dates or numbers; a line is not drawn across a hole.
        actual: (n,) measured values.
        predicted: (n,) predictions by name.
        out: the PNG file.
        label: what the values are, e.g. "benzene", in `unit`.
        close_up: number of points of the lower panel; 0 or at least n leaves it out.
    """
    at, holes = _find_holes(np.asarray(time))
    values = {
        name: np.insert(np.asarray(series, dtype=float), holes, np.nan)
        for name, series in {"actual": actual, **predicted}.items()
    }
    start = max(0, (len(at) - close_up) // 2)
    inside = slice(start, start + close_up)
    windows = [slice(None)] + ([inside] if 0 < close_up < len(at) else [])

    def paint(figure: Figure, theme: Theme) -> None:
        panels = figure.subplots(len(windows), 1, squeeze=False).ravel()
        for axes, part in zip(panels, windows, strict=True):
            _add_series(axes, at[part], {name: v[part] for name, v in values.items()}, theme)
            axes.set_ylabel(_with_unit(label, unit))
        label_lines(panels[0], columns=len(values))
        if len(windows) > 1:
            panels[0].axvspan(at[inside][0], at[inside][-1], color=theme.muted, alpha=0.16, lw=0)
            panels[1].set_title("Detail of the shaded area", loc="left")

    return draw(out, paint, height_in=2.6 * len(windows) + 0.4)


def plot_scatter(
    actual: ArrayLike,
    predicted: Mapping[str, ArrayLike],
    out: Path,
    *,
    label: str,
    unit: str = "",
) -> Path:
    """Predicted against actual, one square panel per prediction; on the diagonal all is right.

    Args:
        actual: (n,) measured values.
        predicted: (n,) predictions by name.
        out: the PNG file.
        label: what the values are.
        unit: their unit.
    """
    true = np.asarray(actual, dtype=float)
    guesses = {name: np.asarray(v, dtype=float) for name, v in predicted.items()}
    low, high = _limits([true, *guesses.values()])

    def paint(figure: Figure, theme: Theme) -> None:
        panels = figure.subplots(1, len(guesses), squeeze=False, sharey=True).ravel()
        for n, (axes, (name, values)) in enumerate(zip(panels, guesses.items(), strict=True)):
            axes.axline((low, low), slope=1, color=theme.muted, lw=1, ls=(0, (4, 3)))
            _add_points(axes, true, values, theme.series[n % len(theme.series)])
            axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
            axes.set_title(name, loc="left")
            axes.set_xlabel(_with_unit(f"actual {label}", unit))
        panels[0].set_ylabel(_with_unit(f"predicted {label}", unit))

    width_in = min(WIDTH_IN, 0.6 + 3.8 * len(guesses))
    return draw(out, paint, width_in=width_in, height_in=width_in / len(guesses) + 0.35)


def plot_residuals(
    actual: ArrayLike,
    predicted: Mapping[str, ArrayLike],
    out: Path,
    *,
    label: str,
    unit: str = "",
) -> Path:
    """Errors (predicted minus actual) against actual, and how often each size of error occurs.

    The arguments are those of `plot_scatter`; each prediction has a row of panels and an error
    scale of its own.
    """
    true = np.asarray(actual, dtype=float)
    errors = {name: np.asarray(v, dtype=float) - true for name, v in predicted.items()}

    def paint(figure: Figure, theme: Theme) -> None:
        panels = figure.subplots(len(errors), 2, squeeze=False, sharey="row", width_ratios=(3, 1))
        for n, ((points, counts), (name, error)) in enumerate(
            zip(panels, errors.items(), strict=True)
        ):
            colour = theme.series[n % len(theme.series)]
            finite = error[np.isfinite(error)]
            _add_points(points, true, error, colour)
            counts.hist(finite, bins=60, orientation="horizontal", color=colour, alpha=0.85)
            for axes in (points, counts):
                axes.axhline(0, color=theme.muted, lw=1, ls=(0, (4, 3)))
            points.set_title(f"{name}: {_describe_range(finite)}", loc="left")
            points.set_ylabel(_with_unit("predicted \N{MINUS SIGN} actual", unit))
        panels[-1][0].set_xlabel(_with_unit(f"actual {label}", unit))
        panels[-1][1].set_xlabel("rows")

    return draw(out, paint, height_in=2.7 * len(errors) + 0.3)


def plot_comparison(
    comparison: Comparison,
    key: str,
    out: Path,
    *,
    label: str,
    unit: str = "",
    direction: Direction = "minimize",
) -> Path:
    """Bars of one score: the model's mean with its spread in colour, beside the baselines."""
    model = comparison.label
    return plot_bars(
        {model: comparison.mean(key), **comparison.baselines_by(key)},
        out,
        label=label,
        unit=unit,
        direction=direction,
        highlight=(model,),
        spreads={model: comparison.spread(key)},
    )


def plot_bars(
    values: Mapping[str, float],
    out: Path,
    *,
    label: str,
    unit: str = "",
    direction: Direction = "minimize",
    highlight: Collection[str] = (),
    spreads: Mapping[str, float] | None = None,
) -> Path:
    """One figure per model, the best on top; dots instead of bars where the scale is logarithmic.

    Args:
        values: the figures by model.
        out: the PNG file.
        label: what the figures are, e.g. "RMSE on the last 30 %", in `unit`.
        direction: whether a small or a large figure is good.
        highlight: the models to draw in colour.
        spreads: half the length of the error bars, by model.
    """
    # barh counts from the bottom, so the worst comes first.
    names = sorted(values, key=lambda name: values[name], reverse=direction == "minimize")
    figures = np.array([values[name] for name in names], dtype=float)
    errors = np.array([(spreads or {}).get(name, 0.0) for name in names])
    heights = np.arange(len(names))

    def paint(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        colours = [theme.series[0] if name in highlight else theme.faint for name in names]
        _add_bars(axes, figures, colours)
        axes.hlines(heights, figures - errors, figures + errors, color=theme.ink, lw=1.4, zorder=4)
        for name, height, value, end in zip(names, heights, figures, figures + errors, strict=True):
            _label_bar(axes, (end, height), value, is_bold=name in highlight)
        axes.margins(x=0.1)
        axes.set_yticks(heights, names)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel(_with_unit(label, unit))

    return draw(out, paint, height_in=0.34 * len(names) + 0.9)


def is_wide(curves: Sequence[Array]) -> bool:
    """Whether positive values spread so far that their scale is to be logarithmic."""
    values = np.concatenate([np.ravel(curve) for curve in curves])
    values = values[np.isfinite(values)]
    return bool(values.size and values.min() > 0 and values.max() / values.min() > LOG_RATIO)


def use_log_ticks(axis: Axis) -> None:
    """Writes a logarithmic axis' ticks as plain numbers."""
    axis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:.6g}"))
    axis.set_minor_formatter(NullFormatter())


def use_whole_ticks(axis: Axis) -> None:
    """Has ticks at whole numbers alone, such as epochs."""
    axis.set_major_locator(MaxNLocator(nbins=5, integer=True))


def label_lines(axes: Axes, columns: int = 1) -> None:
    """A legend, where there is more than one line: inside, or in columns above the axes."""
    if len(axes.get_lines()) > 1:
        above = {"loc": "lower left", "bbox_to_anchor": (0, 1), "borderaxespad": 0.2}
        legend = axes.legend(ncols=columns, **(above if columns > 1 else {"loc": "upper right"}))
        for line in legend.get_lines():
            line.set_linewidth(2)


def _add_series(axes: Axes, time: Array, values: Mapping[str, Array], theme: Theme) -> None:
    thin = 0.6 if len(time) > 1000 else 1.2
    for n, (name, v) in enumerate(values.items()):
        # A broad pale line under thin ones: both show where they agree.
        colour = theme.series[(n - 1) % len(theme.series)] if n else theme.faint
        axes.plot(time, v, color=colour, lw=thin if n else 3 * thin, label=name)
    axes.margins(x=0.01)
    _format_dates(axes, time)


def _add_bars(axes: Axes, figures: Array, colours: Sequence[str]) -> None:
    heights = np.arange(len(figures))
    if is_wide([figures]):
        axes.scatter(figures, heights, s=52, color=colours, zorder=3)
        axes.set_xscale("log")
        use_log_ticks(axes.xaxis)
    else:
        axes.barh(heights, figures, height=0.62, color=colours)


def _label_bar(axes: Axes, at: tuple[Any, Any], value: float, *, is_bold: bool) -> None:
    axes.annotate(
        f"{value:.3g}",
        at,
        xytext=(9, 0),
        textcoords="offset points",
        va="center",
        fontweight="bold" if is_bold else "normal",
    )


def _add_points(axes: Axes, x: Array, y: Array, colour: str) -> None:
    opacity = float(np.clip(400 / max(len(x), 1), 0.12, 0.8))
    axes.scatter(x, y, s=9, color=colour, alpha=opacity, linewidths=0)


def _describe_range(errors: Array) -> str:
    low, high = np.percentile(errors, [5, 95]) if errors.size else (0.0, 0.0)
    return f"90 % of errors from {low:#.2g} to {high:#.2g}".replace("-", "\N{MINUS SIGN}")


def _limits(arrays: Sequence[Array]) -> tuple[float, float]:
    values = np.concatenate(arrays)
    values = values[np.isfinite(values)]
    if not values.size:
        return 0.0, 1.0
    pad = 0.03 * float(np.ptp(values)) or 1.0
    return float(values.min()) - pad, float(values.max()) + pad


def _find_holes(time: Array) -> tuple[Array, Array]:
    """The times with one more in each hole, and where those were inserted."""
    if len(time) < 3:
        return time, np.array([], dtype=int)
    steps = np.diff(time)
    holes = np.flatnonzero(steps > 3 * np.median(steps)) + 1
    return np.insert(time, holes, time[holes - 1] + steps[0] * 0 + np.median(steps)), holes


def _format_dates(axes: Axes, time: Array) -> None:
    if np.issubdtype(time.dtype, np.datetime64):
        locator = AutoDateLocator(minticks=4, maxticks=9)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_locator(locator)
        formatter = ConciseDateFormatter(locator)  # type: ignore[no-untyped-call]
        axes.xaxis.set_major_formatter(formatter)


def _with_unit(label: str, unit: str) -> str:
    return f"{label} ({unit})" if unit else label
