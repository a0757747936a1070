"""Pictures in memory: resized, checked where they go, and written whole or not at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.base.errors import DataError, UserError
from regrow.base.files import atomic_write
from regrow.vision.decoding import MIN_SIDE, Array

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")
JPEG_QUALITY = 92
SHEET_GAP, CAPTION_PX = 8, 18


def fit_size(shape: Sequence[int], longest: int, *, shortest: int = 1) -> tuple[int, int]:
    """The size of a picture (height, width, ...) whose longer side has at most `longest` pixels.

    Args:
        shortest: how many pixels the shorter side keeps all the same, if it has as many.
    """
    height, width = shape[:2]
    scale = min(1.0, max(longest / max(height, width), shortest / min(height, width)))
    return max(1, round(height * scale)), max(1, round(width * scale))


def check_scaled(shape: Sequence[int], longest: int, where: str, *, allowed: int) -> None:
    """Makes sure that enough is left of a picture when its longer side has `longest` pixels.

    Args:
        shape: (height, width, ...) as it was read.
        where: the picture as a person knows it.
        allowed: the largest number of pixels that the setting `size` may be.

    Raises:
        DataError: its shorter side would have fewer than `MIN_SIDE` pixels.
    """
    size = fit_size(shape, longest)
    if min(size) >= MIN_SIDE:
        return
    needed = math.ceil(MIN_SIDE * max(shape[:2]) / min(shape[:2]))
    raise DataError(
        "the picture is too narrow for the requested size",
        where=where,
        received=f"{shape[1]} x {shape[0]} pixels, scaled to {size[1]} x {size[0]}",
        expected=f"at least {MIN_SIDE} pixels on each side after scaling",
        remedies=[
            *([f"--set size={needed}, which keeps {MIN_SIDE} pixels"] if needed <= allowed else []),
            "crop the picture to a less narrow part",
        ],
    )


def resize(pixels: Array, size: tuple[int, int]) -> Array:
    """A picture (height, width, 3), float32, in another size, by a bicubic filter, unclipped."""
    from PIL import Image

    if pixels.shape[:2] == tuple(size):
        return np.array(pixels, "float32")
    out = np.empty((*size, pixels.shape[2]), "float32")
    for channel in range(pixels.shape[2]):
        plane = Image.fromarray(np.ascontiguousarray(pixels[..., channel], "float32"))
        out[..., channel] = np.asarray(plane.resize(size[::-1], Image.Resampling.BICUBIC))
    return out


def clip(pixels: Array) -> Array:
    """Floats within 0 and 255."""
    clipped: Array = np.clip(pixels, 0, 255)
    return clipped


def to_bytes(pixels: Array) -> Array:
    """Floats from 0 to 255 as uint8, rounded and clipped."""
    return np.clip(np.rint(pixels), 0, 255).astype("uint8")


def keep_colour(pixels: Array, colours: Array) -> Array:
    """The brightness of one picture with the colours of another, both (height, width, 3), uint8."""
    from PIL import Image

    bright = Image.fromarray(pixels).convert("YCbCr").split()[0]
    _dull, blue, red = Image.fromarray(colours).convert("YCbCr").split()
    return np.asarray(Image.merge("YCbCr", (bright, blue, red)).convert("RGB"))


def check_output(path: Path, endings: Sequence[str] = PICTURES) -> Path:
    """Makes sure, before the work begins, that a picture can be written there.

    Raises:
        UserError: it ends in no format that we write, or its folder is not there.
    """
    if path.suffix.lower() not in endings:
        raise UserError(
            "the file extension of the output is not a supported format",
            where=str(path),
            received=path.suffix or "no extension",
            expected=", ".join(endings),
        )
    if not path.parent.is_dir() or path.is_dir():
        raise UserError(
            "the output cannot be written to this path",
            where=str(path),
            received="a folder" if path.is_dir() else f"no folder {path.parent}",
            expected="a file in an existing folder",
        )
    return path


def save_picture(pixels: Array, path: Path) -> Path:
    """Writes (height, width, 3), uint8, in the format that the name ends in."""
    from PIL import Image

    options: dict[str, Any] = (
        {"quality": JPEG_QUALITY} if path.suffix.lower() in (".jpg", ".jpeg") else {}
    )
    with atomic_write(path) as temporary:
        Image.fromarray(pixels).save(temporary, **options)
    return path


def make_sheet(
    pictures: Sequence[tuple[str, Array]], *, side: int = 256, columns: int = 4
) -> Array:
    """A contact sheet: pictures with their captions, (height, width, 3), uint8.

    Args:
        pictures: captions and pixels (height, width, 3), uint8.
        side: the longer side of each on the sheet, in pixels.
        columns: how many stand in a row.
    """
    from PIL import Image, ImageDraw

    small = [(text, _shrink(pixels, side)) for text, pixels in pictures]
    columns = min(columns, len(small))
    cell_w = max(picture.width for _text, picture in small) + SHEET_GAP
    cell_h = max(picture.height for _text, picture in small) + SHEET_GAP + CAPTION_PX
    rows = -(-len(small) // columns)
    sheet = Image.new("RGB", (columns * cell_w + SHEET_GAP, rows * cell_h + SHEET_GAP), "white")
    pen = ImageDraw.Draw(sheet)
    for n, (text, picture) in enumerate(small):
        left = SHEET_GAP + n % columns * cell_w
        top = SHEET_GAP + n // columns * cell_h
        sheet.paste(picture, (left, top))
        pen.text((left, top + picture.height + 3), text, fill="black")
    return np.asarray(sheet)


def _shrink(pixels: Array, side: int) -> Picture:
    from PIL import Image

    size = fit_size(pixels.shape, side)
    return Image.fromarray(pixels).resize(size[::-1], Image.Resampling.LANCZOS)
