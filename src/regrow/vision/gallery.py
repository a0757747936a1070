"""Pictures as a Keras model: its weights are the pixels that training optimised."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from regrow.vision.decoding import Array


@keras.saving.register_keras_serializable(package="regrow")
class Gallery(keras.layers.Layer):  # type: ignore[misc]
    """Numbers of pictures, (batch,) int32, to the pictures, (batch, height, width, 3) uint8.

    Smaller pictures have black at the right and below.

    Args:
        labels: a JSON object for each picture: what it was made from.
        sizes: the height and width of each.
    """

    def __init__(
        self, labels: Sequence[dict[str, Any]], sizes: Sequence[Sequence[int]], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.labels = [dict(label) for label in labels]
        self.sizes = [tuple(int(side) for side in size) for size in sizes]

    def build(self, _input_shape: Any) -> None:
        """Makes room for the pixels."""
        height, width = (max(size[axis] for size in self.sizes) for axis in (0, 1))
        self.pixels = self.add_weight(
            shape=(len(self.sizes), height, width, 3),
            dtype="uint8",
            initializer="zeros",
            trainable=False,
            name="pixels",
        )

    def call(self, numbers: Any) -> Any:
        """The pictures."""
        return ops.take(ops.convert_to_tensor(self.pixels), numbers, axis=0)

    def compute_output_spec(self, numbers: Any) -> Any:
        """Pictures in the size of the largest."""
        return keras.KerasTensor((*numbers.shape, *self.pixels.shape[1:]), dtype="uint8")

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "labels": self.labels, "sizes": self.sizes}


def build_gallery(pictures: Sequence[tuple[dict[str, Any], Array]]) -> keras.Model:
    """A model that holds pictures (height, width, 3), uint8, each with its label."""
    layer = Gallery(
        [label for label, _pixels in pictures],
        [pixels.shape[:2] for _label, pixels in pictures],
        name="gallery",
    )
    numbers = keras.Input((), dtype="int32", name="number")
    layer.build(numbers.shape)
    model = keras.Model(numbers, layer(numbers))
    stack = np.zeros(tuple(layer.pixels.shape), "uint8")
    for n, (_label, pixels) in enumerate(pictures):
        stack[n, : pixels.shape[0], : pixels.shape[1]] = pixels
    layer.pixels.assign(stack)
    return model


def open_gallery(model: keras.Model) -> list[tuple[dict[str, Any], Array]]:
    """The labels and the pictures of a gallery, in order."""
    layer = model.get_layer("gallery")
    stack = ops.convert_to_numpy(layer.pixels)
    return [
        (dict(label), stack[n, :height, :width])
        for n, (label, (height, width)) in enumerate(zip(layer.labels, layer.sizes, strict=True))
    ]


def save_gallery(pictures: Sequence[tuple[dict[str, Any], Array]], out: Path) -> keras.Model:
    """Writes `model.keras` and `example.npz` of a train stage."""
    from regrow.training.inference import save_example
    from regrow.training.saving import save_model

    model = build_gallery(pictures)
    save_model(model, out / "model.keras")
    save_example(out / "example.npz", model, np.arange(len(pictures), dtype="int32"))
    return model
