"""Pictures with other numbers than 0 to 255: which of their values are black and white.

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
# Others, such as FITS, store signed numbers, and what they mean elsewhere.
WITH_LEVELS = ("TIFF", "PNG", "PPM", "JPEG2000")


@dataclass(frozen=True)
class Levels:
    """What the numbers of a picture mean.

    Attributes:
        white: the value of white, or of black where `inverted`; the other one's is 0.
        stored: the type of the file's numbers where Pillow's signs are others; mostly "".
        transparent: the value of what is transparent, if it has one.
    """

    white: float
    inverted: bool = False
    stored: str = ""
    transparent: int | None = None


def read_levels(path: Path, opened: Picture) -> Levels | None:
    """The levels of a picture as it was opened; None for one of unsigned numbers up to 255.

    Raises:
        DataError: its format does not say which values are black and white.
    """
    tags = getattr(opened, "tag_v2", None) or {}
    signed = (tags.get(SAMPLE_FORMAT) or (1,))[0] == SIGNED
    if opened.mode == "L" and signed:
        return Levels(127.0, stored="int8")
    if not opened.mode.startswith(("I", "F")):
        return None
    inverted = tags.get(PHOTOMETRIC) == WHITE_IS_ZERO
    if opened.mode == "F":
        return Levels(1.0, inverted)
    if opened.format not in WITH_LEVELS:
        raise DataError(
            "the picture's format does not define which values are black and white",
            where=str(path),
            received=f"{opened.format} with more than 8 bits per pixel",
            expected="more than 8 bits per pixel only in PNG, TIFF, PPM or JPEG 2000",
            remedies=[
                "scale the values from 0 for black to 65535 for white, and save a 16-bit PNG"
            ],
        )
    # Pillow stretches what other formats have to 16 bits.
    bits = int((tags.get(BITS) or (16,))[0])
    white = 2.0 ** (bits - signed) - 1
    stored = "uint32" if bits == 32 and not signed else ""
    return Levels(white, inverted, stored, opened.info.get("transparency"))


def scale(path: Path, picture: Picture, levels: Levels) -> Array:
    """The brightness of a part of a picture, (height, width), float32 from 0 to 1.

    Raises:
        DataError: a pixel is not a number, or is outside what the format has for black and white.
    """
    raw = np.asarray(picture)
    if levels.stored:
        raw = raw.view(levels.stored)
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
    if levels.inverted:
        values = 1 - values
    if levels.transparent is not None:
        values[raw == levels.transparent] = 1
    return values
