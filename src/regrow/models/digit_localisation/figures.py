"""Scenes with the digit and the box that a network finds in them."""

from __future__ import annotations

from pathlib import Path

from regrow.models.digit_localisation.data import SceneSplit
from regrow.models.digit_localisation.scenes import CANVAS
from regrow.vision.digits import Array
from regrow.vision.figures import Tile, draw_grid

COLUMNS = 6


def draw_scenes(test: SceneSplit, found: dict[str, Array], chosen: Array, out: Path) -> Path:
    """Draws scenes, each with both boxes and the digit that the network names.

    Args:
        test: the scenes.
        found: the network's answers for all of them.
        chosen: the positions of those to draw, as many as fill rows of six.
        out: the PNG file.
    """
    labels = found["digit"].argmax(axis=1)

    def show(n: int) -> Tile:
        is_wrong = bool(labels[n] != test.labels[n])
        return Tile(
            test.pixels[n],
            f"{labels[n]}, is {test.labels[n]}" if is_wrong else str(labels[n]),
            is_wrong=is_wrong,
            boxes=(test.boxes[n] * CANVAS, found["box"][n] * CANVAS),
        )

    return draw_grid([[show(n) for n in row] for row in chosen.reshape(-1, COLUMNS)], out)
