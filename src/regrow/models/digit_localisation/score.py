"""How a model of digit-localisation is scored: the same way for a challenger and the champion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.models.digit_localisation.boxes import measure_iou
from regrow.models.digit_localisation.data import SceneSplit, read_scenes
from regrow.training.inference import answer

if TYPE_CHECKING:
    from pathlib import Path

    from regrow.vision.digits import Array

# Half overlapping counts as found, as in the PASCAL VOC challenge (M. Everingham and others, 2010).
FOUND_IOU = 0.5


def score(model: Any, table: Path, _config: Any) -> dict[str, float]:
    """Share of test scenes found, accuracy of the digit, mean intersection over union."""
    test = read_scenes(table, "test")
    found = answer(model, test.pixels)
    return measure(test, found["digit"].argmax(axis=1), found["box"])


def measure(scenes: SceneSplit, labels: Array, boxes: Array) -> dict[str, float]:
    """The figures of answers: labels (scenes,) and boxes (scenes, 4), in shares of the canvas."""
    overlap = measure_iou(boxes, scenes.boxes)
    right = labels == scenes.labels
    return {
        "found": float(np.mean(right & (overlap >= FOUND_IOU))),
        "accuracy": float(np.mean(right)),
        "iou": float(np.mean(overlap)),
    }
