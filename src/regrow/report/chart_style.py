"""The look of every chart: drawn as PNG for light pages and, beside it, for dark ones.

No window and no global state; the same input gives the same bytes. The colours are Okabe and Ito's
(https://jfly.uni-koeln.de/color/), which people with a colour vision deficiency can tell apart.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import style
from matplotlib.figure import Figure
from PIL import Image

WIDTH_IN = 8.0
DPI = 200


@dataclass(frozen=True)
class Theme:
    """Colours for one page background.

    Attributes:
        faint: what a measurement or a baseline is drawn in, to compare with.
        series: the colours of lines, points and bars in the order of use.
    """

    page: str
    ink: str
    muted: str
    grid: str
    faint: str
    series: tuple[str, ...]


LIGHT = Theme(
    page="#ffffff",
    ink="#1d2428",
    muted="#59646b",
    grid="#e6e9ea",
    faint="#b4bdc3",
    series=("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b58900", "#56b4e9"),
)
DARK = Theme(
    page="#1b2125",
    ink="#e4e8ea",
    muted="#a3aeb4",
    grid="#313a3f",
    faint="#66727a",
    series=("#56b4e9", "#f0883e", "#2fc79c", "#e29cc4", "#f0e442", "#8ab4d8"),
)

Painter = Callable[[Figure, Theme], None]


def dark_variant(path: Path) -> Path:
    """Where the chart for dark pages lies: beside the one for light pages."""
    return path.with_suffix(f".dark{path.suffix}")


def draw(out: Path, paint: Painter, *, width_in: float = WIDTH_IN, height_in: float = 3.4) -> Path:
    """Draws a chart of one's own in the common style, for light and for dark pages.

    Args:
        out: the PNG file; `dark_variant(out)` is written too.
        paint: called as `paint(figure, theme)` on an empty figure, once per theme.
        width_in: width in inches; 8 fills the report's column.
        height_in: height in inches.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    for theme, path in ((LIGHT, out), (DARK, dark_variant(out))):
        with style.context(["default", _settings(theme)]):
            figure = Figure(figsize=(width_in, height_in), layout="constrained")
            paint(figure, theme)
            image = io.BytesIO()
            figure.savefig(image, dpi=DPI, format="png")
        # 256 colours are enough for a chart and make the file a third as large.
        Image.open(image).convert("RGB").quantize(256).save(path, optimize=True)
    return out


def _settings(theme: Theme) -> dict[str, Any]:
    return {
        "figure.facecolor": theme.page,
        "savefig.facecolor": theme.page,
        "axes.facecolor": theme.page,
        "axes.edgecolor": theme.muted,
        "axes.labelcolor": theme.muted,
        "axes.titlecolor": theme.ink,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.labelsize": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.8,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": theme.grid,
        "grid.linewidth": 0.8,
        "xtick.color": theme.muted,
        "ytick.color": theme.muted,
        "xtick.labelsize": 9,
        "ytick.labelsize": 9,
        "xtick.minor.size": 0,
        "ytick.minor.size": 0,
        "text.color": theme.ink,
        "text.parse_math": False,  # a "$" in a name is a dollar sign
        "font.size": 9,
        "legend.frameon": False,
        "legend.fontsize": 9,
        "agg.path.chunksize": 10_000,
    }
