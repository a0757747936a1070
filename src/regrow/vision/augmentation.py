"""More training pictures: copies that are turned, sheared, scaled and shifted a little."""

from __future__ import annotations

import numpy as np

from regrow.vision.digits import Array, Digits

TURN_RAD = 0.2
SHEAR = 0.2
SCALE = 0.1
SHIFT_PIXELS = 0.7


def augment(digits: Digits, copies: int, seed: int) -> Digits:
    """The digits, and so many altered copies of each; labels and ids stay with their pictures."""
    chance = np.random.default_rng([seed, copies])
    altered = [alter(picture, chance) for _ in range(copies) for picture in digits.pixels[..., 0]]
    pixels = np.reshape(altered, (-1, *digits.pixels.shape[1:])) if copies else digits.pixels[:0]
    return Digits(
        np.tile(digits.digit_id, copies + 1),
        np.concatenate([digits.pixels, pixels.astype("float32")]),
        np.tile(digits.labels, copies + 1),
    )


def alter(picture: Array, chance: np.random.Generator) -> Array:
    """One altered copy of a picture (height, width)."""
    from scipy import ndimage

    turn = chance.uniform(-TURN_RAD, TURN_RAD)
    shear = chance.uniform(-SHEAR, SHEAR)
    scale = chance.uniform(1 - SCALE, 1 + SCALE)
    matrix = np.array([[np.cos(turn), shear - np.sin(turn)], [np.sin(turn), np.cos(turn)]]) / scale
    centre = (np.array(picture.shape) - 1) / 2
    shift = chance.uniform(-SHIFT_PIXELS, SHIFT_PIXELS, size=2)
    changed: Array = ndimage.affine_transform(
        picture, matrix, offset=centre - matrix @ centre + shift, order=1
    )
    return changed
