"""How well sentence-vectors does on ModApte's test documents, beside simple ways."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from regrow.models.sentence_vectors.baselines import (
    explain_by_components,
    measure_counts,
    measure_mean_words,
)
from regrow.models.sentence_vectors.encoding import encode_sentences, measure_size
from regrow.models.sentence_vectors.figures import draw_cosines, draw_topic_map
from regrow.models.sentence_vectors.measures import (
    Data,
    Rebuilt,
    Topics,
    encode_documents,
    measure_rebuilding,
    measure_topics,
    number_words,
)
from regrow.models.sentence_vectors.neighbours import FILE, Index, write_index
from regrow.models.sentence_vectors.network import RUNS, build_network
from regrow.models.sentence_vectors.probe import measure_f1
from regrow.models.sentence_vectors.table import read_documents
from regrow.report.charts import plot_comparison
from regrow.report.evaluation import Comparison, Evaluation, Figures, Scores, Table
from regrow.training.determinism import set_seed
from regrow.training.seeds import load_runs

if TYPE_CHECKING:
    from pathlib import Path

    from regrow.store.context import StageContext

NETWORK, RANDOM, COUNTS = "autoencoder", "autoencoder, untrained", "TF-IDF"
MEAN_WORDS = "mean of word vectors"
FIGURES = {
    "micro_f1": "micro-F1",
    "precision_at_100": "P@100",
    "explained_variance": "variance explained",
    "cosine": "cosine",
    "mismatched_cosine": "of mismatched",
    "first_of_512": "first of 512",
    "mean_rank": "mean rank",
}
HEADLINE = "micro-F1 of a linear probe for the topics of unseen documents"
EXAMPLES = 10
NEIGHBOURS = 3
SHOWN_SIGNS = 110
TOP_TOPICS = 10

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Measured:
    """What was measured of one network: its vectors of the test documents, topics, sentences."""

    documents: Array
    topics: Topics
    rebuilt: Rebuilt

    @property
    def scores(self) -> Scores:
        """All its figures by key."""
        return {**self.topics.figures, **self.rebuilt.figures}


def evaluate(ctx: StageContext) -> dict[str, Any]:
    """Measures every seed, an untrained network and simple ways on the same documents.

    Writes `evaluation.json`, `predictions.parquet` (id, topics, said: of the linear probe),
    `sentences.npy` (what all sentences are about, in the order of `read_sentences`) and figures.
    """
    table, train = ctx.inputs["clean"].file("table.parquet"), ctx.inputs["train"]
    data = Data.read(table.parent)
    chosen = str(train.facts["published_run"]).rpartition("/")[2]
    models = load_runs(train.path, RUNS)
    # All sentences once, for the published network's figures and for what looks for neighbours.
    vectors = _encode_all(models[chosen], data)
    write_index(ctx.out / FILE, vectors)
    runs: dict[str, Measured] = {}
    for number, (seed, model) in enumerate(models.items()):
        ctx.progress("measure", number, len(models) + 2)
        runs[seed] = _measure(model, data, vectors if seed == chosen else None)
    published = runs[chosen]
    ctx.progress("measure", len(models), len(models) + 2)
    counts = measure_counts(read_documents(table), data)
    comparison = Comparison(
        f"{NETWORK}, {measure_size(models[chosen])} numbers",
        [run.scores for run in runs.values()],
        _measure_baselines(ctx.config, models[chosen], data, counts),
    )
    ctx.progress("measure", len(models) + 2, len(models) + 2)
    _write_predictions(ctx.out, data, published.topics)
    return Evaluation(
        headline=comparison.headline(
            "micro_f1", HEADLINE, direction="maximize", simplest=MEAN_WORDS
        ),
        metrics={**published.scores, **comparison.means(FIGURES)},
        tables=(
            _tabulate(comparison),
            _tabulate_topics(data, published.topics, counts[COUNTS]),
            _tabulate_neighbours(ctx.out, data, vectors),
        ),
        figures=_draw(ctx.out, data, published, comparison),
        notes=_note(ctx, data),
    ).write(ctx.out, test_documents=len(data.labelled.test))


def _encode_all(model: keras.Model, data: Data) -> Array:
    return encode_sentences(model, number_words(model, data.sentences), "topic")


def _measure(model: keras.Model, data: Data, vectors: Array | None = None) -> Measured:
    training, test = encode_documents(model, data, vectors)
    topics = measure_topics(training, test, data.labelled)
    return Measured(test, topics, measure_rebuilding(model, data))


def _measure_baselines(
    config: Any, model: keras.Model, data: Data, counts: dict[str, Topics]
) -> dict[str, Scores]:
    sizes = _choose_sizes(config, measure_size(model))
    explained = explain_by_components(model, data, sizes)
    return {
        **{name: topics.figures for name, topics in counts.items()},
        MEAN_WORDS: measure_mean_words(model, data).figures,
        RANDOM: _measure(_untrain(config, model), data).scores,
        **{
            f"{count} principal components": {"explained_variance": share}
            for count, share in explained.items()
        },
    }


def _untrain(config: Any, model: keras.Model) -> keras.Model:
    """The same network with the weights that training began with, or such."""
    words = model.get_layer("words")
    set_seed(0, deterministic=False)
    table, weight = (keras.ops.convert_to_numpy(of) for of in (words.table, words.weight))
    fresh = type(words).from_config(words.get_config())
    return build_network(config.network, fresh, table, weight, 1.0)[1]


def _choose_sizes(config: Any, size: int) -> list[int]:
    """As many components as the network has numbers, and as it has for what stands where."""
    network = config.network
    wanted = {size} | ({network.order_size} if network.kind == "positional" else set())
    return sorted(count for count in wanted if count < config.length * 50)


def _tabulate(comparison: Comparison) -> Table:
    mine, *others = comparison.rows(FIGURES)
    seeds = len(comparison.runs)
    over = f"standard deviation over {seeds} seed{'s' if seeds > 1 else ''}"
    spread = [over, *map(comparison.spread, FIGURES)]
    return Table(
        title="Test documents",
        caption=(
            "Topics: the same linear probe and search for all methods, on ModApte-90. P@100: "
            "share of the 100 nearest training documents that have a topic in common. Variance: "
            "relative to the mean of each position, without padding. Cosine: between the vectors "
            "of a sentence and its reconstruction. Rank: of the correct vector among those of "
            "512 sentences."
        ),
        columns=("vectors", *FIGURES.values()),
        rows=[mine, *([spread] if len(comparison.runs) > 1 else []), *others],
        best_by=FIGURES["micro_f1"],
        direction="maximize",
    )


def _tabulate_topics(data: Data, found: Topics, counted: Topics) -> Table:
    right, names = data.labelled.test_topics, data.labelled.topics
    largest = np.argsort(-data.labelled.train_topics.sum(axis=0), kind="stable")[:TOP_TOPICS]

    def row(name: str, topics: Array) -> list[Any]:
        scores = [measure_f1(right[:, topics], of.said[:, topics]) for of in (found, counted)]
        return [name, right[:, topics].sum(), *scores]

    rows = [row(names[n], np.array([n])) for n in largest]
    return Table(
        title="The largest topics",
        caption="F1 of the vectors of the published network and of TF-IDF.",
        columns=("topic", "test documents", NETWORK, COUNTS),
        rows=[*rows, row(f"all {len(largest)}", largest)],
    )


def _tabulate_neighbours(out: Path, data: Data, vectors: Array) -> Table:
    """Ten test sentences and what is nearest to them outside the test documents."""
    # Exact repetitions are no news, so the nearest sentence with other words is shown.
    texts = data.sentences.texts
    rows = data.draw(data.test, EXAMPLES)
    known = np.isin(data.sentences.document, data.known)
    found, cosines = Index.open(out / FILE).find(vectors[rows], 50 * NEIGHBOURS)
    table = []
    for row, near, likeness in zip(rows, found, cosines, strict=True):
        said = {texts[int(row)].as_py().lower()}
        for other, cosine in zip(near.tolist(), likeness.tolist(), strict=True):
            text = texts[other].as_py()
            if known[other] and text.lower() not in said:
                said.add(text.lower())
                table.append([_shorten(texts[int(row)].as_py()), _shorten(text), cosine])
            if len(said) > NEIGHBOURS:
                break
    return Table(
        title="Nearest sentences",
        caption="Test sentences, and the nearest sentences outside the test documents.",
        columns=("sentence", "nearest", "cosine"),
        rows=table,
    )


def _shorten(text: str) -> str:
    return text if len(text) <= SHOWN_SIGNS else f"{text[: SHOWN_SIGNS - 1]}…"


def _write_predictions(out: Path, data: Data, topics: Topics) -> None:
    import pandas as pd

    names = np.array(data.labelled.topics)
    frame = pd.DataFrame(
        {
            "id": data.labelled.test,
            "topics": [names[row].tolist() for row in data.labelled.test_topics],
            "said": [names[row].tolist() for row in topics.said],
        }
    )
    frame.to_parquet(out / "predictions.parquet", index=False)


def _draw(out: Path, data: Data, published: Measured, comparison: Comparison) -> Figures:
    figures = Figures(out)
    path = figures.add("topics.png", "Topics", "A linear probe on fixed vectors.")
    label = "micro-F1 on ModApte-90"
    plot_comparison(comparison, "micro_f1", path, label=label, direction="maximize")
    path = figures.add(
        "cosines.png",
        "Sentences and reconstructions",
        "Cosine between the vectors of a sentence and a reconstruction.",
    )
    rebuilt, labelled = published.rebuilt, data.labelled
    cosines = {"its own reconstruction": rebuilt.cosines, "another's": rebuilt.mismatched}
    draw_cosines(cosines, path)
    path = out / "figures" / "map.png"
    if draw_topic_map(published.documents, labelled.test_topics, labelled.topics, path):
        figures.add(
            path.name, "Test documents", "t-SNE of the vectors of documents with a single topic."
        )
    return figures


def _note(ctx: StageContext, data: Data) -> list[str]:
    facts = ctx.inputs["train"].facts
    return [
        f"Word vectors: {facts['word_vectors']}; {facts['words_with_vectors']:,} words have one, "
        f"{facts['unknown_share']:.1%} of the training words are not in the vocabulary.",
        f"Trained on {facts['training_sentences']:,} sentences; none of them is from the "
        f"{len(data.test):,} ModApte test documents. {facts['validation_sentences']:,} sentences "
        "of other documents were used to choose the published seed.",
        "The vector of a document combines the sum of the topic parts of its sentence vectors "
        "and half of the title vector, both scaled to length 1.",
        "The cost and threshold of every probe were chosen on the last fifth of its training "
        "documents.",
    ]
