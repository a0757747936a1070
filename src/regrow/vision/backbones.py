"""Backbones: convolutional networks that look at pictures, cut after the layers that are asked for.

K. Simonyan and A. Zisserman, Very deep convolutional networks for large-scale image recognition
(arXiv:1409.1556); A. G. Howard and others, MobileNets (arXiv:1704.04861). Built by
`keras.applications`, whose own downloads are never used.
"""

from __future__ import annotations

import difflib
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from keras import ops

from regrow.base.errors import DataError, UserError
from regrow.vision.choices import Pooling

Array = np.ndarray[Any, np.dtype[Any]]

# The means of ImageNet's blue, green and red channels, which VGG's authors took off.
CAFFE_MEANS = np.array([103.939, 116.779, 123.68], "float32")


@dataclass(frozen=True)
class Backbone:
    """What is to be known of a backbone.

    Attributes:
        build: the name of its builder in `keras.applications`.
        options: further arguments of the builder.
        units: what its input is: "caffe" (blue, green, red with their means taken off) or "tf"
            (red, green, blue from -1 to 1).
    """

    build: str
    options: Mapping[str, Any]
    units: Literal["caffe", "tf"]


BACKBONES: Mapping[str, Backbone] = {
    "mobilenet": Backbone("MobileNet", {"alpha": 0.25}, "tf"),
    "vgg16": Backbone("VGG16", {}, "caffe"),
    "vgg19": Backbone("VGG19", {}, "caffe"),
}


def preprocess(name: str, pixels: Any) -> Any:
    """Pixels (..., 3), red, green and blue from 0 to 255, in the units of a backbone's input."""
    if BACKBONES[name].units == "tf":
        return pixels / 127.5 - 1.0
    return ops.flip(pixels, axis=-1) - ops.cast(CAFFE_MEANS, pixels.dtype)


def deprocess(name: str, units: Any) -> Any:
    """The inverse of `preprocess`: a backbone's input (..., 3) as pixels from 0 to 255."""
    if BACKBONES[name].units == "tf":
        return (units + 1.0) * 127.5
    return ops.flip(units + ops.cast(CAFFE_MEANS, units.dtype), axis=-1)


def build_backbone(
    name: str, *, weights: Path | None, seed: int = 0, pooling: Pooling = "max"
) -> keras.Model:
    """A backbone without its head: (batch, height, width, 3) of any size, in its own units.

    Args:
        name: "mobilenet" (version 1, width 0.25), "vgg16" or "vgg19".
        weights: an HDF5 file of Keras; None draws seeded random weights, which is to be asked for.
        seed: of random weights: the same on every backend.
        pooling: what VGG's poolings take of each 2 x 2 pixels; MobileNet has none.

    Raises:
        DataError: the file is cut short, or of another architecture.
        UserError: there is nothing to pool.
    """
    backbone = BACKBONES[name]
    build = getattr(keras.applications, backbone.build)
    model = build(input_shape=(None, None, 3), include_top=False, weights=None, **backbone.options)
    if pooling == "average":
        model = _pool_by_average(model, name)
    if weights is None:
        _draw_weights(model, seed)
    else:
        load_weights(model, weights, name)
    model.trainable = False
    return model


def load_weights(model: keras.Model, path: Path, name: str) -> None:
    """Loads an HDF5 file of Keras 3 or of an earlier version.

    Raises:
        DataError: the file is cut short, no HDF5, or of another architecture.
    """
    import h5py

    # Keras leaves a layer that the file lacks as it is and only warns: this makes it visible.
    model.set_weights([np.full(w.shape, np.nan, "float32") for w in model.weights])
    try:
        with h5py.File(path) as file:
            old = "layer_names" in file.attrs or "model_weights" in file
        suffix = ".h5" if old else ".weights.h5"
        with tempfile.TemporaryDirectory() as folder:
            # Keras tells the two formats apart by the name alone.
            link = Path(folder) / f"weights{suffix}"
            link.symlink_to(path.resolve())
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                model.load_weights(link)
    except (OSError, ValueError, KeyError, TypeError) as error:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        raise _refuse(path, name, first[:200]) from error
    lacking = [w.path for w in model.weights if not np.isfinite(ops.convert_to_numpy(w)).all()]
    if lacking:
        raise _refuse(path, name, f"no weights for {', '.join(lacking[:3])}")


