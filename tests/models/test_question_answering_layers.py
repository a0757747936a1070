"""The layers of question-answering against plain loops, on every backend: KERAS_BACKEND chooses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from regrow.models.question_answering.book import build_book
from regrow.models.question_answering.counting import count_words, embed_counts
from regrow.models.question_answering.end_to_end_memory import EndToEndMemory
from regrow.models.question_answering.query_reduction import QueryReduction, scan_linear
from regrow.models.question_answering.vocabulary import StoryVocabulary
from regrow.training.determinism import set_seed

Array = np.ndarray[Any, np.dtype[Any]]
WORDS, ANSWERS, SENTENCES, LENGTH = 11, 4, 5, 3
CHANCE = np.random.default_rng(0)


def make_texts(rows: int = 6) -> tuple[Array, Array]:
    """Stories of one to five sentences of one to three words, and questions of two."""
    story = np.zeros((rows, SENTENCES, LENGTH), "int32")
    for row in range(rows):
        for place in range(SENTENCES - 1 - row % SENTENCES, SENTENCES):
            length = 1 + (row + place) % LENGTH
            story[row, place, :length] = CHANCE.integers(1, WORDS + 1, size=length)
    return story, CHANCE.integers(1, WORDS + 1, size=(rows, 2)).astype("int32")


STORY, QUESTION = make_texts()
LAYERS: dict[str, tuple[type[keras.layers.Layer], dict[str, Any]]] = {
    "reduction, scalar": (
        QueryReduction,
        {"answers": ANSWERS, "size": 6, "depth": 2, "gates": "scalar", "dropout": 0.25},
    ),
    "reduction, vector": (
        QueryReduction,
        {"answers": ANSWERS, "size": 6, "depth": 3, "gates": "vector", "projected": True},
    ),
    "memory, adjacent": (
        EndToEndMemory,
        {"answers": [3, 0, 5, 0], "size": 6, "hops": 3, "time_noise": 0.5, "rectified": True},
    ),
    "memory, layer-wise": (
        EndToEndMemory,
        {
            "answers": [3, 0, 5, 0],
            "size": 6,
            "hops": 2,
            "tying": "layer-wise",
            "position_encoding": False,
            "time_noise": 0.0,
        },
    ),
}
each_layer = pytest.mark.parametrize("name", LAYERS)


def numbers(tensor: Any) -> Array:
    return np.asarray(keras.ops.convert_to_numpy(tensor), "float64")


def build(name: str, seed: int = 0) -> keras.layers.Layer:
    set_seed(seed, deterministic=False)
    kind, options = LAYERS[name]
    layer = kind(vocabulary_size=WORDS, **options)
    layer(STORY, QUESTION)
    for variable in layer.trainable_variables:  # large enough that nothing is nearly zero
        variable.assign(CHANCE.normal(size=tuple(variable.shape)))
    return layer


def weights_of(layer: keras.layers.Layer) -> dict[str, Array]:
    return {weight.path.rpartition("/")[2]: numbers(weight.value) for weight in layer.weights}


def sigmoid(x: Any) -> Any:
    return 1 / (1 + np.exp(-x))


def softmax(x: Array) -> Array:
    shares = np.exp(x - x.max())
    return np.asarray(shares / shares.sum())


def embed(ids: Array, table: Array, position_encoding: bool) -> Array:
    """A sentence's vector by the paper's formula, word by word."""
    words = [word for word in ids if word]
    size = table.shape[1]
    total = np.zeros(size)
    for j, word in enumerate(words, 1):
        for k in range(1, size + 1):
            share = (1 - j / len(words)) - (k / size) * (1 - 2 * j / len(words))
            total[k - 1] += (share if position_encoding else 1) * table[word - 1, k - 1]
    return np.asarray(total)


def reduce_by_loops(layer: QueryReduction, story: Array, question: Array) -> Array:
    """One story through the recurrence as the paper writes it, sentence after sentence."""
    w = weights_of(layer)
    sentences = [embed(ids, w["embedding"], True) for ids in story if ids.any()]
    queries = [embed(question, w["embedding"], True)] * len(sentences)
    for n in range(layer.depth):
        last = n == layer.depth - 1
        found = []
        for way in ("forward",) if last else ("forward", "backward"):
            state = np.zeros(layer.size)
            states = []
            steps = list(zip(sentences, queries, strict=True))
            for x, q in steps if way == "forward" else steps[::-1]:
                match = x * q
                if layer.projected:
                    match = (x @ w[f"{way}_{n}_sentence"]) * (q @ w[f"{way}_{n}_query"])
                gates = match @ w[f"{way}_{n}_gates"] + w[f"{way}_{n}_gate_bias"]
                update, reset = np.split(gates, 2)
                z, r = sigmoid(update - 2.5), sigmoid(reset)
                change = np.concatenate([x, q]) @ w[f"{way}_{n}_change"]
                change = np.tanh(change + w[f"{way}_{n}_change_bias"])
                state = z * r * change + (1 - z) * state
                states.append(state)
            found.append(states if way == "forward" else states[::-1])
        queries = [sum(parts) for parts in zip(*found, strict=True)]
    return np.asarray(queries[-1] @ w["output"])


def remember_by_loops(layer: EndToEndMemory, story: Array, question: Array) -> tuple[Array, Array]:
    """One story through the hops: scores, and each hop's attention."""
    w = weights_of(layer)
    tables = [w[f"embedding_{n}"] for n in range(len(layer.embeddings))]
    encoded = layer.position_encoding
    there = [place for place in range(SENTENCES) if story[place].any()]

    def remember(n: int) -> Array:
        return np.array(
            [embed(story[p], tables[n], encoded) + w[f"time_{n}"][SENTENCES - 1 - p] for p in there]
        )

    adjacent = layer.tying == "adjacent"
    u = embed(question, tables[0] if adjacent else w["question"], encoded)
    attention = np.zeros((layer.hops, SENTENCES))
    for hop in range(layer.hops):
        p = softmax(remember(hop if adjacent else 0) @ u)
        attention[hop, there] = p
        u = p @ remember(hop + 1 if adjacent else 1) + (u if adjacent else u @ w["mapping"])
        if layer.rectified and hop < layer.hops - 1:
            u[layer.size // 2 :] = np.maximum(u[layer.size // 2 :], 0)
    vectors = w["answers"].copy()
    for n, word in enumerate(layer.answers):
        if adjacent and word:
            vectors[n] = tables[-1][word - 1]
    return vectors @ u, attention


@pytest.mark.parametrize("position_encoding", [True, False])
def test_counted_words_embed_as_words_one_by_one(position_encoding: bool) -> None:
    table = CHANCE.normal(size=(WORDS, 6)).astype("float32")
    counts = count_words(STORY, WORDS, position_encoding=position_encoding)
    found = numbers(embed_counts(counts, keras.ops.convert_to_tensor(table)))
    expected = [[embed(ids, table, position_encoding) for ids in story] for story in STORY]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("steps", [1, 2, 5, 8, 13])
@pytest.mark.parametrize("backward", [False, True])
def test_the_scan_is_the_recurrence(steps: int, backward: bool) -> None:
    keep = CHANCE.uniform(size=(3, steps, 1)).astype("float32")
    new = CHANCE.normal(size=(3, steps, 4)).astype("float32")
    tensors = (keras.ops.convert_to_tensor(array) for array in (keep, new))
    found = numbers(scan_linear(*tensors, backward=backward))
    state = np.zeros((3, 4))
    for step in reversed(range(steps)) if backward else range(steps):
        state = keep[:, step] * state + new[:, step]
        np.testing.assert_allclose(found[:, step], state, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in LAYERS if name.startswith("reduction")])
