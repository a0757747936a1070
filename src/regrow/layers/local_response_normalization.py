"""Local response normalisation, within channels and across them."""

from __future__ import annotations

from typing import Any, Literal, Self

import keras
from keras import ops

from regrow.layers.precision import widen

MODES = ("within_channel", "across_channels")
# The defaults of other implementations, for the same result here. PyTorch has no default size: 5 is
# that of AlexNet. TensorFlow's are depth_radius 5, alpha 1, which is a sum, bias 1, beta .5.
PRESETS: dict[str, dict[str, Any]] = {
    "caffe": {"mode": "across_channels", "size": 5, "alpha": 1.0, "beta": 0.75, "k": 1.0},
    "pytorch": {"mode": "across_channels", "size": 5, "alpha": 1e-4, "beta": 0.75, "k": 1.0},
    "tensorflow": {"mode": "across_channels", "size": 11, "alpha": 11.0, "beta": 0.5, "k": 1.0},
    "chapter": {"mode": "within_channel", "size": 5, "alpha": 5e-4, "beta": 0.75, "k": 2.0},
}


@keras.saving.register_keras_serializable(package="regrow")
class LocalResponseNormalization(keras.layers.Layer):  # type: ignore[misc]
    """Divides each value by a power of the energy around it.

    within a channel, over a window of `size` x `size` pixels:

        y = x / (k + alpha / size^2 * sum(x^2)) ^ beta

    across channels, over `size` neighbouring channels of the same pixel:

        y = x / (k + alpha / size * sum(x^2)) ^ beta

    Beyond the border there are zeros, and they count: the divisor is `size^2` or `size` everywhere,
    as in Caffe and PyTorch. (An average pooling with padding "same" leaves them out in TensorFlow,
    and is wrong at the borders.) A window of even size reaches one farther back than ahead, as in
    PyTorch. In half precision it is computed in float32, as squares soon overflow.

    A. Krizhevsky, I. Sutskever and G. Hinton, ImageNet classification with deep convolutional
    neural networks (2012), section 3.3, across channels; Y. Jia and others, Caffe (2014), both.

    What `alpha` is elsewhere, for the same result as with our `alpha` (k is `bias` in TensorFlow):

    | where                                 | window              | their alpha       |
    | ------------------------------------- | ------------------- | ----------------- |
    | Caffe, ACROSS_CHANNELS                | local_size          | alpha             |
    | Caffe, WITHIN_CHANNEL                 | local_size squared  | alpha (and k = 1) |
    | PyTorch, LocalResponseNorm            | size                | alpha             |
    | TensorFlow, local_response_normalization | 2 depth_radius + 1 | alpha / size   |
    | Krizhevsky and others                 | n                   | alpha / size      |

    Args:
        mode: "within_channel" or "across_channels".
        size: the window's length in pixels or channels.
        alpha: the weight of the energy.
        beta: the exponent.
        k: what is added to the energy.
        data_format: "channels_last" or "channels_first"; by default Keras's own setting.

    Call shape: (batch, height, width, channels) or (batch, channels, height, width), unchanged; the
    output has the layer's dtype, for whole numbers as well.

    >>> layer = LocalResponseNormalization("across_channels", size=3, alpha=3.0, beta=1.0)
    >>> [round(float(y), 4) for y in layer(keras.ops.ones((1, 1, 1, 3)))[0, 0, 0]]
    [0.3333, 0.25, 0.3333]
    """

    def __init__(
        self,
        mode: Literal["within_channel", "across_channels"] = "within_channel",
        size: int = 5,
        alpha: float = 1e-4,
        beta: float = 0.75,
        k: float = 1.0,
        data_format: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if mode not in MODES:
            raise ValueError(f"mode must be one of {', '.join(MODES)}; received {mode!r}")
        if not isinstance(size, int) or size < 1:
            raise ValueError(f"size must be an integer of at least 1; received {size!r}")
        if k <= 0 or alpha < 0:
            raise ValueError(
                f"k must be positive and alpha must not be negative, to avoid division by zero; "
                f"received k={k}, alpha={alpha}"
            )
        self.mode, self.size, self.alpha, self.beta, self.k = mode, size, alpha, beta, k
        self.data_format = keras.config.image_data_format() if data_format is None else data_format
        if self.data_format not in ("channels_last", "channels_first"):
            raise ValueError(
                f"data_format must be channels_last or channels_first; received {data_format!r}"
            )
        self.input_spec = keras.InputSpec(ndim=4)

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Self:
        """The layer with the default settings of another implementation.

        Args:
            name: "caffe", "pytorch", "tensorflow", or "chapter" for the book's layer.
            changes: arguments of the layer that differ from the preset.

        Raises:
            ValueError: there is no such preset.
        """
        if name not in PRESETS:
            raise ValueError(f"the presets are {', '.join(PRESETS)}; received {name!r}")
        return cls(**{**PRESETS[name], **changes})

    def call(self, inputs: Any) -> Any:
        """The normalised values, in the shape of `inputs` and the layer's dtype."""
        x = ops.cast(inputs, widen(self.compute_dtype))
        channels, *pixels = (3, 1, 2) if self.data_format == "channels_last" else (1, 2, 3)
        axes = pixels if self.mode == "within_channel" else [channels]
        energy = ops.square(x)
        for axis in axes:
            energy = self._sum_window(energy, axis)
        divisor = ops.power(self.k + self.alpha / self.size ** len(axes) * energy, self.beta)
        return ops.cast(x / divisor, self.compute_dtype)

    def _sum_window(self, x: Any, axis: int) -> Any:
        """Sums over a window along one axis, zeros beyond its ends: same shape."""
        length = x.shape[axis] if x.shape[axis] is not None else ops.shape(x)[axis]
        padding = [(0, 0)] * 4
        padding[axis] = (self.size // 2, (self.size - 1) // 2)
        padded = ops.pad(x, padding)
        before = (slice(None),) * axis
        total = padded[(*before, slice(0, length))]
        for start in range(1, self.size):
            total = total + padded[(*before, slice(start, start + length))]
        return total

    def compute_output_shape(self, input_shape: Any) -> Any:
        """The input's shape."""
        return input_shape

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        names = ("mode", "size", "alpha", "beta", "k", "data_format")
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
