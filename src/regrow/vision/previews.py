"""Previews of pictures that are being made: kept for the contact sheet, shown to who watches."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from regrow.base.progress import show
from regrow.vision.canvas import make_sheet, resize, save_picture, to_bytes
from regrow.vision.decoding import Array, read_rgb

SIDE = 320


class Previews:
    """Small pictures of the work so far in a folder that outlives a kill.

    Args:
        folder: where they go; None keeps none.
        every: steps between two; 0 makes none.
        what: whose they are.
    """

    def __init__(self, folder: Path | None, every: int, what: str) -> None:
        self.folder = folder
        self.every = every
        self.what = what

    def offer(self, done: int, total: int, pixels: Array) -> None:
        """Keeps and shows a picture, (height, width, 3) from 0 to 255, if it is time for one."""
        if self.folder is None or not self.every or (done % self.every and done != total):
            return
        # All in one size, so that coarse octaves can be seen beside fine ones.
        scale = SIDE / max(pixels.shape)
        size = (max(1, round(pixels.shape[0] * scale)), max(1, round(pixels.shape[1] * scale)))
        path = save_picture(to_bytes(resize(pixels, size)), self.folder / f"{done:06d}.jpg")
        show(f"{self.what}, step {done} of {total}", path)

    def list_pictures(self) -> list[tuple[str, Array]]:
        """Those kept so far, each with the step that it shows."""
        paths = sorted(self.folder.glob("[!.]*.jpg")) if self.folder else []
        return [(f"step {int(path.stem)}", read_rgb(path, min_side=1).pixels) for path in paths]

    def draw_sheet(self, before: Array, after: Array, *, most: int = 10) -> Array:
        """A contact sheet: the start, previews spread over the way, and the end."""
        found = self.list_pictures()[:-1]
        chosen = (
            [found[n * len(found) // most] for n in range(most)] if len(found) > most else found
        )
        return make_sheet([("start", before), *chosen, ("result", after)])


def compare(pictures: Sequence[tuple[str, Array]], side: int = 640) -> Array:
    """Pictures side by side with their captions, such as before and after."""
    return make_sheet(pictures, side=side, columns=2)
