"""Layers that Keras does not have, in `keras.ops` only: they run on every backend, without Lambda.

Importing this package registers them, so that saved models load with `safe_mode` on.
"""

from regrow.layers.euclidean_distance import EuclideanDistance
from regrow.layers.spatial_softmax import SpatialSoftmax
from regrow.layers.squared import Squared
from regrow.layers.tabular import (
    Calendar,
    FillMissing,
    Logarithm,
    OrthogonalPolynomial,
    SelectColumns,
)

__all__ = [
    "Calendar",
    "EuclideanDistance",
    "FillMissing",
    "Logarithm",
    "OrthogonalPolynomial",
    "SelectColumns",
    "SpatialSoftmax",
    "Squared",
]
