"""How well digit-localisation does on scenes of digits that training never saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.models.digit_localisation.boxes import measure_iou
from regrow.models.digit_localisation.data import BOX, SceneSplit, read_scenes
from regrow.models.digit_localisation.figures import draw_scenes
from regrow.models.digit_localisation.scenes import CANVAS
from regrow.models.digit_localisation.score import FOUND_IOU, measure
from regrow.report.charts import plot_comparison
from regrow.report.evaluation import Comparison, Evaluation, Figures, Table
from regrow.training.inference import answer, load_model
from regrow.training.seeds import load_runs
from regrow.vision.digits import CLASSES, Array

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from regrow.store.context import StageContext

NETWORK, SAME = "one network, two outputs", "constant prediction"
METRICS = {"found": "found", "accuracy": "digit", "iou": "IoU"}
SHOWN = 24
NOTES = (
    "The digits in the test scenes do not occur in training or validation scenes; fragments come "
    "from the same split as the digit.",
    "Fragments never overlap the digit: a fragment across a 1 could turn it into a 7.",
    "IoU is the intersection area of two boxes divided by the area of their union.",
)


def evaluate(ctx: StageContext) -> dict[str, Any]:
    """Measures every seed and the baselines on the same test scenes.

    Writes `evaluation.json`, `predictions.parquet` (scene, label, predicted digit, confidence,
    overlap and box in pixels) and the figures.
    """
    table, train = ctx.inputs["clean"].file("table.parquet"), ctx.inputs["train"]
    training, test = read_scenes(table, "train"), read_scenes(table, "test")
    runs = []
    for model in load_runs(train.path, "scenes").values():
        found = answer(model, test.pixels)
        runs.append(measure(test, found["digit"].argmax(axis=1), found["box"]))
    baselines = _measure_baselines(training, test, ctx.progress)
    comparison = Comparison(NETWORK, runs, baselines)
    found = answer(load_model(train.file("model.keras")), test.pixels)
    predictions = _predict(test, found)
    predictions.to_parquet(ctx.out / "predictions.parquet", index=False)
    labels = predictions["digit"].to_numpy()
    return Evaluation(
        headline=comparison.headline(
            "found",
            f"scenes with the correct digit and a box that overlaps by {FOUND_IOU:.0%}",
            direction="maximize",
            simplest=SAME,
        ),
        metrics={**measure(test, labels, found["box"]), **comparison.means(METRICS)},
        tables=(
            _tabulate(comparison, len(test.labels)),
            _tabulate_by_digit(labels, predictions["iou"].to_numpy(), test),
        ),
        figures=_draw(ctx.out, test, found, comparison),
        notes=NOTES,
    ).write(ctx.out, test_scenes=len(test.labels))


def _predict(test: SceneSplit, found: dict[str, Array]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame({"scene_id": test.scene_id, "label": test.labels})
    frame["digit"] = found["digit"].argmax(axis=1)
    frame["confidence"] = found["digit"].max(axis=1)
    frame["iou"] = measure_iou(found["box"], test.boxes)
    for n, name in enumerate(BOX):
        frame[name] = found["box"][:, n] * CANVAS
    return frame


def _measure_baselines(
    training: SceneSplit, test: SceneSplit, progress: Any
) -> dict[str, dict[str, float]]:
    """What simple ways find: always the same, linear models and neighbours on the pixels."""
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    flat = [
        part.pixels.reshape(len(part.labels), -1) / np.float32(255) for part in (training, test)
    ]
    pca = PCA(64, random_state=0).fit(flat[0])
    known, new = pca.transform(flat[0]), pca.transform(flat[1])
    commonest = np.bincount(training.labels).argmax()
    answers: dict[str, tuple[Array, Array]] = {
        SAME: (np.full(len(new), commonest), np.tile(training.boxes.mean(axis=0), (len(new), 1)))
    }
    ways: dict[str, tuple[Any, Any]] = {
        "linear models": (LogisticRegression(max_iter=500), Ridge()),
        "five nearest scenes": (KNeighborsClassifier(5), KNeighborsRegressor(5)),
    }
    for number, (name, (classifier, regressor)) in enumerate(ways.items()):
        progress("baselines", number, len(ways))
        labels = classifier.fit(known, training.labels).predict(new)
        answers[name] = (labels, regressor.fit(known, training.boxes).predict(new))
    progress("baselines", len(ways), len(ways))
    return {name: measure(test, *given) for name, given in answers.items()}


def _tabulate(comparison: Comparison, scenes: int) -> Table:
    heads = [head for label in METRICS.values() for head in (label, f"± {label}")]
    return Table(
        title="Test scenes",
        caption=(
            f"{scenes:,} scenes with unseen digits. Found: the digit is correct and its box "
            f"overlaps the true box by {FOUND_IOU:.0%} or more; ± is the standard deviation over "
            "seeds. The baselines use 64 principal components."
        ),
        columns=("model", *heads),
        rows=comparison.rows(METRICS, spreads=METRICS),
        best_by="found",
        direction="maximize",
    )


def _tabulate_by_digit(labels: Array, overlap: Array, test: SceneSplit) -> Table:
    rows: list[tuple[Any, ...]] = []
    for digit in np.unique(test.labels):
        there, said = test.labels == digit, labels == digit
        wrong = np.bincount(labels[there & ~said], minlength=CLASSES)
        rows.append(
            (
                str(digit),
                there.sum(),
                said[there].mean(),
                there[said].mean() if said.any() else None,
                overlap[there].mean(),
                f"{wrong.argmax()} ({wrong.max()} times)" if wrong.any() else "none",
            )
        )
    return Table(
        title="By digit",
        caption="Results of the published network on the test scenes.",
        columns=("digit", "scenes", "recall", "precision", "mean IoU", "most often confused with"),
        rows=rows,
    )


def _draw(out: Path, test: SceneSplit, found: dict[str, Array], comparison: Comparison) -> Figures:
    figures = Figures(out)
    path = figures.add(
        "found.png",
        "Comparison with baselines",
        "The share of test scenes in which the digit is found.",
    )
    plot_comparison(comparison, "found", path, label="test scenes found", direction="maximize")
    overlap = measure_iou(found["box"], test.boxes)
    right = found["digit"].argmax(axis=1) == test.labels
    boxes = "Dashed: the true box. Solid: the predicted box. The label is the predicted digit."
    draw_scenes(test, found, np.arange(SHOWN), figures.add("scenes.png", "Test scenes", boxes))
    worst = np.argsort(np.where(right, overlap, overlap - 1), kind="stable")[:SHOWN]
    path = figures.add("worst.png", "The worst test scenes", f"Wrong digits first. {boxes}")
    draw_scenes(test, found, worst, path)
    return figures
