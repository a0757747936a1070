"""The Siamese network of image-similarity, and its training.

J. Bromley and others, Signature verification using a "Siamese" time delay neural network (1993);
R. Hadsell, S. Chopra and Y. LeCun, Dimensionality reduction by learning an invariant mapping
(2006).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from regrow.layers import EuclideanDistance
from regrow.models.image_similarity.pairs import Pairs, make_pairs
from regrow.models.image_similarity.threshold import choose_threshold
from regrow.training.determinism import set_seed
from regrow.training.fit import falling_adam, fit
from regrow.training.inference import answer
from regrow.training.plan import FitPlan
from regrow.training.seeds import describe_published, record_of, run_trainings
from regrow.vision.augmentation import augment
from regrow.vision.digits import INK_MAX, SIDE, Digits, profile_digits, read_digits

if TYPE_CHECKING:
    from pathlib import Path

    from regrow.models.image_similarity.spec import ImageSimilarityConfig
    from regrow.report.history import TrainingRecord
    from regrow.store.context import StageContext

VALIDATION_PAIRS = 10_000
# The same pairs for every seed, so that seeds can be compared.
VALIDATION_SEED = 1
EXAMPLE_PAIRS = 5


def train(ctx: StageContext) -> dict[str, Any]:
    """Trains with every seed; publishes the one with the lowest loss on validation pairs."""
    config: ImageSimilarityConfig = ctx.config
    table = ctx.inputs["clean"].file("table.parquet")
    training, validation = read_digits(table, "train"), read_digits(table, "validation")
    facts = run_trainings(
        ctx,
        {
            f"siamese/seed-{seed}": partial(_train_one, ctx, seed, training, validation)
            for seed in range(config.seeds)
        },
    )
    examples = make_pairs(validation, EXAMPLE_PAIRS, VALIDATION_SEED).take(validation.pixels)
    describe_published(ctx, examples, profile_digits(table))
    return {**facts, "training_digits": len(training)}


def _train_one(
    ctx: StageContext, seed: int, training: Digits, validation: Digits, kept: Path
) -> tuple[keras.Model, TrainingRecord]:
    config: ImageSimilarityConfig = ctx.config
    set_seed(seed, deterministic=config.deterministic)
    more = augment(training, config.copies, seed)
    pairs = make_pairs(more, config.pairs, seed)
    held_out = make_pairs(validation, VALIDATION_PAIRS, VALIDATION_SEED)
    tower = build_tower(config)
    twins = build_twins(tower)
    plan = FitPlan(config.epochs, config.batch_size, seed, deterministic=config.deterministic)
    optimizer = falling_adam(config.learning_rate, len(pairs), plan)
    twins.compile(optimizer=optimizer, loss=ContrastiveLoss(config.margin))
    result = fit(
        twins,
        pairs.take(more.pixels),
        pairs.same,
        plan=plan,
        validation=(held_out.take(validation.pixels), held_out.same),
        checkpoint=kept,
        on_epoch=lambda done, _values: ctx.progress(f"seed {seed}", done, config.epochs),
    )
    model, threshold = _finish(twins, held_out, validation)
    return model, record_of(result, threshold=threshold)


def build_tower(config: ImageSimilarityConfig) -> keras.Model:
    """The network that both twins are: pictures (batch, 8, 8, 1) to vectors (batch, embedding)."""
    x = picture = keras.Input((SIDE, SIDE, 1))
    x = keras.layers.Rescaling(1 / INK_MAX)(x)
    for filters in (config.filters, 2 * config.filters):
        x = keras.layers.Conv2D(filters, 3, padding="same", activation="relu")(x)
    x = keras.layers.MaxPooling2D()(x)
    x = keras.layers.Conv2D(2 * config.filters, 3, padding="same", activation="relu")(x)
    x = keras.layers.Dropout(config.dropout)(keras.layers.Flatten()(x))
    x = keras.layers.Dense(4 * config.filters, activation="relu")(x)
    return keras.Model(picture, keras.layers.Dense(config.embedding_size)(x), name="tower")


def build_twins(tower: keras.Model) -> keras.Model:
    """Two pictures to the distance of their vectors, (batch, 1); the tower's weights are shared."""
    pictures = {name: keras.Input((SIDE, SIDE, 1), name=name) for name in ("first", "second")}
    vectors = [tower(picture) for picture in pictures.values()]
    return keras.Model(pictures, EuclideanDistance(name="distance")(vectors), name="twins")


@keras.saving.register_keras_serializable(package="regrow")
class ContrastiveLoss(keras.losses.Loss):  # type: ignore[misc]
    """The contrastive loss of Hadsell, Chopra and LeCun (2006), equation 4.

    `L = (Y d^2 + (1 - Y) max(0, margin - d)^2) / 2`, with Y = 1 for a pair that belongs together
    (the paper has it the other way round) and d the distance, both (batch, 1).
    """

    def __init__(self, margin: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.margin = margin

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """The loss of each pair, (batch,)."""
        apart = ops.square(ops.maximum(self.margin - y_pred, 0.0))
        return ops.mean(y_true * ops.square(y_pred) + (1 - y_true) * apart, axis=-1) / 2

    def get_config(self) -> dict[str, Any]:
        """The arguments."""
        return {**super().get_config(), "margin": self.margin}


def _finish(
    twins: keras.Model, pairs: Pairs, validation: Digits
) -> tuple[keras.Model, dict[str, float]]:
    """The published model: beside the distance a similarity from 0 to 1, one half at the threshold.

    Threshold and slope are fitted on validation pairs and become part of the model.
    """
    distance = answer(twins, pairs.take(validation.pixels))
    threshold, slope = choose_threshold(distance[:, 0], pairs.same[:, 0])
    scaled = keras.layers.Rescaling(-slope, slope * threshold)(twins.output)
    similarity = keras.layers.Activation("sigmoid", name="similarity")(scaled)
    outputs = {"distance": twins.output, "similarity": similarity}
    model = keras.Model(twins.input, outputs, name="image_similarity")
    return model, {"distance": threshold, "slope": slope}


def embed(model: keras.Model, pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The vectors of pictures (pictures, 8, 8, 1): (pictures, embedding), float32."""
    vectors: np.ndarray[Any, Any] = answer(model.get_layer("tower"), pixels)
    return vectors
