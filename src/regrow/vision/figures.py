"""Charts of pictures: grids of them, and maps of their vectors."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from regrow.engine.chart_style import WIDTH_IN, Theme, draw
from regrow.vision.digits import Array

TITLE_IN = 0.28
ROW_IN = 0.7


def draw_grid(
    pictures: Sequence[Sequence[Array]],
    out: Path,
    *,
    titles: Sequence[Sequence[str]] | None = None,
    row_names: Sequence[str] = (),
    wrong: Sequence[Sequence[bool]] | None = None,
    boxes: Sequence[Sequence[dict[str, Array]]] | None = None,
    picture_in: float | None = None,
) -> Path:
    """Rows of pictures, each with its title.

    Args:
        pictures: rows of (height, width) or (height, width, 1), bright is ink.
        out: the PNG file.
        titles: one above each picture.
        row_names: one to the left of each row.
        wrong: True draws a title in the colour of errors.
        boxes: by name, (left, top, right, bottom) in pixels; the first name is drawn dashed.
        picture_in: the side of a picture in inches; by default the rows fill the column.
    """
    columns = max(len(row) for row in pictures)
    side = picture_in or min(1.4, WIDTH_IN / columns)

    def paint(figure: Figure, theme: Theme) -> None:
        panels = figure.subplots(len(pictures), columns, squeeze=False)
        for r, row in enumerate(panels):
            for c, axes in enumerate(row):
                axes.grid(visible=False)
                axes.spines[:].set_visible(False)
                axes.set(xticks=[], yticks=[])
                if c >= len(pictures[r]):
                    axes.set_visible(False)
                    continue
                axes.imshow(np.squeeze(pictures[r][c]), cmap="gray_r", interpolation="nearest")
                if titles:
                    bad = bool(wrong and wrong[r][c])
                    colour = theme.series[1] if bad else theme.ink
                    axes.set_title(titles[r][c], fontsize=8, fontweight="normal", color=colour)
                if boxes:
                    _add_boxes(axes, boxes[r][c], theme)
            if row_names:
                row[0].set_ylabel(row_names[r], fontsize=8)

    return draw(
        out,
        paint,
        width_in=min(WIDTH_IN, side * columns + (0.6 if row_names else 0)),
        height_in=len(pictures) * (side + (TITLE_IN if titles else 0.05)) + 0.1,
    )


def draw_map(vectors: Array, labels: Array, out: Path) -> Path:
    """Vectors (n, features) on their two main axes (PCA), each drawn as its label."""
    from sklearn.decomposition import PCA

    points = vectors if vectors.shape[1] == 2 else PCA(2, random_state=0).fit_transform(vectors)
    classes = list(np.unique(labels))

    def paint(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        axes.plot(*points.T, ls="")  # only sets the axes' limits; text does not
        for point, label in zip(points, labels, strict=True):
            colour = theme.series[classes.index(label) % len(theme.series)]
            x, y = map(float, point)
            axes.text(x, y, str(label), color=colour, fontsize=8, ha="center", va="center")
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)

    return draw(out, paint, height_in=5.2)


def _add_boxes(axes: Any, boxes: dict[str, Array], theme: Theme) -> None:
    for n, (left, top, right, bottom) in enumerate(boxes.values()):
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
