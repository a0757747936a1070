"""Pictures for a page that is one file: their bytes as data: URIs, and the training curves."""

from __future__ import annotations

import base64
import struct
import tempfile
from dataclasses import dataclass
from pathlib import Path

from regrow.report.chart_style import dark_variant
from regrow.report.curves import group_curves, plot_curves
from regrow.report.evaluation import Figure
from regrow.report.history import History
from regrow.report.numbers import humanise

PICTURE_TYPES = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
}
CURVE_LIMIT = 4
"""More quantities than these in history.json are not drawn: the losses come first there."""


@dataclass(frozen=True)
class Picture:
    """A picture with its bytes as a data: URI.

    Attributes:
        light: the picture; None where its file is missing.
        dark: the same for dark pages, where there is one.
        width_px: width and
        height_px: height on the page, in CSS pixels; 0 where unknown.
        scrolls: whether it is a chart that must not shrink below legibility.
    """

    title: str
    caption: str
    light: str | None
    dark: str | None = None
    width_px: int = 0
    height_px: int = 0

    @property
    def scrolls(self) -> bool:
        """Whether it is a chart, whose letters must stay legible on a narrow screen."""
        return self.dark is not None


def draw_curves(history: History) -> list[Picture]:
    """One chart per quantity in history.json, in the order met."""
    names = (name.removeprefix("val_") for name in history.names)
    quantities = list(dict.fromkeys(names))[:CURVE_LIMIT]
    pictures = []
    with tempfile.TemporaryDirectory(prefix="regrow-report-") as folder:
        for n, quantity in enumerate(quantities):
            path = plot_curves(history, Path(folder) / f"{n}.png", quantity=quantity)
            title = f"{humanise(quantity).capitalize()} per {history.unit}"
            pictures.append(_load_picture(path, title, describe_curves(history, quantity)))
    return pictures


def describe_curves(history: History, quantity: str) -> str:
    """The caption of a curve's chart: how many runs there are, and how to read them."""
    groups = group_curves(history, quantity)
    lengths = [len(run) for curves in groups.values() for runs in curves.values() for run in runs]
    counts = {len(runs) for curves in groups.values() for runs in curves.values()}
    unit = f"{history.unit}s"
    epochs = f"{min(lengths)} to {max(lengths)}" if min(lengths) < max(lengths) else str(lengths[0])
    if max(counts) == 1:
        return f"One run of {epochs} {unit}." if len(groups) == 1 else f"Runs of {epochs} {unit}."
    per_group = str(counts.pop()) if len(counts) == 1 else f"Up to {max(counts)}"
    each = " in each panel" if len(groups) > 1 else ""
    stopped = " A run that stopped early keeps its last value." if "to" in epochs else ""
    return (
        f"{per_group} runs{each}, of {epochs} {unit}: the line is the median, "
        f"and the band shows the range of all runs.{stopped}"
    )


def load_figure(folder: Path, figure: Figure) -> Picture:
    """A figure of an evaluation; without its picture where the file is missing or elsewhere.

    Args:
        folder: where the figure's path starts from; nothing outside it is read.
        figure: what to load.
    """
    path = (folder / figure.file).resolve()
    if not path.is_relative_to(folder.resolve()) or not path.is_file():
        return Picture(figure.title, figure.caption, None)
    return _load_picture(path, figure.title, figure.caption)


def _load_picture(path: Path, title: str, caption: str) -> Picture:
    dark = dark_variant(path)
    # Our own charts are drawn with two pixels for each of the page's.
    scale = 2 if dark.is_file() else 1
    width, height = _read_png_size(path)
    return Picture(
        title=title,
        caption=caption,
        light=encode_picture(path),
        dark=encode_picture(dark) if dark.is_file() else None,
        width_px=width // scale,
        height_px=height // scale,
    )


def encode_picture(path: Path) -> str:
    """A picture's file as a data: URI, by its ending."""
    kind = PICTURE_TYPES.get(path.suffix.lower(), "application/octet-stream")
    return f"data:{kind};base64,{base64.b64encode(path.read_bytes()).decode()}"


def _read_png_size(path: Path) -> tuple[int, int]:
    """Width and height in pixels; (0, 0) where the file is no PNG."""
    with path.open("rb") as stream:
        head = stream.read(24)
    if len(head) < 24 or not head.startswith(b"\x89PNG\r\n\x1a\n"):
        return 0, 0
    width, height = struct.unpack(">II", head[16:24])
    return width, height
