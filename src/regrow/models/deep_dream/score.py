"""How dreams are scored: by the objective that they reach, the same way for old and new ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.base.errors import UserError
from regrow.models.deep_dream.dream import climb_tiles
from regrow.models.deep_dream.objective import Objective, load_objectives
from regrow.vision.decoding import Array
from regrow.vision.gallery import open_gallery
from regrow.vision.manifest import read_manifest

if TYPE_CHECKING:
    from pathlib import Path

    from regrow.models.deep_dream.spec import DeepDreamConfig


def measure(climb: Objective, pixels: Array, config: DeepDreamConfig) -> float:
    """The objective of a finished picture (height, width, 3), in its own size."""
    return climb_tiles(climb, pixels.astype("float32"), config.tile, config.overlap)[0]


def score(model: Any, table: Path, config: DeepDreamConfig) -> dict[str, float]:
    """The mean objective over the pictures that a model holds of the photos in the manifest.

    Raises:
        UserError: it lacks one of them.
    """
    objectives = load_objectives(config, table)
    held = {(label["sha256"], label["objective"]): pixels for label, pixels in open_gallery(model)}
    wanted = [(row.sha256, name) for row in read_manifest(table, "photo") for name in objectives]
    lacking = [key for key in wanted if key not in held]
    if lacking:
        raise UserError(
            "the model contains no picture for one of the requested photos",
            received=f"{len(held)} pictures",
            expected=f"a picture for the photo with sha256 {lacking[0][0][:12]}",
        )
    values = [measure(objectives[key[1]], held[key], config) for key in wanted]
    return {"objective": float(np.mean(values))}
