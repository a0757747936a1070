"""The network of digit-localisation, and its training."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import keras

from regrow.layers import SpatialSoftmax
from regrow.models.digit_localisation.boxes import BoxLoss
from regrow.models.digit_localisation.data import SceneSplit, profile_scenes, read_scenes
from regrow.models.digit_localisation.scenes import CANVAS
from regrow.training.determinism import set_seed
from regrow.training.fit import falling_adam, fit
from regrow.training.plan import FitPlan
from regrow.training.seeds import describe_published, record_of, run_trainings
from regrow.vision.digits import CLASSES

if TYPE_CHECKING:
    from pathlib import Path

    from regrow.models.digit_localisation.spec import DigitLocalisationConfig
    from regrow.report.history import TrainingRecord
    from regrow.store.context import StageContext

EXAMPLE_SCENES = 5
# Keras's .99 needs more steps than an epoch has before validation says anything.
MOMENTUM = 0.9


def train(ctx: StageContext) -> dict[str, Any]:
    """Trains with every seed; publishes the one with the lowest loss on validation scenes."""
    config: DigitLocalisationConfig = ctx.config
    table = ctx.inputs["clean"].file("table.parquet")
    training, validation = read_scenes(table, "train"), read_scenes(table, "validation")
    facts = run_trainings(
        ctx,
        {
            f"scenes/seed-{seed}": partial(_train_one, ctx, seed, training, validation)
            for seed in range(config.seeds)
        },
    )
    describe_published(ctx, validation.pixels[:EXAMPLE_SCENES], profile_scenes(table))
    return {**facts, "training_scenes": len(training.labels)}


def _train_one(
    ctx: StageContext, seed: int, training: SceneSplit, validation: SceneSplit, kept: Path
) -> tuple[keras.Model, TrainingRecord]:
    config: DigitLocalisationConfig = ctx.config
    set_seed(seed, deterministic=config.deterministic)
    model = build_network(config)
    plan = FitPlan(config.epochs, config.batch_size, seed, deterministic=config.deterministic)
    model.compile(
        optimizer=falling_adam(config.learning_rate, len(training.labels), plan),
        loss={"box": BoxLoss(), "digit": "sparse_categorical_crossentropy"},
        loss_weights={"box": config.box_weight, "digit": 1.0},
        metrics={"digit": "accuracy"},
    )
    result = fit(
        model,
        training.pixels,
        {"box": training.boxes, "digit": training.labels},
        plan=plan,
        validation=(validation.pixels, {"box": validation.boxes, "digit": validation.labels}),
        checkpoint=kept,
        on_epoch=lambda done, _values: ctx.progress(f"seed {seed}", done, config.epochs),
    )
    return model, record_of(result)


def build_network(config: DigitLocalisationConfig) -> keras.Model:
    """Scenes (batch, 32, 32, 1), 255 is ink, to the digit and its box.

    Returns:
        A model with the outputs `digit`, (batch, 10), probabilities, and `box`, (batch, 4): left,
        top, right, bottom in shares of the canvas. The box is read off two maps, one for each
        corner; the digit is named from the brightest answer to each feature, wherever it is.
    """
    scene = keras.Input((CANVAS, CANVAS, 1), name="scene")
    x = _convolve(keras.layers.Rescaling(1 / 255)(scene), config.filters)
    half = _convolve(keras.layers.MaxPooling2D()(x), 2 * config.filters)
    quarter = keras.layers.MaxPooling2D()(half)
    for _ in range(2):
        quarter = _convolve(quarter, 4 * config.filters)

    around = keras.layers.UpSampling2D()(_convolve(quarter, 2 * config.filters))
    edges = _convolve(keras.layers.Concatenate()([half, around]), 2 * config.filters)
    corners = keras.layers.Conv2D(2, 3, padding="same")(edges)
    box = SpatialSoftmax(name="box")(corners)

    features = _convolve(keras.layers.MaxPooling2D()(quarter), 8 * config.filters)
    features = keras.layers.Dropout(config.dropout)(keras.layers.GlobalMaxPooling2D()(features))
    features = keras.layers.Dense(8 * config.filters, activation="relu")(features)
    features = keras.layers.Dropout(config.dropout)(features)
    digit = keras.layers.Dense(CLASSES, activation="softmax", name="digit")(features)
    return keras.Model(scene, {"box": box, "digit": digit}, name="digit_localisation")


def _convolve(x: Any, filters: int) -> Any:
    x = keras.layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    return keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=MOMENTUM)(x))
