"""How well sentence-vectors does on ModApte's test documents, beside simple ways."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from regrow.engine.plots import plot_bars
from regrow.engine.store import write_json
from regrow.engine.trainings import load_runs
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

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from regrow.engine.spec import StageContext

NETWORK, RANDOM = "autoencoder", "autoencoder, untrained"
FIGURES = {
    "micro_f1": "micro-F1",
    "precision_at_100": "P@100",
    "explained_variance": "variance explained",
    "cosine": "cosine",
    "mismatched_cosine": "of mismatched",
    "first_of_512": "first of 512",
    "mean_rank": "mean rank",
}
EXAMPLES = 10
NEIGHBOURS = 3
SHOWN_SIGNS = 110
TOP_TOPICS = 10

Array = np.ndarray[Any, np.dtype[Any]]


def evaluate(ctx: StageContext) -> dict[str, Any]:
    """Measures every seed, an untrained network and simple ways on the same documents.

    Writes `evaluation.json`, `predictions.parquet` (id, topics, said: of the linear probe),
    `sentences.npy` (what all sentences are about, in the order of `read_sentences`) and figures.
    """
    folder = ctx.inputs["clean"].file("table.parquet").parent
    train = ctx.inputs["train"]
    data = Data.read(folder)
    chosen = str(train.facts["published_run"]).rpartition("/")[2]
    models = load_runs(train.path, RUNS)
    model = models[chosen]
    # All sentences once, for the published network's figures and for what looks for neighbours.
    vectors = encode_sentences(model, number_words(model, data.sentences), "topic")
    write_index(ctx.out / FILE, vectors)
    runs: dict[str, dict[str, float]] = {}
    for number, (seed, of) in enumerate(models.items()):
        ctx.progress("measure", number, len(models) + 2)
        documents = encode_documents(of, data, vectors if seed == chosen else None)
        topics, rebuilt = measure_topics(*documents, data.labelled), measure_rebuilding(of, data)
        runs[seed] = {**topics.figures, **rebuilt.figures}
        if seed == chosen:
            published = (documents[1], topics, rebuilt)
    ctx.progress("measure", len(models), len(models) + 2)
    frame = read_documents(folder / "table.parquet")
    counts = measure_counts(frame, data)
    others = {
        **{name: topics.figures for name, topics in counts.items()},
        "mean of word vectors": measure_mean_words(model, data).figures,
        RANDOM: _measure_untrained(ctx.config, model, data),
    }
    size = measure_size(model)
    for count, share in explain_by_components(model, data, _sizes(ctx.config, size)).items():
        others[f"{count} principal components"] = {"explained_variance": share}
    ctx.progress("measure", len(models) + 2, len(models) + 2)
    _write_predictions(ctx.out, data, published[1])
    evaluation = {
        "headline": _headline(runs, others),
        "metrics": {**runs[chosen], **{f"mean_{k}": _mean(runs, k) for k in FIGURES}},
        "tables": [
            _table(runs, others, size),
            _table_by_topic(data, published[1], counts["TF-IDF"]),
            _table_of_neighbours(ctx.out, data, vectors),
        ],
        "figures": _draw(ctx.out, data, published, runs, others),
        "notes": _notes(ctx, data),
    }
    write_json(ctx.out / "evaluation.json", evaluation)
    return {"metrics": evaluation["metrics"], "test_documents": len(data.labelled.test)}


def _measure_untrained(config: Any, model: keras.Model, data: Data) -> dict[str, float]:
    """The same network with the weights that training began with, or such."""
    words = model.get_layer("words")
    keras.utils.set_random_seed(0)
    table, weight = (keras.ops.convert_to_numpy(of) for of in (words.table, words.weight))
    fresh = type(words).from_config(words.get_config())
    twin = build_network(config.network, fresh, table, weight, 1.0)
    documents = encode_documents(twin[1], data)
    topics = measure_topics(*documents, data.labelled).figures
    return {**topics, **measure_rebuilding(twin[1], data).figures}


def _sizes(config: Any, size: int) -> list[int]:
    """As many components as the network has numbers, and as it has for what stands where."""
    network = config.network
    wanted = {size} | ({network.order_size} if network.kind == "positional" else set())
    return sorted(count for count in wanted if count < config.length * 50)


def _mean(runs: Mapping[str, Mapping[str, float]], key: str) -> float:
    return float(np.mean([run[key] for run in runs.values()]))


def _headline(
    runs: Mapping[str, Mapping[str, float]], others: Mapping[str, Mapping[str, float]]
) -> dict[str, Any]:
    scored = {name: of["micro_f1"] for name, of in others.items() if "micro_f1" in of}
    best = max(scored, key=lambda name: scored[name])
    values = [run["micro_f1"] for run in runs.values()]
    return {
        "metric": "micro_f1",
        "label": "micro-F1 of a linear probe, topics of unseen documents",
        "unit": "",
        "direction": "maximize",
        "value": float(np.mean(values)),
        "spread": float(np.std(values)),
        "seeds": len(values),
        "baseline": {"name": best, "value": scored[best]},
    }


def _table(
    runs: Mapping[str, Mapping[str, float]], others: Mapping[str, Mapping[str, float]], size: int
) -> dict[str, Any]:
    rows: list[list[Any]] = [[f"{NETWORK}, {size} numbers", *(_mean(runs, k) for k in FIGURES)]]
    if len(runs) > 1:
        spread = [float(np.std([run[k] for run in runs.values()])) for k in FIGURES]
        rows.append([f"spread over {len(runs)} seeds", *spread])
    rows += [[name, *(of.get(k) for k in FIGURES)] for name, of in others.items()]
    return {
        "title": "Test documents",
        "caption": (
            "Topics: the same linear probe and search for all, on ModApte-90. P@100: of the 100 "
            "nearest training documents, those with a topic in common. Variance: over the mean of "
            "each place, padding left out. Cosine: of a sentence's vector and its "
            "reconstruction's; rank: of its own vector among those of 512 sentences."
        ),
        "columns": ["vectors", *FIGURES.values()],
        "rows": rows,
    }


def _table_by_topic(data: Data, found: Topics, counted: Topics) -> dict[str, Any]:
    right = data.labelled.test_topics
    largest = np.argsort(-data.labelled.train_topics.sum(axis=0), kind="stable")[:TOP_TOPICS]

    def f1(said: Array, topic: int) -> float:
        return measure_f1(right[:, [topic]], said[:, [topic]])

    rows: list[list[Any]] = [
        [
            data.labelled.topics[n],
            int(right[:, n].sum()),
            f1(found.said, n),
            f1(counted.said, n),
        ]
        for n in largest
    ]
    ten = [
        measure_f1(right[:, largest], of.said[:, largest]) if len(largest) else 0.0
        for of in (found, counted)
    ]
    rows.append([f"all {len(largest)}", int(right[:, largest].sum()), *ten])
    return {
        "title": "The largest topics",
        "caption": "F1 of the published network's vectors and of TF-IDF.",
        "columns": ["topic", "test documents", NETWORK, "TF-IDF"],
        "rows": rows,
    }


def _table_of_neighbours(out: Path, data: Data, vectors: Array) -> dict[str, Any]:
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
    return {
        "title": "Nearest sentences",
        "caption": "Test sentences, and the nearest ones in other documents than the test's.",
        "columns": ["sentence", "nearest", "cosine"],
        "rows": table,
    }


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


def _draw(
    out: Path,
    data: Data,
    published: tuple[Array, Topics, Rebuilt],
    runs: Mapping[str, Mapping[str, float]],
    others: Mapping[str, Mapping[str, float]],
) -> list[dict[str, str]]:
    folder = out / "figures"
    documents, _topics, rebuilt = published
    bars = {NETWORK: _mean(runs, "micro_f1")}
    bars |= {name: of["micro_f1"] for name, of in others.items() if "micro_f1" in of}
    plot_bars(
        bars,
        folder / "topics.png",
        label="micro-F1 on ModApte-90",
        direction="maximize",
        highlight=[NETWORK],
    )
    cosines = {"its own reconstruction": rebuilt.cosines, "another's": rebuilt.mismatched}
    draw_cosines(cosines, folder / "cosines.png")
    figures = {
        "topics": ("Topics", "A linear probe on vectors that stay as they are."),
        "cosines": (
            "Sentences and reconstructions",
            "Cosine of a sentence's vector with that of a reconstruction.",
        ),
    }
    labelled = data.labelled
    if draw_topic_map(documents, labelled.test_topics, labelled.topics, folder / "map.png"):
        figures["map"] = ("Test documents", "t-SNE of their vectors; documents of one topic.")
    return [
        {"file": f"figures/{name}.png", "title": title, "caption": caption}
        for name, (title, caption) in figures.items()
    ]


def _notes(ctx: StageContext, data: Data) -> list[str]:
    facts = ctx.inputs["train"].facts
    return [
        f"Word vectors: {facts['word_vectors']}; {facts['words_with_vectors']:,} words have one, "
        f"{facts['unknown_share']:.1%} of the training words are not in the vocabulary.",
        f"Trained on {facts['training_sentences']:,} sentences; none is of ModApte's "
        f"{len(data.test):,} test documents. {facts['validation_sentences']:,} of other documents "
        "chose the published seed.",
        "A document's vector is the sum of what its sentences' vectors say they are about, beside "
        "half of its title's, both scaled to length 1.",
        "Every probe's cost and threshold were chosen on the last fifth of its training documents.",
    ]
