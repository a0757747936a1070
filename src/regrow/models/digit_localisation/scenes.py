"""Scenes: one digit, scaled and placed on a larger canvas among fragments of other digits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from regrow.vision.digits import INK_MAX, SIDE, Array

CANVAS = 32
# A digit's height in pixels, and its width as a share of that.
HEIGHT_RANGE = (12.0, 20.0)
ASPECT_RANGE = (0.8, 1.2)
FRAGMENTS_RANGE = (4, 8)
FRAGMENT_SIDE_RANGE = (4, 6)
FRAGMENT_INK_RANGE = (0.5, 1.0)
TRIES = 10
NOISE = 0.15
# Paler pixels are the blur of a stroke's edge.
BOX_INK = 4


@dataclass(frozen=True)
class Scenes:
    """Scenes with their answers.

    Attributes:
        pixels: (scenes, 32, 32), uint8, 255 is ink.
        boxes: (scenes, 4), float32: left, top, right, bottom of the digit's ink, in pixels.
        sources: (scenes,), int64: the position of the digit among those given.
    """

    pixels: Array
    boxes: Array
    sources: Array


def make_scenes(digits: Array, count: int, seed: int) -> Scenes:
    """Draws `count` scenes of digits (digits, 64), ink from 0 to 16, and of nothing else.

    Fragments come from the same digits, so that scenes of one split show nothing of another.
    """
    chance = np.random.default_rng(seed)
    shaped = digits.reshape(-1, SIDE, SIDE)
    sources = chance.integers(len(shaped), size=count)
    pixels = np.empty((count, CANVAS, CANVAS), dtype="uint8")
    boxes = np.empty((count, 4), dtype="float32")
    for n, source in enumerate(sources):
        canvas = chance.uniform(0, NOISE, (CANVAS, CANVAS))
        tile, box = _scale(shaped[source], chance)
        left, top = _find_place(tile, chance)
        _draw(canvas, tile, left, top)
        boxes[n] = box + np.array([left, top, left, top])
        _scatter_fragments(canvas, boxes[n], shaped, chance)
        pixels[n] = np.round(canvas * 255)
    return Scenes(pixels, boxes, sources)


def _scale(digit: Array, chance: np.random.Generator) -> tuple[Array, Array]:
    """A digit in another size, ink from 0 to 1, and the box of its ink."""
    from PIL import Image

    height = chance.uniform(*HEIGHT_RANGE)
    size = np.round([height * chance.uniform(*ASPECT_RANGE), height]).astype(int)
    picture = Image.fromarray(digit.astype("float32")).resize(
        (int(size[0]), int(size[1])), Image.Resampling.BILINEAR
    )
    ink = digit >= BOX_INK
    columns, rows = (np.flatnonzero(ink.any(axis=axis)) for axis in (0, 1))
    box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]) * np.tile(size / SIDE, 2)
    return np.clip(np.asarray(picture) / INK_MAX, 0, 1), box


def _find_place(tile: Array, chance: np.random.Generator) -> tuple[int, int]:
    """A left and a top at which the tile is on the canvas."""
    height, width = tile.shape
    return int(chance.integers(CANVAS - width + 1)), int(chance.integers(CANVAS - height + 1))


def _draw(canvas: Array, tile: Array, left: int, top: int) -> None:
    part = canvas[top : top + tile.shape[0], left : left + tile.shape[1]]
    np.maximum(part, tile, out=part)


def _scatter_fragments(
    canvas: Array, box: Array, digits: Array, chance: np.random.Generator
) -> None:
    """Draws pieces of digits beside the box: one across a 1 could make it a 7."""
    for _ in range(chance.integers(*FRAGMENTS_RANGE, endpoint=True)):
        tile, _box = _scale(digits[chance.integers(len(digits))], chance)
        side = int(chance.integers(*FRAGMENT_SIDE_RANGE, endpoint=True))
        top, left = (chance.integers(length - side + 1) for length in tile.shape)
        fragment = tile[top : top + side, left : left + side]
        for _try in range(TRIES):
            x, y = _find_place(fragment, chance)
            if x + side <= box[0] or x >= box[2] or y + side <= box[1] or y >= box[3]:
                _draw(canvas, fragment * chance.uniform(*FRAGMENT_INK_RANGE), x, y)
                break
