"""How well image-similarity does on pairs of digits that training never saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from regrow.models.image_similarity.figures import draw_mistakes, draw_neighbours, draw_roc
from regrow.models.image_similarity.network import VALIDATION_PAIRS, VALIDATION_SEED, embed
from regrow.models.image_similarity.pairs import Pairs, find_neighbours, make_pairs
from regrow.models.image_similarity.score import take_test_pairs
from regrow.models.image_similarity.threshold import choose_threshold, measure_accuracy
from regrow.report.charts import plot_comparison
from regrow.report.evaluation import Comparison, Evaluation, Figures, Table
from regrow.training.inference import answer, load_model
from regrow.training.seeds import load_runs
from regrow.vision.digits import Array, Digits, read_digits
from regrow.vision.figures import draw_map

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from regrow.store.context import StageContext

NETWORK, PIXELS = "Siamese network", "pixel distance"
METRICS = {"accuracy": "accuracy", "auc": "area under ROC", "neighbour_accuracy": "nearest"}
PCA_SIZE = 16


def evaluate(ctx: StageContext) -> dict[str, Any]:
    """Measures every seed and the baselines on the same test pairs.

    Writes `evaluation.json`, `predictions.parquet` (digit ids, same, distance, similarity) and the
    figures.
    """
    table, train = ctx.inputs["clean"].file("table.parquet"), ctx.inputs["train"]
    training, validation = read_digits(table, "train"), read_digits(table, "validation")
    test, pairs = take_test_pairs(table)
    models = load_runs(train.path, "siamese").values()
    runs = [_measure(model, training, test, pairs) for model in models]
    ctx.progress("baselines", 0, 1)
    baselines = _measure_baselines(training, validation, test, pairs)
    ctx.progress("baselines", 1, 1)
    comparison = Comparison(NETWORK, runs, baselines)
    published = load_model(train.file("model.keras"))
    predictions = _predict(published, test, pairs)
    predictions.to_parquet(ctx.out / "predictions.parquet", index=False)
    is_right = (predictions["similarity"] > 0.5) == predictions["same"]
    figures = _draw_scores(ctx.out, comparison, test, pairs, predictions)
    _add_pictures(figures, published, training, test, pairs, predictions["similarity"].to_numpy())
    return Evaluation(
        headline=comparison.headline(
            "accuracy",
            "correctly classified pairs of unseen digits",
            direction="maximize",
            simplest=PIXELS,
        ),
        metrics={"accuracy": is_right.mean(), **comparison.means(METRICS)},
        tables=(_tabulate(comparison, len(pairs), len(test)),),
        figures=figures,
        notes=(
            "No picture in a test pair occurs in a training or validation pair: the "
            f"{len(training):,} training, {len(validation)} validation and {len(test)} test "
            "digits are split by the digest of their pixels.",
            "All thresholds, including those of the baselines, were chosen on the same "
            "validation pairs.",
            "The digits have 8 x 8 pixels; the same writers may occur in all three splits.",
        ),
    ).write(ctx.out, test_pairs=len(pairs))


def _predict(model: keras.Model, test: Digits, pairs: Pairs) -> pd.DataFrame:
    import pandas as pd

    found = answer(model, pairs.take(test.pixels))
    return pd.DataFrame(
        {
            "first": test.digit_id[pairs.first],
            "second": test.digit_id[pairs.second],
            "same": pairs.same[:, 0] > 0.5,
            **{name: values[:, 0] for name, values in found.items()},
        }
    )


def _measure(model: keras.Model, training: Digits, test: Digits, pairs: Pairs) -> dict[str, float]:
    from sklearn.metrics import roc_auc_score

    similarity = answer(model, pairs.take(test.pixels))["similarity"]
    known, new = embed(model, training.pixels), embed(model, test.pixels)
    return {
        "accuracy": float(np.mean((similarity > 0.5) == (pairs.same > 0.5))),
        "auc": float(roc_auc_score(pairs.same[:, 0], similarity[:, 0])),
        "neighbour_accuracy": _name_by_neighbour(known, training, new, test),
    }


def _measure_baselines(
    training: Digits, validation: Digits, test: Digits, pairs: Pairs
) -> dict[str, dict[str, float]]:
    """The same figures for distances between plain vectors."""
    from sklearn.decomposition import PCA
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.metrics import roc_auc_score

    held_out = make_pairs(validation, VALIDATION_PAIRS, VALIDATION_SEED)
    flat = {id(part): part.pixels.reshape(len(part), -1) for part in (training, validation, test)}
    pca = PCA(PCA_SIZE, random_state=0).fit(flat[id(training)])
    lda = LinearDiscriminantAnalysis().fit(flat[id(training)], training.labels)
    ways = {
        PIXELS: lambda x: x,
        f"distance between {PCA_SIZE} principal components": pca.transform,
        "distance between linear discriminants": lda.transform,
    }
    figures = {}
    for name, transform in ways.items():
        known, seen, new = (transform(flat[id(part)]) for part in (training, validation, test))
        threshold, _slope = choose_threshold(_distances(seen, held_out), held_out.same[:, 0])
        distance = _distances(new, pairs)
        figures[name] = {
            "accuracy": measure_accuracy(distance, pairs.same[:, 0], threshold),
            "auc": float(roc_auc_score(pairs.same[:, 0], -distance)),
            "neighbour_accuracy": _name_by_neighbour(known, training, new, test),
        }
    return figures


def _distances(vectors: Array, pairs: Pairs) -> Array:
    distances: Array = np.linalg.norm(vectors[pairs.first] - vectors[pairs.second], axis=1)
    return distances


def _name_by_neighbour(known: Array, training: Digits, new: Array, test: Digits) -> float:
    """How often the nearest training digit is the same digit."""
    nearest = find_neighbours(known, new, 1)[:, 0]
    return float(np.mean(training.labels[nearest] == test.labels))


def _tabulate(comparison: Comparison, pairs: int, digits: int) -> Table:
    accuracy, *others = METRICS.values()
    return Table(
        title="Test pairs",
        caption=(
            f"{pairs:,} pairs of {digits} unseen digits, half of which show the same digit. The "
            "last column is the share of test digits whose nearest training digit is the same "
            "digit."
        ),
        columns=("model", accuracy, "standard deviation over seeds", *others),
        rows=comparison.rows(METRICS, spreads=["accuracy"]),
        best_by=accuracy,
        direction="maximize",
    )


def _draw_scores(
    out: Path, comparison: Comparison, test: Digits, pairs: Pairs, predictions: pd.DataFrame
) -> Figures:
    figures = Figures(out)
    path = figures.add(
        "accuracy.png", "Comparison with simple distances", "Each method uses its own threshold."
    )
    label = "accuracy on test pairs"
    plot_comparison(comparison, "accuracy", path, label=label, direction="maximize")
    path = figures.add(
        "roc.png",
        "Verification",
        "Accepted pairs of the same digit versus accepted pairs of different digits, for all "
        "thresholds. The horizontal axis is logarithmic, because the range with few errors is "
        "the most relevant.",
    )
    raw = _distances(test.pixels.reshape(len(test), -1), pairs)
    scores = {NETWORK: predictions["similarity"].to_numpy(), PIXELS: -raw}
    draw_roc(pairs, scores, path)
    return figures


def _add_pictures(
    figures: Figures,
    model: keras.Model,
    training: Digits,
    test: Digits,
    pairs: Pairs,
    similarity: Array,
) -> None:
    known, new = embed(model, training.pixels), embed(model, test.pixels)
    path = figures.add(
        "neighbours.png",
        "Nearest training digits",
        "Left: a test digit. Right: the training digits with the nearest vectors.",
    )
    draw_neighbours(training, test, known, new, path)
    path = figures.add(
        "map.png", "Test digits by their vectors", "The first two principal components."
    )
    draw_map(new, test.labels, path)
    if draw_mistakes(test, pairs, similarity, figures.out / "figures" / "mistakes.png"):
        figures.add("mistakes.png", "Wrong pairs", "The wrong pairs with the highest confidence.")
