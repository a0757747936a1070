"""Figures of image-similarity: the ROC curve, nearest digits, and the surest mistakes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from regrow.models.image_similarity.pairs import Pairs, find_neighbours
from regrow.report.chart_style import Theme, draw
from regrow.vision.digits import Array, Digits
from regrow.vision.figures import Tile, draw_grid

NEIGHBOURS = 6
MISTAKES = 10


def draw_roc(pairs: Pairs, scores: dict[str, Array], out: Path) -> Path:
    """Share of same pairs accepted against that of different pairs, for each score by name."""
    from sklearn.metrics import roc_curve

    floor = 1 / len(pairs)

    def paint(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        for n, (name, values) in enumerate(scores.items()):
            wrong, right, _thresholds = roc_curve(pairs.same[:, 0], values)
            axes.plot(np.maximum(wrong, floor), right, color=theme.series[n], lw=1.6, label=name)
        axes.set(xscale="log", xlim=(floor, 1), ylim=(0, 1.02))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _position: f"{share:.6g}"))
        axes.set_xlabel("different digits accepted")
        axes.set_ylabel("same digits accepted")
        axes.legend(loc="lower right")

    return draw(out, paint, height_in=3.6)


def draw_neighbours(training: Digits, test: Digits, known: Array, new: Array, out: Path) -> Path:
    """One test digit of each class, and the training digits nearest to it.

    Args:
        training: the training digits; `known` are their vectors.
        test: the test digits; `new` are their vectors.
        out: the PNG file.
    """
    rows = [int(np.flatnonzero(test.labels == label)[0]) for label in np.unique(test.labels)]
    grid = [
        [
            Tile(test.pixels[row], f"test {test.labels[row]}"),
            *(
                Tile(
                    training.pixels[n],
                    str(training.labels[n]),
                    is_wrong=bool(training.labels[n] != test.labels[row]),
                )
                for n in found
            ),
        ]
        for row, found in zip(rows, find_neighbours(known, new[rows], NEIGHBOURS), strict=True)
    ]
    return draw_grid(grid, out, picture_in=0.8)


def draw_mistakes(test: Digits, pairs: Pairs, similarity: Array, out: Path) -> Path | None:
    """The wrong pairs that the network is surest of, below each other; None if there are none."""
    error = np.abs(similarity - pairs.same[:, 0])
    worst: list[int] = []
    seen: set[int] = set()
    for n in np.argsort(-error, kind="stable"):
        if error[n] <= 0.5 or len(worst) == MISTAKES:
            break
        # A digit that is always mistaken would fill the figure.
        members = {int(pairs.first[n]), int(pairs.second[n])}
        if not members <= seen:
            worst.append(int(n))
            seen |= members
    if not worst:
        return None
    first, second = pairs.first[worst], pairs.second[worst]
    upper = [
        Tile(test.pixels[n], f"{test.labels[n]}: {alike:.0%} alike")
        for n, alike in zip(first, similarity[worst], strict=True)
    ]
    return draw_grid([upper, [Tile(test.pixels[n], str(test.labels[n])) for n in second]], out)
