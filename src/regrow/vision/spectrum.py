"""Pixels as amplitudes of spatial frequencies: the coordinates in which optimisers get on faster.

Photographs have the power 1/f^2 (D. J. Field, 1987, 10.1364/JOSAA.4.002379), gradients of networks
by pixels have not: steps along them are mostly noise of high frequency. In amplitudes divided by
what a photograph has, a step changes all frequencies alike (C. Olah, A. Mordvintsev and
L. Schubert, Feature Visualization, 2017, 10.23915/distill.00007, on preconditioning).
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]

# In cycles a pixel. Below it all frequencies count alike.
LOWEST = 0.02


class Spectrum:
    """A change of coordinates from pixels x to amplitudes y: x = C^T (s * y).

    C is the orthonormal cosine transform of each colour; s falls with the frequency f as
    max(f, LOWEST)^-power and has the mean square 1.

    Args:
        shape: (height, width, colours) of the pixels.
        power: 1 is that of photographs, 0 keeps pixels.
    """

    def __init__(self, shape: tuple[int, ...], power: float) -> None:
        height, width = shape[:2]
        rows, columns = np.arange(height) / (2 * height), np.arange(width) / (2 * width)
        frequency = np.hypot(rows[:, np.newaxis], columns)
        scale = np.maximum(frequency, LOWEST) ** -power
        scale = scale / np.sqrt(np.mean(scale**2))
        self.power = power
        self._scale: Array = scale.astype("float32")[..., np.newaxis]

    def to_pixels(self, amplitudes: Array) -> Array:
        """(height, width, colours), float32, of the same shape."""
        if not self.power:
            return amplitudes
        return _transform(amplitudes * self._scale, inverse=True)

    def from_pixels(self, pixels: Array) -> Array:
        """The amplitudes of pixels, of the same shape."""
        return _transform(pixels) / self._scale if self.power else pixels

    def from_gradient(self, gradient: Array) -> Array:
        """The gradient by amplitudes, of that by pixels."""
        return _transform(gradient) * self._scale if self.power else gradient


def _transform(x: Array, *, inverse: bool = False) -> Array:
    from scipy.fft import dctn, idctn

    found: Array = (idctn if inverse else dctn)(x, axes=(0, 1), norm="ortho")
    return np.ascontiguousarray(found)
