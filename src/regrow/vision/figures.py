"""Charts of pictures: grids of them, and maps of their vectors."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from regrow.report.chart_style import WIDTH_IN, Theme, draw
from regrow.vision.digits import Array

TITLE_IN = 0.28
ROW_IN = 0.7
NAME_CHARACTERS = 14


@dataclass(frozen=True)
class Tile:
    """A picture of a grid.

    Attributes:
        pixels: (height, width) or (height, width, 1), bright is ink.
        title: what stands above it.
        is_wrong: draws the title in the colour of errors.
        boxes: (left, top, right, bottom) in pixels each; the first is drawn dashed.
    """

    pixels: Array
    title: str = ""
    is_wrong: bool = False
    boxes: tuple[Array, ...] = ()


def draw_grid(
    rows: Sequence[Sequence[Tile]],
    out: Path,
    *,
    row_names: Sequence[str] = (),
    picture_in: float | None = None,
) -> Path:
    """Draws rows of pictures.

    Args:
        rows: the pictures; a row may be shorter than others.
        out: the PNG file.
        row_names: one to the left of each row.
        picture_in: the side of a picture in inches; by default the rows fill the column.
    """
    columns = max(len(row) for row in rows)
    side = picture_in or min(1.4, WIDTH_IN / columns)
    above = TITLE_IN if any(tile.title for row in rows for tile in row) else 0.05

    def paint(figure: Figure, theme: Theme) -> None:
        panels = figure.subplots(len(rows), columns, squeeze=False)
        for axes in panels.ravel():
            axes.grid(visible=False)
            axes.spines[:].set_visible(False)
            axes.set(xticks=[], yticks=[])
        for row, line in zip(rows, panels, strict=True):
            for tile, axes in zip(row, line, strict=False):
                _add_tile(axes, tile, theme)
        for name, line in zip(row_names, panels, strict=False):
            # Upright, so that a long name does not reach into the rows above and below.
            wrapped = textwrap.fill(name, NAME_CHARACTERS)
            line[0].set_ylabel(wrapped, fontsize=8, rotation=0, ha="right", va="center")

    width_in = min(WIDTH_IN, side * columns + (1.0 if row_names else 0))
    return draw(out, paint, width_in=width_in, height_in=len(rows) * (side + above) + 0.1)


def draw_map(vectors: Array, labels: Array, out: Path) -> Path:
    """Vectors (n, features) on their two main axes (PCA), with the label of each class amid it."""
    from sklearn.decomposition import PCA

    points = vectors if vectors.shape[1] == 2 else PCA(2, random_state=0).fit_transform(vectors)
    classes = list(np.unique(labels))

    def paint(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        for number, label in enumerate(classes):
            of_class = points[np.asarray(labels) == label]
            colour = theme.series[number % len(theme.series)]
            marker = "o^s"[number // len(theme.series) % 3]
            axes.scatter(
                of_class[:, 0],
                of_class[:, 1],
                s=14,
                color=colour,
                marker=marker,
                alpha=0.55,
                linewidths=0,
            )
            _write_amid(axes, of_class, str(label), theme)
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)

    return draw(out, paint, height_in=5.2)


def _write_amid(axes: Any, points: Array, label: str, theme: Theme) -> None:
    middle = np.median(points, axis=0)
    # The point next to the middle, as a class of several parts may have none there.
    x, y = points[np.argmin(((points - middle) ** 2).sum(axis=1))]
    axes.text(
        float(x),
        float(y),
        label,
        color=theme.ink,
        fontsize=12,
        fontweight="bold",
        ha="center",
        va="center",
        path_effects=[withStroke(linewidth=3, foreground=theme.page)],
    )


def _add_tile(axes: Any, tile: Tile, theme: Theme) -> None:
    axes.imshow(np.squeeze(tile.pixels), cmap="gray_r", interpolation="nearest")
    colour = theme.series[1] if tile.is_wrong else theme.ink
    axes.set_title(tile.title, fontsize=8, fontweight="normal", color=colour)
    for n, (left, top, right, bottom) in enumerate(tile.boxes):
        axes.add_patch(
            Rectangle(
                (left - 0.5, top - 0.5),
                right - left,
                bottom - top,
                fill=False,
                lw=1.4,
                ls=(0, (3, 2)) if n == 0 else "-",
                edgecolor=theme.series[n],
            )
        )