def test_query_reduction_is_the_papers_recurrence(name: str) -> None:
    layer = build(name)
    scores, weights = (numbers(part) for part in layer(STORY, QUESTION))
    expected = [reduce_by_loops(layer, *row) for row in zip(STORY, QUESTION, strict=True)]
    np.testing.assert_allclose(scores, expected, rtol=1e-3, atol=1e-4)
    assert (weights >= 0).all()
    assert (weights.sum(axis=-1) <= 1 + 1e-5).all()
    absent = ~STORY.any(axis=-1)
    assert (weights.transpose(0, 2, 1)[absent] == 0).all()


@pytest.mark.parametrize("name", [name for name in LAYERS if name.startswith("memory")])
def test_the_memory_network_is_the_papers(name: str) -> None:
    layer = build(name)
    scores, attention = (numbers(part) for part in layer(STORY, QUESTION))
    for row, found in enumerate(zip(scores, attention, strict=True)):
        expected = remember_by_loops(layer, STORY[row], QUESTION[row])
        for part, right in zip(found, expected, strict=True):
            np.testing.assert_allclose(part, right, rtol=1e-3, atol=1e-4)


def test_a_linear_start_leaves_the_softmax_out() -> None:
    layer = build("memory, layer-wise")
    layer.linear.assign(1.0)
    w = weights_of(layer)
    attention = numbers(layer(STORY, QUESTION)[1])
    u = embed(QUESTION[4], w["question"], False)
    memories = np.array([embed(ids, w["embedding_0"], False) for ids in STORY[4]])
    expected = (memories + w["time_0"][::-1]) @ u
    np.testing.assert_allclose(attention[4, 0], expected, rtol=1e-3, atol=1e-4)