def cut(model: keras.Model, layers: Sequence[str]) -> keras.Model:
    """The part of a backbone that leads to the given layers: pixels to features, by layer name.

    Nothing behind the last of them is computed.

    Raises:
        UserError: there is no such layer.
    """
    outputs = {name: find_layer(model, name).output for name in layers}
    return keras.Model(model.inputs[0], outputs)


def find_layer(model: keras.Model, name: str) -> keras.layers.Layer:
    """A layer by its name.

    Raises:
        UserError: there is none.
    """
    names = [layer.name for layer in model.layers[1:]]
    if name not in names:
        near = difflib.get_close_matches(name, names, n=3)
        raise UserError(
            f"the backbone has no layer {name!r}",
            received=name,
            expected=f"for example {', '.join(near or names[-3:])}",
            remedies=["regrow dream --layers --backbone NAME lists all layers of a backbone"],
        )
    return model.get_layer(name)


def check_channel(model: keras.Model, layer: str, channel: int) -> None:
    """Makes sure that a layer has a channel.

    Raises:
        UserError: there is no such layer or channel.
    """
    channels = int(find_layer(model, layer).output.shape[-1])
    if not 0 <= channel < channels:
        raise UserError(
            f"layer {layer} has no channel {channel}",
            received=str(channel),
            expected=f"0 to {channels - 1}",
            remedies=["regrow dream --layers lists the layers and their channels"],
        )


def list_layers(model: keras.Model, side: int = 224) -> list[dict[str, Any]]:
    """Every layer with its kind, its weights, and its size for a picture of `side` x `side`."""
    shapes = [
        layer.output.shape
        for layer in keras.models.clone_model(
            model, input_tensors=keras.Input((side, side, 3))
        ).layers[1:]
    ]
    return [
        {
            "layer": layer.name,
            "kind": type(layer).__name__,
            "height": shape[1],
            "width": shape[2],
            "channels": shape[3],
            "weights": layer.count_params(),
        }
        for layer, shape in zip(model.layers[1:], shapes, strict=True)
    ]


def _draw_weights(model: keras.Model, seed: int) -> None:
    """He's initialisation (arXiv:1502.01852): activations keep their size through all layers."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)):
            kernel, *rest = layer.get_weights()
            depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            inputs = np.prod(kernel.shape[: 2 if depthwise else 3])
            drawn = rng.normal(scale=np.sqrt(2 / inputs), size=kernel.shape).astype("float32")
            layer.set_weights([drawn, *(np.zeros_like(bias) for bias in rest)])


def _pool_by_average(model: keras.Model, name: str) -> keras.Model:
    if not any(isinstance(layer, keras.layers.MaxPooling2D) for layer in model.layers):
        raise UserError(
            f"{name} has no pooling layers that could be averaged",
            where="pooling",
            received="average",
            expected="max, or one of the backbones vgg16 and vgg19",
        )

    def swap(layer: keras.layers.Layer) -> keras.layers.Layer:
        if isinstance(layer, keras.layers.MaxPooling2D):
            return keras.layers.AveragePooling2D(2, strides=2, name=layer.name)
        return layer.__class__.from_config(layer.get_config())

    return keras.models.clone_model(model, clone_function=swap)


def _refuse(path: Path, name: str, received: str) -> DataError:
    return DataError(
        f"the file does not contain weights of {name}",
        where=str(path),
        received=received,
        expected=f"a complete HDF5 file written by Keras for {name} without its head",
        remedies=[
            "check whether the file is for another backbone or incomplete, and download it again",
            "use seeded random weights: --set weights=random, or --weights random",
        ],
    )
