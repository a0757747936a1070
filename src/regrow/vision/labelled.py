"""Pictures with labels: a zip in which each label has a folder."""

from __future__ import annotations

import tempfile
import zipfile
from collections import Counter, defaultdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.base.errors import DataError, shorten_list
from regrow.base.progress import Progress
from regrow.vision.decoding import Array, Decoded, read_rgb
from regrow.vision.zips import choose_pictures, explain_zip, extract

if TYPE_CHECKING:
    import pandas as pd

MOST = 100_000


def read_square(path: Path, size: int) -> Array:
    """A picture scaled to (size, size, 3), uint8; its sides may be scaled differently.

    Raises:
        DataError: it cannot be read.
    """
    return _scale(read_rgb(path, min_side=1).pixels, size)


def read_labelled(
    path: Path, origin: str, *, size: int, progress: Progress
) -> tuple[pd.DataFrame, list[str]]:
    """The pictures of a zip; each is labelled with the name of the folder that it is in.

    Args:
        path: the zip.
        origin: what a person knows it by.
        size: the width and height, in pixels, to which all are scaled.
        progress: called as `progress("reading pictures", done, total)`.

    Returns:
        A row for each picture, in the order of their names: picture (its path in the zip), label,
        width, height, brightness (mean, 0 to 255), contrast (brightest minus darkest), pixels
        (size * size * 3 bytes, row by row). And notes on what was left out or lost.

    Raises:
        DataError: not such a zip, or a picture in it cannot be read.
    """
    import pandas as pd

    notes: list[str] = []
    rows: list[dict[str, Any]] = []
    losses: dict[str, list[str]] = defaultdict(list)
    with explain_zip(origin), zipfile.ZipFile(path) as archive, tempfile.TemporaryDirectory() as at:
        members = choose_pictures(archive, origin, notes, MOST)
        _check_labels([_label(member.filename) for member in members], origin)
        copy = Path(at) / "picture"
        for number, member in enumerate(members, 1):
            where = f"{origin}, {member.filename}"
            extract(archive, member, where, copy)
            try:
                found = read_rgb(copy, min_side=1)
            except DataError as error:
                error.where = where
                raise
            rows.append({"picture": member.filename, **_describe(found.pixels, size)})
            for loss in _list_losses(found):
                losses[loss].append(member.filename)
            progress("reading pictures", number, len(members))
    notes += [f"of {origin}, {loss}: {shorten_list(names)}" for loss, names in losses.items()]
    frame = pd.DataFrame(rows)
    frame.insert(1, "label", [_label(name) for name in frame["picture"]])
    return frame, notes


def check_labelled(path: Path, origin: str) -> None:
    """Makes sure that a zip has pictures with labels; the pictures themselves are not read.

    Raises:
        DataError: it has not.
    """
    with explain_zip(origin), zipfile.ZipFile(path) as archive:
        members = choose_pictures(archive, origin, [], MOST)
    _check_labels([_label(member.filename) for member in members], origin)


def stack_pixels(frame: pd.DataFrame, size: int) -> Array:
    """The pictures of such rows, (rows, size, size, 3), uint8."""
    flat = np.frombuffer(b"".join(frame["pixels"]), "uint8")
    return flat.reshape(len(frame), size, size, 3)


def _label(member: str) -> str:
    # Older programs for Windows write backslashes.
    return PurePosixPath(member.replace("\\", "/")).parent.name


def _list_losses(found: Decoded) -> list[str]:
    frames = "only the first of several frames is used" if found.frames > 1 else ""
    return [loss for loss in (found.note, frames) if loss]


def _check_labels(labels: list[str], origin: str) -> None:
    counts = Counter(labels)
    if len(counts) < 2 or counts.get(""):
        raise DataError(
            "the pictures have no labels",
            where=origin,
            received=", ".join(
                f"{n} in the folder {name or '(none)'}" for name, n in counts.items()
            ),
            expected="a folder for each label, at least two of them",
            remedies=["pack folders such as cat/1.jpg, cat/2.jpg, dog/1.jpg"],
        )


def _describe(pixels: Array, size: int) -> dict[str, Any]:
    grey = pixels.mean(axis=2)
    return {
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "brightness": float(grey.mean()),
        "contrast": float(np.ptp(grey)),
        "pixels": _scale(pixels, size).tobytes(),
    }


def _scale(pixels: Array, size: int) -> Array:
    from PIL import Image

    return np.asarray(Image.fromarray(pixels).resize((size, size), Image.Resampling.BOX))
