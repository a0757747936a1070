"""Pictures from files that may hold anything: decoded once, the same way everywhere."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.engine.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MAX_PIXELS = 50_000_000
# What is smaller has nothing left after the five poolings of a backbone.
MIN_SIDE = 32

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Decoded:
    """A picture as a file had it.

    Attributes:
        pixels: (height, width, 3), uint8, sRGB from 0 to 255; turned upright.
        mode: Pillow's name of the file's mode, such as "RGB", "CMYK", "P" or "I;16".
        frames: how many frames the file has; the first was taken.
    """

    pixels: Array
    mode: str
    frames: int = 1


@contextmanager
def open_picture(path: Path) -> Iterator[tuple[Picture, int]]:
    """A picture, turned upright by its EXIF tag, and the number of frames of which it is the first.

    What goes wrong with the picture inside the block becomes a `DataError` as well.

    Raises:
        DataError: it is no picture, cut short, or has more than 50 million pixels.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            # Our own bound stands below; Pillow's warning would only repeat it.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                if opened.width * opened.height > MAX_PIXELS:
                    raise refuse(path, f"{opened.width} x {opened.height} pixels")
                yield ImageOps.exif_transpose(opened), getattr(opened, "n_frames", 1)
    except (Image.DecompressionBombError, UnidentifiedImageError) as error:
        raise refuse(path, str(error)) from error
    except (OSError, SyntaxError, ValueError) as error:
        raise refuse(path, f"{type(error).__name__}: {error}") from error


def read_rgb(path: Path, *, min_side: int = MIN_SIDE) -> Decoded:
    """Reads a picture in colour; transparent parts count as white paper.

    Raises:
        DataError: as `open_picture`, or a side has fewer than `min_side` pixels.
    """
    with open_picture(path) as (picture, frames):
        if min(picture.size) < min_side:
            raise DataError(
                "the picture is too small to make anything of",
                where=str(path),
                received=f"{picture.width} x {picture.height} pixels",
                expected=f"at least {min_side} pixels on each side",
                remedies=["give a larger picture, or enlarge this one first"],
            )
        if is_deep(picture):
            grey = scale_deep(path, picture)
            pixels = np.repeat(np.rint(grey * 255).astype("uint8")[..., np.newaxis], 3, axis=2)
        else:
            pixels = np.asarray(on_white(picture).convert("RGB"))
    return Decoded(pixels, picture.mode, frames)


def on_white(picture: Picture) -> Picture:
    """The picture in RGB or grey, with white where it is transparent."""
    from PIL import Image

    if not picture.has_transparency_data:
        return picture if picture.mode in ("L", "RGB") else picture.convert("RGB")
    with_alpha = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", with_alpha.size, "white"), with_alpha)


def is_deep(picture: Picture) -> bool:
    """Whether a pixel has more than eight bits, which Pillow's conversions would cut off."""
    return picture.mode.startswith(("I", "F"))


def scale_deep(path: Path, picture: Picture) -> Array:
    """Grey pictures of 16 or 32 bits, or of floats, as (height, width), float32 from 0 to 1.

    Raises:
        DataError: a pixel is no number.
    """
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


def refuse(path: Path, received: str) -> DataError:
    """The error for what is no picture, or none that we read."""
    return DataError(
        "the picture cannot be read",
        where=str(path),
        received=received,
        expected=f"a PNG, JPEG, WebP, BMP, TIFF or GIF of at most {MAX_PIXELS:,} pixels",
        remedies=["open it in a picture viewer: is it whole?", "save it again as PNG"],
    )
