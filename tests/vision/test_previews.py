"""Previews that are kept on the way, and what a killed process leaves among them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from regrow.base.files import WRITING
from regrow.vision.previews import Previews


def test_what_a_kill_cut_short_is_no_preview(tmp_path: Path) -> None:
    previews = Previews(tmp_path, 1, "a dream")
    pixels = np.full((32, 32, 3), 100.0, "float32")
    for done in (1, 2):
        previews.offer(done, 2, pixels)
    (tmp_path / f"{WRITING}abcd1234-000001.jpg").touch()
    assert [caption for caption, _ in previews.list_pictures()] == ["step 1", "step 2"]
    assert previews.draw_sheet(pixels.astype("uint8"), pixels.astype("uint8")).ndim == 3
