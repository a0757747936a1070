"""Pictures from files that may hold anything: decoded once, the same way everywhere.

A picture is converted in strips, so that no more than it and its result is in memory.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.base.errors import DataError, RegrowError
from regrow.base.file_kinds import name_kind
from regrow.vision.colour import plan_conversion
from regrow.vision.levels import Levels, read_levels, scale

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MAX_PIXELS = 40_000_000
# Beyond this not even half of a JPEG's side is decoded.
MAX_JPEG_PIXELS = 4 * MAX_PIXELS
# What is smaller has nothing left after the five poolings of a backbone.
MIN_SIDE = 32
STRIP_PIXELS = 1 << 20
# Pillow starts Ghostscript for the first, and Windows' own renderer for the second. Of the others
# it only reads the size.
NOT_OPENED = {"EPS", "WMF", "MPEG", "HDF5", "GRIB", "BUFR"}
PNG = b"\x89PNG\r\n\x1a\n"
PNG_TEXTS = (b"tEXt", b"zTXt", b"iTXt")

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Decoded:
    """A picture as a file had it.

    Attributes:
        pixels: (height, width, 3), uint8, sRGB from 0 to 255; turned upright.
        mode: Pillow's name of the file's mode, such as "RGB", "CMYK", "P" or "I;16".
        frames: how many frames the file has; the first was taken.
        note: what was lost or left out on the way, as the end of a sentence; mostly nothing.
    """

    pixels: Array
    mode: str
    frames: int = 1
    note: str = ""


@dataclass(frozen=True)
class Opened:
    """A picture that is decoded, and turned upright by its EXIF tag.

    Attributes:
        frames: of how many frames it is the first.
        levels: what its numbers mean, if they are not unsigned ones of eight bits.
        halved: whether it was decoded at half of its size.
    """

    picture: Picture
    frames: int
    levels: Levels | None
    halved: bool = False

    def strips(self) -> Iterator[tuple[slice, Picture]]:
        """The picture in parts of all columns and some rows, from the top."""
        width, height = self.picture.size
        rows = max(1, STRIP_PIXELS // width)
        for top in range(0, height, rows):
            end = min(top + rows, height)
            yield slice(top, end), self.picture.crop((0, top, width, end))


@contextmanager
def open_picture(path: Path) -> Iterator[Opened]:
    """Opens and decodes a picture.

    What goes wrong with the picture inside the block becomes a `DataError` as well.

    Raises:
        DataError: it is no picture, cut short, or has more than 40 million pixels (a JPEG 160).
    """
    try:
        with warnings.catch_warnings():
            # Of odd tags, and of sizes that are bounded here; it is read or refused all the same.
            warnings.simplefilter("ignore")
            opened, halved = _load(path)
            with opened:
                levels, frames = read_levels(path, opened), _count_frames(opened)
                yield Opened(_turn_upright(opened), frames, levels, halved)
    except RegrowError:
        raise
    # Whatever Pillow's readers raise: each of its formats has its own way to fail.
    except Exception as error:
        text = str(error).splitlines()[0][:200] if str(error) else ""
        raise refuse(path, f"{type(error).__name__}: {text}") from error


def read_rgb(path: Path, *, min_side: int = MIN_SIDE) -> Decoded:
    """Reads a picture in colour; transparent parts count as white paper.

    Raises:
        DataError: as `open_picture`, or a side has fewer than `min_side` pixels.
    """
    with open_picture(path) as opened:
        picture, levels = opened.picture, opened.levels
        if min(picture.size) < min_side:
            raise DataError(
                "the picture is too small",
                where=str(path),
                received=f"{picture.width} x {picture.height} pixels",
                expected=f"at least {min_side} pixels on each side",
                remedies=["use a larger picture, or enlarge this one first"],
            )
        pixels = np.empty((picture.height, picture.width, 3), "uint8")
        convert, colours = plan_conversion(picture, deep=levels is not None)
        for rows, part in opened.strips():
            if levels:
                pixels[rows] = np.rint(scale(path, part, levels) * 255)[..., np.newaxis]
            else:
                pixels[rows] = np.asarray(on_white(convert(part)).convert("RGB"))
    return Decoded(pixels, picture.mode, opened.frames, describe_losses(opened, colours))


def describe_losses(opened: Opened, colours: str) -> str:
    """What was lost of a picture, as the end of a sentence; `colours` is what its colours lost."""
    return "; ".join(filter(None, [colours, "it is read at half its size" * opened.halved]))


def on_white(picture: Picture) -> Picture:
    """The picture in RGB or grey, with white where it is transparent."""
    from PIL import Image

    if not picture.has_transparency_data:
        return picture if picture.mode in ("L", "RGB") else picture.convert("RGB")
    with_alpha = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", with_alpha.size, "white"), with_alpha)


def list_endings() -> set[str]:
    """The endings of the formats that are read, such as ".png"."""
    from PIL import Image

    found = Image.registered_extensions()
    return {end for end, name in found.items() if name in Image.OPEN and name not in NOT_OPENED}


def refuse(path: Path, received: str) -> DataError:
    """The error for what is no picture, or none that we read."""
    kind = name_kind(path)
    return DataError(
        "the picture cannot be read",
        where=str(path),
        received=received + (f"; it is {kind}" if kind else ""),
        expected="a PNG, JPEG, WebP, AVIF, BMP, TIFF or GIF "
        f"of at most {MAX_PIXELS:,} pixels ({MAX_JPEG_PIXELS:,} for JPEG)",
        remedies=["save it as JPEG, for example with the export function of a viewer"]
        if kind == "a HEIC picture"
        else ["open it in a picture viewer to check that it is complete", "save it again as PNG"],
    )


def _load(path: Path) -> tuple[Picture, bool]:
    """The picture decoded, and whether at half of its size."""
    try:
        return _decode(path)
    except ValueError:
        # Pillow refuses long or many texts in a PNG, which no viewer shows.
        with path.open("rb") as stream:
            if stream.read(len(PNG)) != PNG:
                raise
        return _decode(BytesIO(_without_texts(path.read_bytes())), path)


def _decode(source: Any, path: Path | None = None) -> tuple[Picture, bool]:
    from PIL import Image

    Image.init()
    formats = [name for name in Image.ID if name not in NOT_OPENED]
    opened = Image.open(source, formats=formats)
    try:
        size = opened.size
        is_jpeg = opened.format in ("JPEG", "MPO")
        if MAX_PIXELS < opened.width * opened.height <= MAX_JPEG_PIXELS and is_jpeg:
            opened.draft(None, (opened.width // 2, opened.height // 2))
        if opened.width * opened.height > MAX_PIXELS:
            raise refuse(path or source, f"{opened.width} x {opened.height} pixels")
        opened.load()
    except BaseException:
        opened.close()
        raise
    return opened, opened.size != size


def _without_texts(content: bytes) -> bytes:
    """A PNG without its chunks of text."""
    kept, at = [PNG], len(PNG)
    while at + 8 <= len(content):
        length, name = struct.unpack(">I4s", content[at : at + 8])
        end = at + 12 + length
        if name not in PNG_TEXTS:
            kept.append(content[at:end])
        at = end
    return b"".join(kept)


def _count_frames(opened: Picture) -> int:
    try:
        return int(getattr(opened, "n_frames", 1))
    except Exception:  # a later frame is damaged, and the first one is what is read
        return 1


def _turn_upright(opened: Picture) -> Picture:
    from PIL import ImageOps

    try:
        ImageOps.exif_transpose(opened, in_place=True)
    except Exception:  # viewers show a picture whose EXIF data are damaged as it is
        return opened
    return opened
