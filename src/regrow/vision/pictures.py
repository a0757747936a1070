"""Pictures of a user's own: read safely, and brought into the form of the digits."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from regrow.base.errors import DataError
from regrow.vision import picture_bytes
from regrow.vision.colour import plan_conversion
from regrow.vision.decoding import describe_losses, on_white, open_picture
from regrow.vision.digits import Array
from regrow.vision.levels import scale

log = logging.getLogger(__name__)


def read_grey(path: Path) -> Array:
    """Reads a picture as brightness, (height, width), float32 from 0 (black) to 1 (white).

    Transparent parts count as white paper; of an animation the first frame is taken. What is lost
    is logged.

    Raises:
        DataError: it is no picture, cut short, has too many pixels, or shows nothing: one
            brightness all over, or values that are not numbers.
    """
    with open_picture(path) as opened:
        size = (opened.picture.height, opened.picture.width)
        levels = opened.levels
        grey = np.empty(size, "float32" if levels else "uint8")
        convert, colours = plan_conversion(opened.picture, deep=levels is not None)
        for rows, part in opened.strips():
            if levels:
                grey[rows] = scale(path, part, levels)
            else:
                grey[rows] = np.asarray(on_white(convert(part)).convert("L"))
    if note := describe_losses(opened, colours):
        log.warning("%s: %s", path, note)
    if opened.frames > 1:
        log.warning("%s has %d frames; the first one is used", path, opened.frames)
    # The picture is closed by now, so that it and the floats are not in memory at once.
    if not levels:
        grey = grey.astype("float32")
        grey /= 255
    return _check_contrast(path, grey)


def to_digit(grey: Array) -> Array:
    """Brings a picture of one digit into the form of the data: (8, 8, 1), float32, ink 0 to 16.

    A picture of 8 x 8 pixels is taken as it is. Another one is inverted if its border is bright,
    stretched to the full contrast, cut to its ink, made square and averaged down, as the data's own
    scans were.
    """
    digit: Array = picture_bytes.to_digit(to_ink(grey))
    return digit


def to_ink(grey: Array) -> Array:
    """Brightness to ink, 0 to 1: dark writing on bright paper is inverted."""
    ink: Array = picture_bytes.to_ink(grey)
    return ink


def _check_contrast(path: Path, grey: Array) -> Array:
    """The picture, if anything is to be seen on it."""
    if np.ptp(grey) < picture_bytes.MIN_CONTRAST:
        raise DataError(
            "the picture has no visible content",
            where=str(path),
            received=f"everywhere between {grey.min():.0%} and {grey.max():.0%} of white",
            expected="dark strokes on a bright background, or bright strokes on a dark background",
            remedies=["use a picture with visible writing", "raise its contrast"],
        )
    return grey
