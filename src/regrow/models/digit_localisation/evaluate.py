"""How well digit-localisation does on scenes of digits that training never saw."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.engine.inference import answer, load_model
from regrow.engine.plots import plot_bars
from regrow.engine.store import write_json
from regrow.engine.trainings import load_runs
from regrow.models.digit_localisation.boxes import measure_iou
from regrow.models.digit_localisation.data import BOX, Table, read_scenes
from regrow.models.digit_localisation.scenes import CANVAS
from regrow.models.digit_localisation.score import FOUND_IOU, measure
from regrow.vision.digits import CLASSES, Array
from regrow.vision.figures import draw_grid

if TYPE_CHECKING:
    from pathlib import Path

    from regrow.engine.spec import StageContext

NETWORK = "one network, two outputs"
METRICS = {"found": "found", "accuracy": "digit", "iou": "IoU"}
GRID = (4, 6)


def evaluate(ctx: StageContext) -> dict[str, Any]:
    """Measures every seed and the baselines on the same test scenes.

    Writes `evaluation.json`, `predictions.parquet` (scene, label, predicted digit, confidence,
    overlap and box in pixels) and the figures.
    """
    import pandas as pd

    table = ctx.inputs["clean"].file("table.parquet")
    training, test = read_scenes(table, "train"), read_scenes(table, "test")
    runs = []
    for model in load_runs(ctx.inputs["train"].path, "scenes").values():
        found = answer(model, test.pixels)
        runs.append(measure(test, found["digit"].argmax(axis=1), found["box"]))
    baselines = _measure_baselines(training, test, ctx.progress)
    published = load_model(ctx.inputs["train"].file("model.keras"))
    found = answer(published, test.pixels)
    frame = pd.DataFrame({"scene_id": test.scene_id, "label": test.labels})
    frame["digit"] = found["digit"].argmax(axis=1)
    frame["confidence"] = found["digit"].max(axis=1)
    frame["iou"] = measure_iou(found["box"], test.boxes)
    for n, name in enumerate(BOX):
        frame[name] = found["box"][:, n] * CANVAS
    frame.to_parquet(ctx.out / "predictions.parquet", index=False)
    values = [run["found"] for run in runs]
    best = max(baselines, key=lambda name: baselines[name]["found"])
    evaluation = {
        "headline": {
            "metric": "found",
            "label": f"scenes with the right digit and a box that overlaps by {FOUND_IOU:.0%}",
            "unit": "",
            "direction": "maximize",
            "value": float(np.mean(values)),
            "spread": float(np.std(values)),
            "seeds": len(values),
            "baseline": {"name": best, "value": baselines[best]["found"]},
        },
        "metrics": {
            **measure(test, frame["digit"].to_numpy(), found["box"]),
            **{f"mean_{key}": float(np.mean([run[key] for run in runs])) for key in METRICS},
        },
        "tables": [
            _table(runs, baselines, len(test.labels)),
            _table_by_digit(frame["digit"].to_numpy(), frame["iou"].to_numpy(), test),
        ],
        "figures": _draw(ctx.out, test, found, runs, baselines),
        "notes": [
            "The test scenes are made of digits that are in no training or validation scene; "
            "fragments come from the same split as the digit.",
            "Fragments lie beside the digit, never across it: one across a 1 could make it a 7.",
            "IoU is the area that two boxes share, divided by the area that they cover together.",
        ],
    }
    write_json(ctx.out / "evaluation.json", evaluation)
    return {"metrics": evaluation["metrics"], "test_scenes": len(test.labels)}


def _measure_baselines(training: Table, test: Table, progress: Any) -> dict[str, dict[str, float]]:
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
        "always the same answer": (
            np.full(len(new), commonest),
            np.tile(training.boxes.mean(axis=0), (len(new), 1)),
        )
    }
    ways: dict[str, tuple[Any, Any]] = {
        "linear models": (
            LogisticRegression(max_iter=500),
            Ridge(),
        ),
        "five nearest scenes": (
            KNeighborsClassifier(5),
            KNeighborsRegressor(5),
        ),
    }
    for number, (name, (classifier, regressor)) in enumerate(ways.items()):
        progress("baselines", number, len(ways))
        labels = classifier.fit(known, training.labels).predict(new)
        answers[name] = (labels, regressor.fit(known, training.boxes).predict(new))
    progress("baselines", len(ways), len(ways))
    return {name: measure(test, *given) for name, given in answers.items()}


def _table(
    runs: list[dict[str, float]], baselines: dict[str, dict[str, float]], scenes: int
) -> dict[str, Any]:
    row: list[Any] = [f"{NETWORK} ({len(runs)} seeds)"]
    for key in METRICS:
        values = [run[key] for run in runs]
        row += [float(np.mean(values)), float(np.std(values))]
    rows = [row]
    for name, of in baselines.items():
        rows.append([name, *(value for key in METRICS for value in (of[key], None))])
    # Every column needs a name of its own.
    spreads = {key: f"± {label}" for key, label in METRICS.items()}
    heads = [head for key, label in METRICS.items() for head in (label, spreads[key])]
    return {
        "title": "Test scenes",
        "caption": (
            f"{scenes:,} scenes of digits that training never saw. Found: the digit is right and "
            f"its box overlaps the true one by {FOUND_IOU:.0%} or more; ± is the spread over "
            "seeds. The simple ways see 64 principal components."
        ),
        "columns": ["model", *heads],
        "rows": rows,
    }


def _table_by_digit(labels: Array, overlap: Array, test: Table) -> dict[str, Any]:
    rows: list[list[Any]] = []
    for digit in np.unique(test.labels):
        there, said = test.labels == digit, labels == digit
        wrong = np.bincount(labels[there & ~said], minlength=CLASSES)
        rows.append(
            [
                str(digit),
                int(there.sum()),
                float(np.mean(said[there])),
                float(np.mean(there[said])) if said.any() else None,
                float(np.mean(overlap[there])),
                f"{wrong.argmax()} ({wrong.max()} times)" if wrong.any() else "none",
            ]
        )
    return {
        "title": "By digit",
        "caption": "The published network on the test scenes.",
        "columns": ["digit", "scenes", "recall", "precision", "mean IoU", "most often taken for"],
        "rows": rows,
        "best_by": None,
    }


def _draw(
    out: Path,
    test: Table,
    found: dict[str, Array],
    runs: list[dict[str, float]],
    baselines: dict[str, dict[str, float]],
) -> list[dict[str, str]]:
    figures = out / "figures"
    name = f"{NETWORK} ({len(runs)} seeds)"
    plot_bars(
        {
            name: float(np.mean([run["found"] for run in runs])),
            **{key: of["found"] for key, of in baselines.items()},
        },
        figures / "found.png",
        label="test scenes found",
        direction="maximize",
        highlight=[name],
    )
    overlap = measure_iou(found["box"], test.boxes)
    right = found["digit"].argmax(axis=1) == test.labels
    count = GRID[0] * GRID[1]
    _draw_scenes(test, found, np.arange(count), figures / "scenes.png")
    worst = np.argsort(np.where(right, overlap, overlap - 1), kind="stable")[:count]
    _draw_scenes(test, found, worst, figures / "worst.png")
    boxes = "Dashed the true box, solid the network's; above the digit that it names."
    captions = {
        "found": ("Beside simple ways", "The share of test scenes that are found."),
        "scenes": ("Test scenes", boxes),
        "worst": ("The worst test scenes", f"Wrong digits first. {boxes}"),
    }
    return [
        {"file": f"figures/{key}.png", "title": title, "caption": caption}
        for key, (title, caption) in captions.items()
    ]


def _draw_scenes(test: Table, found: dict[str, Array], chosen: Array, out: Path) -> None:
    rows = chosen.reshape(GRID)
    labels = found["digit"].argmax(axis=1)
    draw_grid(
        [list(test.pixels[row]) for row in rows],
        out,
        titles=[
            [
                str(labels[n])
                if labels[n] == test.labels[n]
                else f"{labels[n]}, is {test.labels[n]}"
                for n in row
            ]
            for row in rows
        ],
        wrong=[[bool(labels[n] != test.labels[n]) for n in row] for row in rows],
        boxes=[
            [{"true": test.boxes[n] * CANVAS, "network": found["box"][n] * CANVAS} for n in row]
            for row in rows
        ],
    )
