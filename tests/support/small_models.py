"""A small, untrained model of each kind that is shipped, as it is published, with inputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from regrow.base.project import get_spec
from regrow.models.air_quality.network import build_core, build_ends
from regrow.models.air_quality.spec import WITHOUT_S2
from regrow.models.air_quality.table import Rows
from regrow.models.digit_localisation.network import build_network as build_locator
from regrow.models.digit_localisation.spec import DigitLocalisationConfig
from regrow.models.image_similarity.network import build_tower, build_twins
from regrow.models.image_similarity.spec import ImageSimilarityConfig
from regrow.models.question_answering.network import build_network as build_reader
from regrow.models.question_answering.spec import QueryReductionConfig
from regrow.models.question_answering.vocabulary import Sizes, StoryVocabulary
from regrow.models.sentence_vectors.layers import WordTable
from regrow.models.sentence_vectors.network import build_network as build_autoencoder
from regrow.models.sentence_vectors.spec import PositionalConfig
from regrow.models.stacked_autoencoder.network import Coder
from regrow.registry.release import Release
from regrow.registry.serving import list_requirements
from regrow.training.determinism import set_seed
from regrow.training.inference import save_example
from regrow.training.saving import save_model
from regrow.vision.gallery import build_gallery

Chance = np.random.Generator
WORDS = ["went", "john", "kitchen", "mary", "the", "to", "where", "is", "garden"]


def air_quality(chance: Chance) -> tuple[keras.Model, Any]:
    times = np.datetime64("2004-03-10T18") + np.arange(50).astype("timedelta64[h]")
    x = chance.uniform(1, 500, (50, 14)).astype("float32")
    x[:, 12], x[:, 13] = np.arange(50) % 24, np.arange(50) % 7
    rows = Rows(times, x, chance.uniform(1, 30, (50, 1)).astype("float32"))
    prepare, finish = build_ends(rows, WITHOUT_S2, book=False)
    core = build_core(prepare.output.shape[-1], WITHOUT_S2, book=False)
    raw = keras.Input((14,), name="readings")
    return keras.Model(raw, finish(core(prepare(raw)))), x[:5]


def image_similarity(chance: Chance) -> tuple[keras.Model, Any]:
    twins = build_twins(build_tower(ImageSimilarityConfig(filters=4)))
    similarity = keras.layers.Dense(1, activation="sigmoid", name="similarity")(twins.output)
    model = keras.Model(twins.input, {"distance": twins.output, "similarity": similarity})
    return model, {name: _draw_digits(chance) for name in ("first", "second")}


def stacked_autoencoder(chance: Chance) -> tuple[keras.Model, Any]:
    return Coder((16, 8)).to_model(), _draw_digits(chance)


def digit_localisation(chance: Chance) -> tuple[keras.Model, Any]:
    scenes = chance.integers(0, 256, (4, 32, 32, 1)) * (chance.random((4, 32, 32, 1)) > 0.7)
    scenes[:, 0] = scenes[:, -1] = 0
    return build_locator(DigitLocalisationConfig(filters=4)), scenes.astype("uint8")


def question_answering(chance: Chance) -> tuple[keras.Model, Any]:
    vocabulary = StoryVocabulary(WORDS, ["kitchen", "garden"], [1], name="vocabulary")
    config = QueryReductionConfig(size=8, depth=2)
    _trained, published = build_reader(config, vocabulary, Sizes(4, 5, 3))
    story = np.zeros((3, 4, 5), "int32")
    story[:, 2:] = chance.integers(1, len(WORDS) + 1, (3, 2, 5))
    return published, {"story": story, "question": np.array([[7, 8, 4], [7, 8, 2], [7, 8, 0]])}


def sentence_vectors(chance: Chance) -> tuple[keras.Model, Any]:
    names = ["<pad>", "<unk>", *WORDS, "mr.", ".", "9"]
    matrix = chance.normal(size=(len(names), 6)).astype("float32")
    matrix[0] = 0
    weights = np.linspace(1, 0.1, len(names)).astype("float32")
    words = WordTable(names, ["mr"], length=8, size=6, name="words")
    config = PositionalConfig(
        order_size=12, topic_size=8, theme_size=4, decoder_size=16, context_words=3, context_size=5
    )
    _trained, published = build_autoencoder(config, words, matrix, weights, 5.0)
    return published, np.array([[2, 3, 4, 5, 0, 0, 0, 0], [6, 7, 8, 1, 9, 12, 0, 0]], "int32")


def gallery(chance: Chance) -> tuple[keras.Model, Any]:
    sizes = {"first": (8, 6), "second": (5, 9)}
    pictures = [
        ({"name": name}, chance.integers(0, 256, (*size, 3)).astype("uint8"))
        for name, size in sizes.items()
    ]
    return build_gallery(pictures), np.arange(2, dtype="int32")


def _draw_digits(chance: Chance) -> Any:
    digits = chance.integers(0, 17, (4, 8, 8, 1)).astype("float32")
    digits[:, [0, -1]] = 0  # a dark border, so that it is not read as paper
    digits[:, :, [0, -1]] = 0
    return digits


SMALL_MODELS: dict[str, Callable[[Chance], tuple[keras.Model, Any]]] = {
    "air-quality": air_quality,
    "image-similarity": image_similarity,
    "digit-localisation": digit_localisation,
    "stacked-autoencoder": stacked_autoencoder,
    "question-answering": question_answering,
    "deep-dream": gallery,
    "style-transfer": gallery,
    "sentence-vectors": sentence_vectors,
}


def make_release(name: str, folder: Path) -> Release:
    """A release of a small model of a kind."""
    set_seed(0, deterministic=False)
    model, inputs = SMALL_MODELS[name](np.random.default_rng(0))
    folder.mkdir(parents=True, exist_ok=True)
    save_model(model, folder / "model.keras")
    save_example(folder / "example.npz", model, inputs)
    spec = get_spec(name)
    return Release(
        key=name,
        run_name=name,
        params={},
        metrics={},
        curves={},
        tags={},
        model=folder / "model.keras",
        example=folder / "example.npz",
        pip_requirements=list_requirements(spec.serving),
        serving=spec.serving,
    )
