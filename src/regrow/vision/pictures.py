"""Pictures of a user's own: read safely, and brought into the form of the digits."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from regrow.engine.errors import DataError
from regrow.vision.digits import INK_MAX, SIDE, Array

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MAX_PIXELS = 50_000_000
# A border this much brighter than the middle is paper.
INK_THRESHOLD = 0.25
# Less is not told apart from the noise of a scanner or of JPEG.
MIN_CONTRAST = 1 / 16


def read_grey(path: Path) -> Array:
    """Reads a picture as brightness, (height, width), float32 from 0 (black) to 1 (white).

    Transparent parts count as white paper; of an animation the first frame is taken.

    Raises:
        DataError: it is no picture, cut short, has more than 50 million pixels, or shows nothing:
            one brightness all over, or values that are no numbers.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Our own bound stands below; Pillow's warning would only repeat it.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                if opened.width * opened.height > MAX_PIXELS:
                    raise _refuse(path, f"{opened.width} x {opened.height} pixels")
                picture = ImageOps.exif_transpose(opened)
                if picture.mode.startswith(("I", "F")):
                    return _check_contrast(path, _scale_deep(path, picture))
                with_alpha = picture.convert("RGBA")
    except (Image.DecompressionBombError, UnidentifiedImageError) as error:
        raise _refuse(path, str(error)) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise _refuse(path, f"{type(error).__name__}: {error}") from error
    paper = Image.new("RGBA", with_alpha.size, "white")
    grey = Image.alpha_composite(paper, with_alpha).convert("L")
    return _check_contrast(path, np.asarray(grey, dtype="float32") / 255)


def to_digit(grey: Array) -> Array:
    """Brings a picture of one digit into the form of the data: (8, 8, 1), float32, ink 0 to 16.

    A picture of 8 x 8 pixels is taken as it is. Another one is inverted if its border is bright,
    stretched to the full contrast, cut to its ink, made square and averaged down, as the data's own
    scans were.
    """
    from PIL import Image

    ink = to_ink(grey)
    if ink.shape != (SIDE, SIDE):
        # Or a pencil's grey on grey paper would count as paper.
        ink = (ink - ink.min()) / max(float(np.ptp(ink)), MIN_CONTRAST)
        rows, columns = (np.flatnonzero((ink > INK_THRESHOLD).any(axis=axis)) for axis in (1, 0))
        if len(rows):
            ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        height, width = ink.shape
        side = max(height, width)
        square = np.zeros((side, side), "float32")
        top, left = (side - height) // 2, (side - width) // 2
        square[top : top + height, left : left + width] = ink
        resized = Image.fromarray(square).resize((SIDE, SIDE), Image.Resampling.BOX)
        ink = np.asarray(resized)
    digit: Array = (ink * INK_MAX)[..., np.newaxis].astype("float32")
    return digit


def to_ink(grey: Array) -> Array:
    """Brightness to ink, 0 to 1: dark writing on bright paper is inverted."""
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    inverted: Array = 1 - grey
    return inverted if np.median(border) > 0.5 else grey


def _scale_deep(path: Path, picture: Picture) -> Array:
    """Pictures of 16 or 32 bits, or of floats, to 0..1."""
    values = np.asarray(picture, dtype="float32")
    if not np.isfinite(values).all():
        raise DataError(
            "the picture has pixels that are no numbers",
            where=str(path),
            received=f"NaN or infinite in {(~np.isfinite(values)).sum():,} of {values.size:,}",
            expected="the brightness of each pixel",
            remedies=["fill these pixels with the brightness of the paper, and save it again"],
        )
    brightest = values.max()
    # Floats are written as 0 to 1, or as they were in 8 or 16 bits; whole numbers of this mode
    # have 16 bits even where the picture is dark.
    steps = (1, 255, 65535) if picture.mode == "F" else (1, 65535)
    top = next((step for step in steps if brightest <= step), 65535)
    scaled: Array = np.clip(values / np.float32(top), 0, 1)
    return scaled


def _check_contrast(path: Path, grey: Array) -> Array:
    """The picture, if anything is to be seen on it."""
    if np.ptp(grey) < MIN_CONTRAST:
        raise DataError(
            "there is nothing to be seen on the picture",
            where=str(path),
            received=f"everywhere between {grey.min():.0%} and {grey.max():.0%} of white",
            expected="dark strokes on bright paper, or bright ones on dark",
            remedies=["give a picture with something written on it", "raise its contrast"],
        )
    return grey


def _refuse(path: Path, received: str) -> DataError:
    return DataError(
        "the picture cannot be read",
        where=str(path),
        received=received,
        expected=f"a PNG, JPEG, WebP, BMP, TIFF or GIF of at most {MAX_PIXELS:,} pixels",
        remedies=["open it in a picture viewer: is it whole?", "save it again as PNG"],
    )
