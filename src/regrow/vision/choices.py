"""What a person can choose of the models that make pictures; light, as specifications import it."""

from __future__ import annotations

from typing import Literal

BackboneName = Literal["mobilenet", "vgg16", "vgg19"]
Pooling = Literal["max", "average"]
Weights = Literal["imagenet", "random"]

# The largest `size` that may be asked for.
MAX_DREAM_SIZE = 8192
MAX_STYLE_SIZE = 4096


def weights_source(backbone: str) -> str:
    """The name in data/sources.toml of a backbone's weights."""
    return f"{backbone}-imagenet"
