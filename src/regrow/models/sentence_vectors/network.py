"""The networks of sentence-vectors, and their training."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from regrow.checks.profiles import profile_table
from regrow.models.sentence_vectors.corpus import (
    Corpus,
    draw_contexts,
    find_themes,
    make_word_vectors,
    read_corpus,
    scale_vectors,
    share_unknown,
    weigh_words,
)
from regrow.models.sentence_vectors.encoding import group_by_length
from regrow.models.sentence_vectors.layers import (
    PositionalDecoder,
    PositionalEncoder,
    Themes,
    WordTable,
)
from regrow.models.sentence_vectors.losses import ContextError, ReconstructionError, take_mean
from regrow.text.vocabulary import pad
from regrow.training.determinism import set_seed
from regrow.training.fit import falling_adam, fit_groups
from regrow.training.plan import FitPlan
from regrow.training.seeds import describe_published, record_of, run_trainings

if TYPE_CHECKING:
    from pathlib import Path

    from regrow.models.sentence_vectors.spec import (
        BookConfig,
        NetworkConfig,
        PositionalConfig,
        SentenceVectorsConfig,
    )
    from regrow.report.history import TrainingRecord
    from regrow.store.context import StageContext

EXAMPLE_SENTENCES = 8
RUNS = "autoencoder"

Array = np.ndarray[Any, np.dtype[Any]]


def train(ctx: StageContext) -> dict[str, Any]:
    """Trains the network with every seed; publishes the lowest loss on validation documents."""
    config: SentenceVectorsConfig = ctx.config
    folder = ctx.inputs["clean"].file("table.parquet").parent
    corpus = read_corpus(folder, config)
    vectors = make_word_vectors(folder, corpus, config)
    words = WordTable(
        corpus.vocabulary.words,
        (folder / "abbreviations.txt").read_text(encoding="utf-8").splitlines(),
        length=config.length,
        size=vectors.matrix.shape[1],
        name="words",
    )
    book = config.network.kind == "book"
    matrix = vectors.matrix if book else scale_vectors(vectors.matrix, corpus)
    facts = run_trainings(
        ctx,
        {
            f"{RUNS}/seed-{seed}": partial(
                _train_one, ctx, seed, corpus, words.get_config(), matrix
            )
            for seed in range(config.seeds)
        },
    )
    examples = [corpus.ids[n] for n in corpus.validation[:EXAMPLE_SENTENCES]]
    profile = profile_table(corpus.documents, ["form", "mod_apte", "sentences", "words"])
    describe_published(ctx, pad(examples, config.length), profile)
    return {
        **facts,
        "training_sentences": len(corpus.training),
        "validation_sentences": len(corpus.validation),
        "word_vectors": vectors.origin,
        "words_with_vectors": vectors.covered,
        "unknown_share": round(share_unknown(corpus), 4),
    }


def build_network(
    config: NetworkConfig,
    words: keras.layers.Layer,
    matrix: Array,
    weights: Array,
    mean_words: float,
) -> tuple[keras.Model, keras.Model]:
    """One network as two models with the same weights: to train, and to publish.

    Args:
        words: the layer of the word table.
        matrix: its vectors, (words, size).
        weights: how much each word weighs, (words,), above zero.
        mean_words: of a sentence, so that the loss is a mean over words.

    Returns:
        The model to train takes `ids` (batch, words) and, with a context, `context` (batch,
        chosen), and gives each sentence's losses. The published one takes ids alone, and gives
        `vector` (batch, latent), `topic`, the part of it that says what a sentence is about (all
        of the book's), and `reconstruction` (batch, words, size).
    """
    if config.kind == "book":
        return _build_book(config, words, matrix, weights)
    return _build_positional(config, words, matrix, weights, mean_words)


def _build_book(
    config: BookConfig, words: keras.layers.Layer, matrix: Array, weights: Array
) -> tuple[keras.Model, keras.Model]:
    """The chapter's: padding is read and rebuilt like words."""
    layers = keras.layers
    ids = keras.Input((words.length,), dtype="int32", name="ids")
    vectors, _weight = words(ids)
    words.fill(matrix, weights)
    encoder = layers.Bidirectional(layers.LSTM(config.latent), merge_mode="sum", name="encoder")
    decoder = layers.Bidirectional(
        layers.LSTM(words.size, return_sequences=True), merge_mode="sum", name="decoder"
    )
    vector = encoder(vectors)
    rebuilt = decoder(layers.RepeatVector(words.length)(vector))
    error = ReconstructionError(words.length * words.size, name="reconstruction")(rebuilt, vectors)
    published = {"vector": vector, "topic": layers.Identity()(vector), "reconstruction": rebuilt}
    return (
        keras.Model({"ids": ids}, {"reconstruction": error}),
        keras.Model(ids, published, name="sentence_vectors"),
    )


def _build_positional(
    config: PositionalConfig,
    words: keras.layers.Layer,
    matrix: Array,
    weights: Array,
    mean_words: float,
) -> tuple[keras.Model, keras.Model]:
    layers = keras.layers
    ids = keras.Input((None,), dtype="int32", name="ids")
    context = keras.Input((config.context_words,), dtype="int32", name="context")
    vectors, weight = words(ids)
    words.fill(matrix, weights)
    encoder = PositionalEncoder(words.length, config.order_size, config.topic_size, name="encoder")
    decoder = PositionalDecoder(words.length, words.size, config.decoder_size, name="decoder")
    themes = Themes(len(words.words), config.theme_size, name="themes")(ids, weight)
    vector = layers.Concatenate()([encoder(vectors, weight), themes])
    rebuilt = decoder(vector, weight)
    topic = vector[:, config.order_size :]
    predictor = ContextError(len(words.words), config.context_size, name="context_error")
    losses = {
        "reconstruction": ReconstructionError(mean_words, name="reconstruction")(rebuilt, vectors),
        "context": predictor(topic, context),
    }
    published = {"vector": vector, "topic": topic, "reconstruction": rebuilt}
    return (
        keras.Model({"ids": ids, "context": context}, losses),
        keras.Model(ids, published, name="sentence_vectors"),
    )


def make_groups(
    corpus: Corpus, rows: Array, length: int, contexts: Array | None
) -> list[tuple[Any, Any]]:
    """Sentences to train on, in groups of like length; without contexts in one, all padded.

    Returns:
        Inputs and targets of each group. The targets are zeros: losses are layers.
    """
    groups = [(length, np.arange(len(rows)))]
    if contexts is not None:
        groups = list(group_by_length(corpus.sentences.lengths[rows], length))
    found = []
    for longest, chosen in groups:
        mine = rows[chosen]
        x = {"ids": pad([corpus.ids[row] for row in mine], longest)}
        if contexts is not None:
            x["context"] = contexts[mine]
        nothing = np.zeros((len(mine), 1), dtype="float32")
        names = ["reconstruction"] if contexts is None else ["reconstruction", "context"]
        found.append((x, dict.fromkeys(names, nothing)))
    return found


def _train_one(
    ctx: StageContext, seed: int, corpus: Corpus, words: dict[str, Any], matrix: Array, kept: Path
) -> tuple[keras.Model, TrainingRecord]:
    config: SentenceVectorsConfig = ctx.config
    network = config.network
    set_seed(seed, deterministic=False)
    lengths = np.minimum(corpus.sentences.lengths[corpus.training], config.length)
    table = WordTable.from_config(words)
    model, published = build_network(
        network, table, matrix, weigh_words(corpus), float(lengths.mean())
    )
    contexts = None
    if network.kind == "positional":
        published.get_layer("themes").table.assign(find_themes(corpus, network.theme_size, seed))
        contexts = draw_contexts(corpus, network.context_words, seed)
    groups = make_groups(corpus, corpus.training, config.length, contexts)
    plan = FitPlan(
        epochs=network.epochs, batch_size=network.batch_size, seed=seed, deterministic=False
    )
    weights = {"reconstruction": 1.0}
    optimizer: keras.optimizers.Optimizer
    if network.kind == "positional":
        optimizer = falling_adam(network.learning_rate, len(corpus.training), plan)
        weights["context"] = network.context_weight
    else:
        options = {"learning_rate": network.learning_rate}
        optimizer = keras.optimizers.get({"class_name": network.optimizer, "config": options})
    model.compile(optimizer=optimizer, loss=dict.fromkeys(weights, take_mean), loss_weights=weights)
    result = fit_groups(
        model,
        groups,
        plan=plan,
        validation=make_groups(corpus, corpus.validation, config.length, contexts),
        checkpoint=kept,
        on_epoch=lambda done, _: ctx.progress(f"train seed {seed}", done, network.epochs),
    )
    return published, record_of(result)
