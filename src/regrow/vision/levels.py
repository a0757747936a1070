"""Pictures with more than eight bits a pixel: which of their values are black and white.

The format says it, and never the picture's own pixels: a dark picture stays dark.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.base.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from PIL.Image import Image as Picture

Array = np.ndarray[Any, np.dtype[Any]]

# TIFF's tags: bits of a sample, whether zero is white, and the kind of number.
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339
WHITE_IS_ZERO, SIGNED = 0, 2
# Values of floating point may miss 0 and 1 by rounding.
TOLERANCE = 0.01


@dataclass(frozen=True)
class Levels:
    """What the numbers of a picture with more than eight bits mean.

    Attributes:
        white: the value of white, or of black where `inverted`; the other one's is 0.
        unsigned: whether Pillow's signed numbers are unsigned ones in the file.
    """

    white: float
    inverted: bool = False
    unsigned: bool = False


def read_levels(opened: Picture) -> Levels | None:
    """The levels of a picture as it was opened; None for one of eight bits or fewer."""
    if not opened.mode.startswith(("I", "F")):
        return None
    tags = getattr(opened, "tag_v2", None) or {}
    inverted = tags.get(PHOTOMETRIC) == WHITE_IS_ZERO
    if opened.mode == "F":
        return Levels(1.0, inverted)
    signed = (tags.get(SAMPLE_FORMAT) or (1,))[0] == SIGNED
    # Pillow stretches what other formats have to 16 bits.
    bits = int((tags.get(BITS) or (16,))[0])
    return Levels(2.0 ** (bits - signed) - 1, inverted, unsigned=bits == 32 and not signed)


def scale(path: Path, picture: Picture, levels: Levels) -> Array:
    """The brightness of a part of a picture, (height, width), float32 from 0 to 1.

    Raises:
        DataError: a pixel is not a number, or is outside what the format has for black and white.
    """
    raw = np.asarray(picture)
    if levels.unsigned:
        raw = raw.view("uint32")
    values = raw.astype("float32")
    if not np.isfinite(values).all():
        raise DataError(
            "the picture contains pixel values that are not numbers",
            where=str(path),
            received=f"NaN or infinite in {(~np.isfinite(values)).sum():,} of {values.size:,}",
            expected="a brightness for each pixel",
            remedies=[
                "replace these pixels with the background brightness, and save the picture again"
            ],
        )
    values /= np.float32(levels.white)
    if values.min() < -TOLERANCE or values.max() > 1 + TOLERANCE:
        raise DataError(
            "the picture contains pixel values outside the range from black to white",
            where=str(path),
            received=f"values from {raw.min():g} to {raw.max():g}",
            expected=f"0 for black to {levels.white:g} for white, as defined by its format",
            remedies=["scale the values to this range, or save it as an 8-bit or 16-bit PNG"],
        )
    np.clip(values, 0, 1, out=values)
    return 1 - values if levels.inverted else values
