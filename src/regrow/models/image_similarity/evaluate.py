"""How well image-similarity does on pairs of digits that training never saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from regrow.engine.chart_style import Theme, draw
from regrow.engine.inference import answer, load_model
from regrow.engine.plots import plot_bars
from regrow.engine.store import write_json
from regrow.engine.trainings import load_runs
from regrow.models.image_similarity.network import VALIDATION_PAIRS, VALIDATION_SEED, embed
from regrow.models.image_similarity.pairs import Pairs, make_pairs
from regrow.models.image_similarity.score import take_test_pairs
from regrow.models.image_similarity.threshold import choose_threshold, measure_accuracy
from regrow.vision.digits import Array, Digits, read_digits
from regrow.vision.figures import draw_grid, draw_map

if TYPE_CHECKING:
    from pathlib import Path

    from regrow.engine.spec import StageContext

PCA_SIZE = 16
NEIGHBOURS = 6
MISTAKES = 10


def evaluate(ctx: StageContext) -> dict[str, Any]:
    """Measures every seed and the baselines on the same test pairs.

    Writes `evaluation.json`, `predictions.parquet` (digit ids, same, distance, similarity) and the
    figures.
    """
    import pandas as pd

    table = ctx.inputs["clean"].file("table.parquet")
    training, validation = read_digits(table, "train"), read_digits(table, "validation")
    test, pairs = take_test_pairs(table)
    runs = {
        seed: _measure(model, training, test, pairs)
        for seed, model in load_runs(ctx.inputs["train"].path, "siamese").items()
    }
    ctx.progress("baselines", 0, 1)
    baselines = _measure_baselines(training, validation, test, pairs)
    ctx.progress("baselines", 1, 1)
    published = load_model(ctx.inputs["train"].file("model.keras"))
    found = {k: v[:, 0] for k, v in answer(published, pairs.take(test.pixels)).items()}
    frame = pd.DataFrame(
        {
            "first": test.digit_id[pairs.first],
            "second": test.digit_id[pairs.second],
            "same": pairs.same[:, 0] > 0.5,
            **found,
        }
    )
    frame.to_parquet(ctx.out / "predictions.parquet", index=False)
    evaluation = {
        "headline": _headline(runs, baselines),
        "metrics": {
            "accuracy": float(np.mean((found["similarity"] > 0.5) == frame["same"])),
            **{
                f"mean_{key}": float(np.mean([run[key] for run in runs.values()]))
                for key in ("accuracy", "auc", "neighbour_accuracy")
            },
        },
        "tables": [_table(runs, baselines, len(pairs), len(test))],
        "figures": _draw(ctx.out, published, training, test, pairs, found, runs, baselines),
        "notes": [
            f"No picture of a test pair was in a training or validation pair: the "
            f"{len(training):,} training, {len(validation)} validation and {len(test)} test digits "
            "are split by the digest of their pixels.",
            "Every threshold, the baselines' too, was chosen on the same validation pairs.",
            "The digits are 8 x 8 pixels; the same writers may be in all three splits.",
        ],
    }
    write_json(ctx.out / "evaluation.json", evaluation)
    return {"metrics": evaluation["metrics"], "test_pairs": len(pairs)}


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
        "distance of pixels": lambda x: x,
        f"distance of {PCA_SIZE} principal components": pca.transform,
        "distance of linear discriminants": lda.transform,
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
    nearest = _find_neighbours(known, new, 1)[:, 0]
    return float(np.mean(training.labels[nearest] == test.labels))


def _find_neighbours(known: Array, new: Array, count: int) -> Array:
    from sklearn.neighbors import NearestNeighbors

    found: Array = (
        NearestNeighbors(n_neighbors=count).fit(known).kneighbors(new, return_distance=False)
    )
    return found


def _headline(runs: dict[str, Any], baselines: dict[str, Any]) -> dict[str, Any]:
    values = [run["accuracy"] for run in runs.values()]
    best = max(baselines, key=lambda name: baselines[name]["accuracy"])
    return {
        "metric": "accuracy",
        "label": "pairs of unseen digits decided rightly",
        "unit": "",
        "direction": "maximize",
        "value": float(np.mean(values)),
        "spread": float(np.std(values)),
        "seeds": len(values),
        "baseline": {"name": best, "value": baselines[best]["accuracy"]},
    }


def _table(
    runs: dict[str, Any], baselines: dict[str, Any], pairs: int, digits: int
) -> dict[str, Any]:
    def mean(key: str) -> float:
        return float(np.mean([run[key] for run in runs.values()]))

    spread = float(np.std([run["accuracy"] for run in runs.values()]))
    network = [f"Siamese network ({len(runs)} seeds)", mean("accuracy"), spread]
    return {
        "title": "Test pairs",
        "caption": (
            f"{pairs:,} pairs of {digits} digits that training never saw, half of them of the same "
            "digit; in the last column, how often the nearest training digit is the same digit."
        ),
        "columns": ["model", "accuracy", "spread over seeds", "area under ROC", "nearest"],
        "rows": [
            [*network, mean("auc"), mean("neighbour_accuracy")],
            *(
                [name, of["accuracy"], None, of["auc"], of["neighbour_accuracy"]]
                for name, of in baselines.items()
            ),
        ],
    }


def _draw(
    out: Path,
    model: keras.Model,
    training: Digits,
    test: Digits,
    pairs: Pairs,
    found: dict[str, Array],
    runs: dict[str, Any],
    baselines: dict[str, Any],
) -> list[dict[str, str]]:
    figures = out / "figures"
    vectors = embed(model, test.pixels)
    name = f"Siamese network ({len(runs)} seeds)"
    accuracy = {k: of["accuracy"] for k, of in baselines.items()}
    accuracy[name] = float(np.mean([run["accuracy"] for run in runs.values()]))
    plot_bars(
        accuracy,
        figures / "accuracy.png",
        label="accuracy on test pairs",
        direction="maximize",
        highlight=[name],
    )
    raw = _distances(test.pixels.reshape(len(test), -1), pairs)
    curves = {"Siamese network": found["similarity"], "distance of pixels": -raw}
    _draw_roc(pairs, curves, figures / "roc.png")
    _draw_neighbours(training, test, embed(model, training.pixels), vectors, figures)
    draw_map(vectors, test.labels, figures / "map.png")
    captions = {
        "accuracy": ("Beside simple distances", "Each with its own threshold."),
        "roc": (
            "Verification",
            "Pairs of the same digit accepted against pairs of different digits accepted, for all "
            "thresholds; the lower axis is logarithmic, as few errors are what matters.",
        ),
        "neighbours": (
            "Nearest training digits",
            "Left a test digit, then the training digits whose vectors are nearest.",
        ),
        "map": ("Test digits by their vectors", "The two main axes of the vectors."),
    }
    if _draw_mistakes(test, pairs, found, figures):
        captions["mistakes"] = ("Wrong pairs", "Those that the network is surest of.")
    return [
        {"file": f"figures/{key}.png", "title": title, "caption": caption}
        for key, (title, caption) in captions.items()
    ]


def _draw_roc(pairs: Pairs, scores: dict[str, Array], out: Path) -> None:
    from sklearn.metrics import roc_curve

    floor = 1 / len(pairs)

    def paint(figure: Figure, theme: Theme) -> None:
        axes = figure.subplots()
        for n, (name, values) in enumerate(scores.items()):
            wrong, right, _thresholds = roc_curve(pairs.same[:, 0], values)
            axes.plot(np.maximum(wrong, floor), right, color=theme.series[n], lw=1.6, label=name)
        axes.set(xscale="log", xlim=(floor, 1), ylim=(0, 1.02))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda share, _position: f"{share:.6g}"))
        axes.set_xlabel("different digits accepted")
        axes.set_ylabel("same digits accepted")
        axes.legend(loc="lower right")

    draw(out, paint, height_in=3.6)


def _draw_neighbours(
    training: Digits, test: Digits, known: Array, new: Array, figures: Path
) -> None:
    """One test digit of each class, and the training digits nearest to it."""
    rows = [int(np.flatnonzero(test.labels == label)[0]) for label in np.unique(test.labels)]
    nearest = _find_neighbours(known, new[rows], NEIGHBOURS)
    draw_grid(
        [
            [test.pixels[row], *training.pixels[found]]
            for row, found in zip(rows, nearest, strict=True)
        ],
        figures / "neighbours.png",
        titles=[
            [f"test {test.labels[row]}", *(str(training.labels[n]) for n in found)]
            for row, found in zip(rows, nearest, strict=True)
        ],
        wrong=[
            [False, *(training.labels[found] != test.labels[row])]
            for row, found in zip(rows, nearest, strict=True)
        ],
        picture_in=0.8,
    )


def _draw_mistakes(test: Digits, pairs: Pairs, found: dict[str, Array], figures: Path) -> bool:
    similarity, same = found["similarity"], pairs.same[:, 0]
    error = np.abs(similarity - same)
    worst: list[int] = []
    seen: set[int] = set()
    for n in np.argsort(-error, kind="stable"):
        if error[n] <= 0.5 or len(worst) == MISTAKES:
            break
        # A digit that is always mistaken would fill the figure.
        members_now = {int(pairs.first[n]), int(pairs.second[n])}
        if not members_now <= seen:
            worst.append(int(n))
            seen |= members_now
    if not worst:
        return False
    members = (pairs.first[worst], pairs.second[worst])
    draw_grid(
        [list(test.pixels[member]) for member in members],
        figures / "mistakes.png",
        titles=[
            [
                f"{test.labels[n]}: {s:.0%} alike"
                for n, s in zip(members[0], similarity[worst], strict=True)
            ],
            [str(label) for label in test.labels[members[1]]],
        ],
    )
    return True
