"""The autoencoder of stacked-autoencoder, and its training layer by layer.

P. Vincent and others, Stacked denoising autoencoders, Journal of Machine Learning Research 11
(2010); Y. Bengio and others, Greedy layer-wise training of deep networks (2006).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from regrow.training.determinism import set_seed
from regrow.training.fit import FitResult, falling_adam, fit
from regrow.training.inference import answer
from regrow.training.plan import FitPlan
from regrow.training.seeds import describe_published, record_of, run_trainings
from regrow.vision.digits import INK_MAX, SIDE, Array, Digits, profile_digits, read_digits

if TYPE_CHECKING:
    from pathlib import Path

    from regrow.models.stacked_autoencoder.spec import StackedAutoencoderConfig
    from regrow.report.history import TrainingRecord
    from regrow.store.context import StageContext

# The first is the one that is published.
WAYS = ("layer-by-layer", "whole")
PIXELS = SIDE * SIDE
EXAMPLE_DIGITS = 5


def train(ctx: StageContext) -> dict[str, Any]:
    """Trains both ways with every seed; publishes the best that was trained layer by layer."""
    config: StackedAutoencoderConfig = ctx.config
    table = ctx.inputs["clean"].file("table.parquet")
    training, validation = read_digits(table, "train"), read_digits(table, "validation")
    facts = run_trainings(
        ctx,
        {
            f"{way}/seed-{seed}": partial(_train_one, ctx, way, seed, training, validation)
            for way in WAYS
            for seed in range(config.seeds)
        },
    )
    describe_published(ctx, validation.pixels[:EXAMPLE_DIGITS], profile_digits(table))
    return {**facts, "training_digits": len(training)}


def _train_one(
    ctx: StageContext, way: str, seed: int, training: Digits, validation: Digits, kept: Path
) -> tuple[keras.Model, TrainingRecord]:
    """One training: a phase for each layer and one for all, or as many epochs for all at once."""
    config: StackedAutoencoderConfig = ctx.config
    set_seed(seed, deterministic=config.deterministic)
    coder = Coder(config.widths)
    x, held_out = scale(training), scale(validation)
    phases: dict[str, FitResult] = {}

    def run(name: str, model: keras.Model, data: Array, later: Array, epochs: int) -> None:
        phases[name] = _fit(
            model,
            data,
            later,
            config,
            FitPlan(epochs, config.batch_size, seed, deterministic=config.deterministic),
            kept / name,
            lambda done, _values: ctx.progress(f"{way}/seed-{seed} {name}", done, epochs),
        )

    tuning = config.tuning_epochs
    if way == "whole":
        tuning += config.layer_epochs * len(config.widths)
    else:
        below, below_later = x, held_out
        for n in range(len(config.widths)):
            spread = config.noise * float(below.std())
            run(f"layer-{n + 1}", coder.wrap(n, spread), below, below_later, config.layer_epochs)
            encode = coder.encode_one(n)
            below, below_later = answer(encode, below), answer(encode, below_later)
    run("together", coder.join(config.noise * float(x.std())), x, held_out, tuning)
    curves = {name: result.curves for name, result in phases.items()}
    return coder.to_model(), record_of(phases["together"], phases, phases=curves)


class Coder:
    """The dense layers of an autoencoder, and the models that share them.

    Attributes:
        encoders: the layers up to the code; all but the last are rectified.
        decoders: `decoders[n]` undoes `encoders[n]`; all but the last step are rectified.
    """

    def __init__(self, widths: tuple[int, ...]) -> None:
        self.inputs = (PIXELS, *widths[:-1])
        last = len(widths) - 1
        self.encoders = [
            keras.layers.Dense(width, activation=None if n == last else "relu", name=f"encode_{n}")
            for n, width in enumerate(widths)
        ]
        self.decoders = [
            keras.layers.Dense(width, activation="relu" if n else None, name=f"decode_{n}")
            for n, width in enumerate(self.inputs)
        ]

    def wrap(self, n: int, noise: float) -> keras.Model:
        """One layer between its input, made noisy in training, and the layer that undoes it."""
        x = keras.Input((self.inputs[n],))
        code = self.encoders[n](keras.layers.GaussianNoise(noise)(x))
        return keras.Model(x, self.decoders[n](code), name=f"layer_{n}")

    def encode_one(self, n: int) -> keras.Model:
        """The layer alone: the next one's input."""
        x = keras.Input((self.inputs[n],))
        return keras.Model(x, self.encoders[n](x))

    def join(self, noise: float) -> keras.Model:
        """All layers: pixels (batch, 64), ink 0 to 1, made noisy in training, and back."""
        x = keras.Input((PIXELS,))
        return keras.Model(x, self._decode(self._encode(keras.layers.GaussianNoise(noise)(x))))

    def to_model(self) -> keras.Model:
        """Pictures (batch, 8, 8, 1), ink 0 to 16, to their code and their reconstruction."""
        picture = keras.Input((SIDE, SIDE, 1))
        flat = keras.layers.Reshape((PIXELS,))(keras.layers.Rescaling(1 / INK_MAX)(picture))
        code = self._encode(flat)
        restored = keras.layers.Reshape((SIDE, SIDE, 1))(self._decode(code))
        outputs = {"code": code, "reconstruction": keras.layers.Rescaling(INK_MAX)(restored)}
        return keras.Model(picture, outputs, name="stacked_autoencoder")

    def _encode(self, x: Any) -> Any:
        for layer in self.encoders:
            x = layer(x)
        return x

    def _decode(self, code: Any) -> Any:
        for layer in reversed(self.decoders):
            code = layer(code)
        return code


def scale(digits: Digits) -> np.ndarray[Any, Any]:
    """Pixels (digits, 64), float32, ink from 0 to 1."""
    return digits.pixels.reshape(len(digits), PIXELS) / np.float32(INK_MAX)


def _fit(
    model: keras.Model,
    data: Array,
    later: Array,
    config: StackedAutoencoderConfig,
    plan: FitPlan,
    checkpoint: Path,
    on_epoch: Any,
) -> FitResult:
    model.compile(optimizer=falling_adam(config.learning_rate, len(data), plan), loss="mse")
    return fit(
        model,
        data,
        data,
        plan=plan,
        validation=(later, later),
        checkpoint=checkpoint,
        on_epoch=on_epoch,
    )
