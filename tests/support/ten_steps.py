"""Ten training steps of each model's network on one backend: run by test_backends.py.

KERAS_BACKEND=... python -m tests.support.ten_steps WEIGHTS_FOLDER

Weights that are not in the folder yet are written there; those that are, are taken from it. Prints
the losses of each network as JSON. Dropout and noise are off: they draw other numbers everywhere.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from regrow.models.air_quality.network import build_core
from regrow.models.air_quality.spec import WITHOUT_S2
from regrow.models.digit_localisation.boxes import BoxLoss
from regrow.models.digit_localisation.network import build_network
from regrow.models.digit_localisation.spec import DigitLocalisationConfig
from regrow.models.image_similarity.network import ContrastiveLoss, build_tower, build_twins
from regrow.models.image_similarity.spec import ImageSimilarityConfig
from regrow.models.question_answering.book import build_book
from regrow.models.question_answering.end_to_end_memory import EndToEndMemory
from regrow.models.question_answering.query_reduction import QueryReduction
from regrow.models.sentence_vectors.layers import WordTable
from regrow.models.sentence_vectors.losses import take_mean
from regrow.models.sentence_vectors.network import build_network as build_autoencoder
from regrow.models.sentence_vectors.spec import BookConfig, PositionalConfig
from regrow.models.stacked_autoencoder.network import Coder
from regrow.training.determinism import set_seed
from regrow.training.epochs import Epochs
from regrow.vision.backbones import build_backbone, cut

STEPS = 10
BATCH = 16


@dataclass(frozen=True)
class Trial:
    """A compiled network and the data of ten batches."""

    model: keras.Model
    x: Any
    y: Any


def air_quality(chance: np.random.Generator) -> Trial:
    model = build_core(13, WITHOUT_S2, book=False)
    model.compile(optimizer=keras.optimizers.Adam(0.003), loss="mse")
    return Trial(model, chance.normal(size=(160, 13)), chance.normal(size=(160, 1)))


def image_similarity(chance: np.random.Generator) -> Trial:
    model = build_twins(build_tower(ImageSimilarityConfig(filters=8, dropout=0)))
    model.compile(optimizer=keras.optimizers.Adam(0.002), loss=ContrastiveLoss(1.0))
    x = {name: chance.integers(0, 17, size=(160, 8, 8, 1)) for name in ("first", "second")}
    x = {name: pixels.astype("float32") for name, pixels in x.items()}
    return Trial(model, x, chance.integers(0, 2, size=(160, 1)).astype("float32"))


def digit_localisation(chance: np.random.Generator) -> Trial:
    model = build_network(DigitLocalisationConfig(filters=4, dropout=0))
    model.compile(
        optimizer=keras.optimizers.Adam(0.003),
        loss={"box": BoxLoss(), "digit": "sparse_categorical_crossentropy"},
        loss_weights={"box": 2.0, "digit": 1.0},
    )
    x = chance.integers(0, 256, size=(160, 32, 32, 1)).astype("uint8")
    corner = chance.uniform(0, 0.4, size=(160, 2))
    box = np.concatenate([corner, corner + 0.5], axis=1).astype("float32")
    return Trial(model, x, {"box": box, "digit": chance.integers(0, 10, size=160)})


def stacked_autoencoder(chance: np.random.Generator) -> Trial:
    model = Coder((32, 16, 8)).join(0.0)
    model.compile(optimizer=keras.optimizers.Adam(0.002), loss="mse")
    x = chance.uniform(size=(160, 64)).astype("float32")
    return Trial(model, x, x)


def question_answering(chance: np.random.Generator) -> Trial:
    """The three networks side by side, as one model with three outputs."""
    inputs = {
        "story": keras.Input((5, 4), dtype="int32", name="story"),
        "question": keras.Input((3,), dtype="int32", name="question"),
    }
    story, question = inputs["story"], inputs["question"]
    readers: dict[str, Any] = {
        "reduction": QueryReduction(12, 6, size=8, depth=2, gates="vector"),
        "memory": EndToEndMemory(12, [1, 0, 3, 0, 5, 0], size=8, time_noise=0.0),
    }
    outputs = {name: reader(story, question)[0] for name, reader in readers.items()}
    outputs["book"] = build_book(story, question, 12, 6, dropout=0.0)
    model = keras.Model(inputs, outputs)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Position encoding has gradients that are zero but for rounding, which Adam would blow up.
    model.compile(optimizer=keras.optimizers.SGD(0.5), loss=dict.fromkeys(outputs, loss))
    x = {
        "story": chance.integers(0, 13, size=(160, 5, 4)).astype("int32"),
        "question": chance.integers(1, 13, size=(160, 3)).astype("int32"),
    }
    return Trial(model, x, {name: chance.integers(0, 6, size=160) for name in outputs})


def paint(backbone: str, layers: list[str], chance: np.random.Generator) -> Trial:
    """Pixels as the weights of a dense layer, seen through a backbone."""
    network = cut(build_backbone(backbone, weights=None), layers)
    one = keras.Input((1,))
    scale = 1.0 if backbone == "mobilenet" else 100.0
    canvas = keras.layers.Dense(32 * 32 * 3, use_bias=False)(one)
    features = network(keras.layers.Rescaling(scale)(keras.layers.Reshape((32, 32, 3))(canvas)))
    means = [keras.layers.GlobalAveragePooling2D()(features[name]) for name in layers]
    model = keras.Model(one, keras.layers.Concatenate()(means) if len(means) > 1 else means[0])
    model.compile(optimizer=keras.optimizers.Adam(0.01), loss="mse")
    target = chance.uniform(size=(1, model.output.shape[-1])).astype("float32")
    return Trial(model, np.ones((160, 1), "float32"), np.repeat(target, 160, axis=0))


def deep_dream(chance: np.random.Generator) -> Trial:
    return paint("mobilenet", ["conv_pw_5_relu"], chance)


def style_transfer(chance: np.random.Generator) -> Trial:
    return paint("vgg16", ["block1_conv1", "block2_conv1"], chance)


def sentence_vectors(chance: np.random.Generator) -> Trial:
    """Both networks side by side, as one model."""
    matrix = chance.normal(size=(30, 6)).astype("float32")
    matrix[0] = 0
    rarity = chance.uniform(0.1, 1, size=30).astype("float32")
    inputs = {
        "ids": keras.Input((8,), dtype="int32", name="ids"),
        "context": keras.Input((3,), dtype="int32", name="context"),
    }
    outputs: dict[str, Any] = {}
    networks: dict[str, PositionalConfig | BookConfig] = {
        "positional": PositionalConfig(
            order_size=12,
            topic_size=8,
            theme_size=4,
            decoder_size=16,
            context_words=3,
            context_size=5,
        ),
        "book": BookConfig(latent=8),
    }
    for name, config in networks.items():
        words = WordTable([f"w{n}" for n in range(30)], [], length=8, size=6, name="words")
        model, _published = build_autoencoder(config, words, matrix, rarity, 5.0)
        of = model({key: inputs[key] for key in model.input})
        outputs |= {f"{name}_{key}": value for key, value in of.items()}
    model = keras.Model(inputs, outputs)
    # Where a word is twice in a batch, Keras's Adam gives other results on TensorFlow.
    model.compile(optimizer=keras.optimizers.SGD(0.001), loss=dict.fromkeys(outputs, take_mean))
    x = {
        "ids": chance.integers(0, 30, size=(160, 8)).astype("int32"),
        "context": chance.integers(0, 30, size=(160, 3)).astype("int32"),
    }
    return Trial(model, x, dict.fromkeys(outputs, np.zeros((160, 1), "float32")))


TRIALS: dict[str, Callable[[np.random.Generator], Trial]] = {
    "air-quality": air_quality,
    "image-similarity": image_similarity,
    "digit-localisation": digit_localisation,
    "stacked-autoencoder": stacked_autoencoder,
    "question-answering": question_answering,
    "deep-dream": deep_dream,
    "style-transfer": style_transfer,
    "sentence-vectors": sentence_vectors,
}


def run(name: str, folder: Path) -> list[float]:
    """The losses of ten steps, from the folder's weights if it has any of this network."""
    set_seed(0, deterministic=False)
    trial = TRIALS[name](np.random.default_rng(0))
    kept = folder / f"{name}.npz"
    if kept.is_file():
        with np.load(kept) as arrays:
            for n, variable in enumerate(trial.model.variables):
                variable.assign(arrays[f"arr_{n}"])
    else:
        np.savez(kept, *map(keras.ops.convert_to_numpy, trial.model.variables))
    epochs = Epochs(trial.model, [(trial.x, trial.y)], batch_size=BATCH)
    rows = np.arange(STEPS * BATCH, dtype=np.int32).reshape(STEPS, BATCH)
    return [epochs.train(batch)["loss"] for batch in rows]


if __name__ == "__main__":
    print(json.dumps({name: run(name, Path(sys.argv[1])) for name in TRIALS}))
