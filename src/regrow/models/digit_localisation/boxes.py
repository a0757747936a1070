"""Boxes: how far two of them overlap, and the loss that follows."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from regrow.vision.digits import Array

# Boxes narrower than this share of the canvas count as so wide, to keep gradients finite.
MIN_SIDE = 0.02


def measure_iou(first: Array, second: Array) -> Array:
    """Intersection over union, (boxes,), of boxes (boxes, 4): left, top, right, bottom."""
    low = np.maximum(first[:, :2], second[:, :2])
    high = np.minimum(first[:, 2:], second[:, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = [np.prod(np.clip(box[:, 2:] - box[:, :2], 0, None), axis=1) for box in (first, second)]
    overlap: Array = common / np.maximum(areas[0] + areas[1] - common, 1e-12)
    return overlap


@keras.saving.register_keras_serializable(package="regrow")
class BoxLoss(keras.losses.Loss):  # type: ignore[misc]
    """One minus intersection over union, and twice the mean absolute error of the edges.

    The overlap is what is measured in the end; the edges pull where there is no overlap yet.
    Both arguments are (batch, 4): left, top, right, bottom in shares of the canvas. After J. Yu and
    others, UnitBox: an advanced object detection network (2016).
    """

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each box, (batch,)."""
        low, high = y_pred[:, :2], ops.maximum(y_pred[:, :2] + MIN_SIDE, y_pred[:, 2:])
        common = ops.prod(
            ops.maximum(ops.minimum(high, y_true[:, 2:]) - ops.maximum(low, y_true[:, :2]), 0.0),
            axis=1,
        )
        areas = ops.prod(high - low, axis=1) + ops.prod(y_true[:, 2:] - y_true[:, :2], axis=1)
        return 1 - common / (areas - common) + 2 * ops.mean(ops.abs(y_true - y_pred), axis=1)
