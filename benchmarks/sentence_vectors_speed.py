"""Sentences a second of three ways to train an autoencoder on Reuters' sentences, as markdown.

REGROW_MIRROR=FOLDER python benchmarks/sentence_vectors_speed.py [SHARE]

The chapter's network, at a size that a CPU can train and with Adam, as with SGD it learns hardly
anything in an epoch, and regrow's network: each by a plain `model.fit` on sentences padded to 50
words, and regrow's in groups of like length as well. The first has every sentence once, the others
as often as it takes to explain as much of the variance; compiling is done before. SHARE is that of
the sentences, a tenth by default.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from regrow.base.progress import report
from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.models.sentence_vectors.corpus import (
    Corpus,
    draw_contexts,
    make_word_vectors,
    read_corpus,
    scale_vectors,
    weigh_words,
)
from regrow.models.sentence_vectors.layers import WordTable
from regrow.models.sentence_vectors.losses import take_mean
from regrow.models.sentence_vectors.network import build_network, make_groups
from regrow.models.sentence_vectors.spec import (
    BookConfig,
    PositionalConfig,
    SentenceVectorsConfig,
)
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.request import make_request
from regrow.training.epochs import Epochs
from regrow.training.fit import data_order

BATCH = 128
MOST_EPOCHS = 12
SIZE = 128
BOOK = BookConfig(latent=SIZE, optimizer="adam", learning_rate=0.002, batch_size=BATCH)
# The same number of numbers in a sentence's vector, so that it can keep as much.
OURS = PositionalConfig(order_size=SIZE // 2, topic_size=SIZE // 4, theme_size=SIZE // 4)


def clean() -> Path:
    """The folder of the clean tables, made if need be."""
    spec = get_spec("sentence-vectors")
    pipeline = Pipeline(spec, make_request(spec), read_environment())
    download = pipeline.run_stage("download", {}, report)
    return pipeline.entry(pipeline.run_stage("clean", {"download": download}, report)).path


def prepare(
    network: BookConfig | PositionalConfig, corpus: Corpus, matrix: Any
) -> tuple[Any, Any, Any]:
    """A compiled network, the published one with its weights, and the names of its losses."""
    keras.utils.set_random_seed(0)
    table = WordTable(corpus.vocabulary.words, [], length=50, size=50, name="words")
    lengths = np.minimum(corpus.sentences.lengths[corpus.training], 50)
    model, published = build_network(
        network, table, matrix, weigh_words(corpus), float(lengths.mean())
    )
    names = list(model.output)
    weights = {"reconstruction": 1.0, "context": 0.1}
    model.compile(
        optimizer=keras.optimizers.Adam(network.learning_rate),
        loss=dict.fromkeys(names, take_mean),
        loss_weights={name: weights[name] for name in names},
    )
    return model, published, names


def explain(published: Any, corpus: Corpus) -> float:
    """The share of variance explained on the validation sentences, padding left out."""
    rows = corpus.validation[:2048]
    [(x, _)] = make_groups(corpus, rows, 50, None)
    table = keras.ops.convert_to_numpy(published.get_layer("words").table)
    vectors, present = table[x["ids"]], (x["ids"] > 0)[..., np.newaxis]
    means = (vectors * present).sum(axis=0) / np.maximum(present.sum(axis=0), 1)
    rebuilt = published.predict(x["ids"], batch_size=256, verbose=0)["reconstruction"]
    error = (np.square(rebuilt - vectors) * present).sum()
    return 1 - float(error / (np.square(vectors - means) * present).sum())


def measure(
    network: BookConfig | PositionalConfig,
    corpus: Corpus,
    matrix: Any,
    *,
    grouped: bool,
    enough: float | None,
) -> tuple[float, float, float]:
    """Sentences a second, the share of variance explained in the end, and seconds until then.

    Args:
        enough: epochs are added until so much of the variance is explained; None does one.
    """
    model, published, names = prepare(network, corpus, matrix)
    contexts = draw_contexts(corpus, OURS.context_words, 0)
    rows = corpus.training
    order = data_order(len(rows), 0, 0)
    before = [keras.ops.copy(variable.value) for variable in model.variables]
    if grouped:
        epochs = Epochs(model, make_groups(corpus, rows, 50, contexts), batch_size=BATCH)

        def run() -> None:
            epochs.train(order)
    else:
        [(x, y)] = make_groups(corpus, rows, 50, None)
        if "context" in names:
            x["context"], y = contexts[rows], dict.fromkeys(names, y["reconstruction"])
        x = {name: array[order] for name, array in x.items()}

        def run() -> None:
            model.fit(x, y, batch_size=BATCH, shuffle=False, verbose=0)

    run()  # compiles
    for variable, value in zip(model.variables, before, strict=True):
        variable.assign(value)
    for variable in model.optimizer.variables:
        if variable is not model.optimizer.learning_rate:
            variable.assign(keras.ops.zeros_like(variable))
    seconds, share, done = 0.0, -1.0, 0
    while done < MOST_EPOCHS:
        done += 1
        started = time.perf_counter()
        run()
        seconds += time.perf_counter() - started
        share = explain(published, corpus)
        if enough is None or share >= enough:
            break
    return done * len(rows) / seconds, share, seconds


def main() -> None:
    """Prints the table."""
    share = float(next(iter(sys.argv[1:]), "0.1"))
    config = SentenceVectorsConfig(training_share=share)
    folder = clean()
    corpus = read_corpus(folder, config)
    matrix = scale_vectors(make_word_vectors(folder, corpus, config).matrix, corpus)
    ways: dict[str, tuple[BookConfig | PositionalConfig, bool]] = {
        "the chapter's network, padded, `model.fit`": (BOOK, False),
        "regrow's network, padded, `model.fit`": (OURS, False),
        "regrow's network, groups of like length": (OURS, True),
    }
    print(f"{len(corpus.training):,} sentences, vectors of {SIZE} numbers, batches of {BATCH}.\n")
    print("| way | sentences a second | times as fast | variance explained | after |")
    print("| --- | ---: | ---: | ---: | ---: |")
    first: tuple[float, float] | None = None
    for name, (network, grouped) in ways.items():
        speed, share, seconds = measure(
            network, corpus, matrix, grouped=grouped, enough=first and first[1]
        )
        first = first or (speed, share)
        times = speed / first[0]
        print(
            f"| {name} | {speed:,.0f} | {times:.1f} | {share:.3f} | {seconds:.1f} s |", flush=True
        )


if __name__ == "__main__":
    main()