def test_noise_in_time_is_for_training_only_and_forgets_the_oldest() -> None:
    layer = build("memory, adjacent")
    first, second = (numbers(layer(STORY, QUESTION, training=False)[1]) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    story, question = np.repeat(STORY[4:5], 400, axis=0), np.repeat(QUESTION[4:5], 400, axis=0)
    noisy = numbers(layer(story, question, training=True)[1])
    forgotten = (noisy[:, 0] == 0).mean(axis=0)
    # Sentence n of five, the last being 0 sentences old, is forgotten when n empty memories or more
    # came after it or with it; the oldest one has to move by one only.
    np.testing.assert_allclose(forgotten[0], 1 - 0.5**5, atol=0.06)
    np.testing.assert_allclose(forgotten[4], 0, atol=0.01)
    assert (np.diff(forgotten) <= 0).all()


@pytest.mark.parametrize("name", [name for name in LAYERS if name.startswith("reduction")])
def test_padding_in_front_changes_nothing(name: str) -> None:
    layer = build(name)
    wide = np.concatenate([np.zeros_like(STORY), STORY], axis=1)
    found = numbers(layer(wide, QUESTION)[0])
    np.testing.assert_allclose(found, numbers(layer(STORY, QUESTION)[0]), rtol=1e-4, atol=1e-5)


@each_layer
def test_shapes_configuration_file_and_training_step(name: str, tmp_path: Path) -> None:
    layer = build(name)
    outputs = layer(STORY, QUESTION)
    promised = layer.compute_output_shape(STORY.shape, QUESTION.shape)
    assert [tuple(part.shape) for part in outputs] == [tuple(shape) for shape in promised]
    options = {"vocabulary_size": WORDS, **LAYERS[name][1]}
    assert {key: layer.get_config()[key] for key in options} == options

    inputs = {
        "story": keras.Input(STORY.shape[1:], dtype="int32", name="story"),
        "question": keras.Input(QUESTION.shape[1:], dtype="int32", name="question"),
    }
    known = StoryVocabulary(list("abcdefghijk"), ["a", "b", "c", "d"], [1, 2], name="vocabulary")
    model = keras.Model(inputs, layer(known(inputs["story"]), inputs["question"])[0])
    data = {"story": STORY, "question": QUESTION}
    expected = numbers(model(data))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_allclose(numbers(loaded(data)), expected, rtol=1e-5, atol=1e-6)
    kept = loaded.get_layer("vocabulary")
    assert (kept.words, kept.answers, kept.tasks) == (known.words, known.answers, known.tasks)

    before = {weight.path: numbers(weight.value) for weight in model.trainable_variables}
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(0.1), loss=loss)
    assert np.isfinite(model.train_on_batch(data, np.array([0, 1, 2, 3, 0, 1])))
    for weight in model.trainable_variables:
        now = numbers(weight.value)
        assert np.isfinite(now).all(), weight.path
        # Layer-wise memory and answers that are words leave some rows, but no weight, untouched.
        assert not np.array_equal(now, before[weight.path]), weight.path


def test_the_books_network_answers_a_story() -> None:
    story, question = (keras.Input(x.shape[1:], dtype="int32") for x in (STORY, QUESTION))
    model = keras.Model([story, question], build_book(story, question, WORDS, ANSWERS))
    assert tuple(model([STORY, QUESTION]).shape) == (len(STORY), ANSWERS)
    # Two embeddings of 64, one as wide as the question is long; an LSTM of 32; the answers.
    words = WORDS + 1
    wide = SENTENCES * LENGTH + 64
    expected = words * (64 + 64 + 2) + 4 * 32 * (wide + 32 + 1) + 33 * ANSWERS
    assert model.count_params() == expected
