"""Pictures as the bytes of their files, for models where regrow is not installed.

`regrow.vision.pictures` uses it for files as well. From bytes, no colour profiles are applied and
more than eight bits a channel are refused. This module is copied into registered versions: it
imports no other.
"""

from __future__ import annotations

import base64
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_PIXELS = 40_000_000
# Less is not told apart from the noise of a scanner or of JPEG.
MIN_CONTRAST = 1 / 16
# A border this much brighter than the middle is paper.
INK_THRESHOLD = 0.25
SIDE, INK_MAX = 8, 16
MAX_SIDE = 4096


def read_inks(pictures: Iterable[bytes], column: str) -> list[Any]:
    """The ink of each picture, (height, width), float32 from 0 to 1.

    Raises:
        ValueError: a picture cannot be read, is too large or is blank; the message has its row.
    """
    inks = []
    for row, raw in enumerate(pictures, 1):
        try:
            inks.append(_read_ink(raw))
        except Exception as error:  # Pillow's readers raise whatever they meet
            raise ValueError(f"column {column}, row {row}: {error}") from error
    return inks


def to_digit(ink: Any) -> Any:
    """A picture's ink as scikit-learn's digits have it: (8, 8, 1), float32, 0 to 16."""
    from PIL import Image

    if ink.shape != (SIDE, SIDE):
        # Or a pencil's grey on grey paper would count as paper.
        ink = (ink - ink.min()) / max(float(np.ptp(ink)), MIN_CONTRAST)
        rows, columns = (np.flatnonzero((ink > INK_THRESHOLD).any(axis=axis)) for axis in (1, 0))
        if len(rows):
            ink = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        ink = shrink(ink)
        height, width = ink.shape
        side = max(height, width)
        square = np.zeros((side, side), "float32")
        top, left = (side - height) // 2, (side - width) // 2
        square[top : top + height, left : left + width] = ink
        ink = np.asarray(Image.fromarray(square).resize((SIDE, SIDE), Image.Resampling.BOX))
    return (ink * INK_MAX)[..., np.newaxis].astype("float32")


def shrink(ink: Any) -> Any:
    """The ink with at most `MAX_SIDE` pixels on a side, so that its square stays small."""
    from PIL import Image

    longest = max(ink.shape)
    if longest <= MAX_SIDE:
        return ink
    height, width = (max(1, round(side * MAX_SIDE / longest)) for side in ink.shape)
    return np.asarray(Image.fromarray(ink).resize((width, height), Image.Resampling.BOX))


def to_ink(grey: Any) -> Any:
    """Brightness to ink, 0 to 1: dark writing on bright paper is inverted."""
    border = np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])
    return 1 - grey if np.median(border) > 0.5 else grey


def encode_png(ink: Any) -> str:
    """Ink from 0 to 1, (height, width), as a PNG in base64: bright strokes on black."""
    from PIL import Image

    out = BytesIO()
    Image.fromarray(np.round(ink * 255).astype("uint8")).save(out, "PNG")
    return base64.b64encode(out.getvalue()).decode("ascii")


def _read_ink(raw: bytes) -> Any:
    from PIL import Image, ImageOps

    with Image.open(BytesIO(raw)) as opened:
        if opened.format in ("EPS", "WMF"):  # other programs would be started for them
            raise ValueError(f"{opened.format} is no format for pictures here")
        if opened.width * opened.height > MAX_PIXELS:
            raise ValueError(f"{opened.width} x {opened.height} pixels; {MAX_PIXELS:,} is the most")
        if opened.mode.startswith(("I", "F")):
            raise ValueError("more than eight bits for each channel; save it with eight")
        picture = ImageOps.exif_transpose(opened)
        if picture.has_transparency_data:
            picture = picture.convert("RGBA")
            white = Image.new("RGBA", picture.size, "white")
            picture = Image.alpha_composite(white, picture)
        grey = np.asarray(picture.convert("L"), dtype="float32") / 255
    if np.ptp(grey) < MIN_CONTRAST:
        raise ValueError("there is nothing to be seen on the picture")
    return to_ink(grey)
