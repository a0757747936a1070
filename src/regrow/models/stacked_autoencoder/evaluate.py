"""How well stacked-autoencoder restores unseen digits, and what its code is worth."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from matplotlib.figure import Figure

from regrow.engine.chart_style import Theme, draw
from regrow.engine.inference import answer
from regrow.engine.plots import plot_bars
from regrow.engine.store import write_json
from regrow.engine.trainings import load_runs
from regrow.models.stacked_autoencoder.network import WAYS, Coder, scale
from regrow.models.stacked_autoencoder.score import measure_error
from regrow.vision.digits import CLASSES, INK_MAX, Array, Digits, read_digits
from regrow.vision.figures import draw_grid, draw_map

if TYPE_CHECKING:
    from pathlib import Path

    from regrow.engine.spec import StageContext

PUBLISHED = f"trained {WAYS[0].replace('-', ' ')}"


def evaluate(ctx: StageContext) -> dict[str, Any]:
    """Measures every seed of both ways and the baselines on the test digits.

    Writes `evaluation.json`, `predictions.parquet` (digit id, label, mse, code) and the figures.
    """
    import pandas as pd

    table, train = ctx.inputs["clean"].file("table.parquet"), ctx.inputs["train"]
    training, test = read_digits(table, "train"), read_digits(table, "test")
    runs: dict[str, list[dict[str, float]]] = {}
    for way in WAYS:
        models = load_runs(train.path, way).values()
        label = f"trained {way.replace('-', ' ')}"
        runs[label] = [_measure(_code(model), training, test) for model in models]
    size = ctx.config.widths[-1]
    coders = {
        f"PCA, {size} components": _fit_pca(training, size),
        "untrained network": _code(Coder(ctx.config.widths).publish()),
    }
    baselines = {name: _measure(coder, training, test) for name, coder in coders.items()}
    baselines["all 64 pixels"] = {"probe": _probe(scale(training), training, scale(test), test)}
    published = keras.saving.load_model(train.file("model.keras"))
    code, restored = _code(published)(test)
    frame = pd.DataFrame({"digit_id": test.digit_id, "label": test.labels})
    frame["mse"] = (((restored - test.pixels) / INK_MAX) ** 2).mean(axis=(1, 2, 3))
    for n, column in enumerate(code.T):
        frame[f"code_{n}"] = column
    frame.to_parquet(ctx.out / "predictions.parquet", index=False)
    history = json.loads(train.file("history.json").read_text())
    pictures = {"test digit": test.pixels, PUBLISHED: restored}
    pictures[f"PCA, {size} components"] = coders[f"PCA, {size} components"](test)[1]
    values = [run["mse"] for run in runs[PUBLISHED]]
    best = min((n for n in baselines if "mse" in baselines[n]), key=lambda n: baselines[n]["mse"])
    evaluation = {
        "headline": {
            "metric": "mse",
            "label": f"mean squared error of digits restored from {size} numbers",
            "unit": "",
            "direction": "minimize",
            "value": float(np.mean(values)),
            "spread": float(np.std(values)),
            "seeds": len(values),
            "baseline": {"name": best, "value": baselines[best]["mse"]},
        },
        "metrics": {
            "mse": measure_error(test, restored),
            "mean_mse": float(np.mean(values)),
            "mean_probe_accuracy": float(np.mean([run["probe"] for run in runs[PUBLISHED]])),
        },
        "tables": [_table(runs, baselines, len(test))],
        "figures": _draw(ctx.out, runs, baselines, history, pictures, code, test),
        "notes": [
            "Both ways make the same number of passes over the training digits.",
            f"The {len(training):,} training and {len(test)} test digits are split by the digest "
            "of their pixels; the same writers may be in both.",
            "Ink counts from 0 to 1 in all errors. The probe is a logistic regression on the code.",
        ],
    }
    write_json(ctx.out / "evaluation.json", evaluation)
    return {"metrics": evaluation["metrics"], "test_digits": len(test)}


def _code(model: keras.Model) -> Any:
    """A function from digits to their code and their restored pictures, in ink 0 to 16."""

    def run(digits: Digits) -> tuple[Array, Array]:
        found = answer(model, digits.pixels)
        return found["code"], found["reconstruction"]

    return run


def _fit_pca(training: Digits, size: int) -> Any:
    from sklearn.decomposition import PCA

    pca = PCA(size, random_state=0).fit(scale(training))

    def run(digits: Digits) -> tuple[Array, Array]:
        code = pca.transform(scale(digits))
        return code, INK_MAX * pca.inverse_transform(code).reshape(digits.pixels.shape)

    return run


def _measure(coder: Any, training: Digits, test: Digits) -> dict[str, float]:
    known, _restored = coder(training)
    code, restored = coder(test)
    return {"mse": measure_error(test, restored), "probe": _probe(known, training, code, test)}


def _probe(known: Array, training: Digits, code: Array, test: Digits) -> float:
    """Accuracy of a linear classifier that sees the codes alone."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return float(probe.fit(known, training.labels).score(code, test.labels))


def _table(
    runs: dict[str, list[dict[str, float]]], baselines: dict[str, dict[str, float]], digits: int
) -> dict[str, Any]:
    rows: list[list[Any]] = []
    for name, found in runs.items():
        error, probe = ([run[key] for run in found] for key in ("mse", "probe"))
        seeds = f"{name} ({len(found)} seeds)"
        rows.append([seeds, *(float(f(v)) for v in (error, probe) for f in (np.mean, np.std))])
    for name, values in baselines.items():
        rows.append([name, values.get("mse"), None, values["probe"], None])
    return {
        "title": "Test digits",
        "caption": f"{digits} digits that training never saw.",
        "columns": [
            "code",
            "mean squared error",
            "spread",
            "accuracy of a linear probe",
            "spread ",
        ],
        "rows": rows,
    }


def _draw(
    out: Path,
    runs: dict[str, list[dict[str, float]]],
    baselines: dict[str, dict[str, float]],
    history: list[dict[str, Any]],
    pictures: dict[str, Array],
    code: Array,
    test: Digits,
) -> list[dict[str, str]]:
    figures = out / "figures"
    errors = {name: of["mse"] for name, of in baselines.items() if "mse" in of}
    means = {name: float(np.mean([run["mse"] for run in found])) for name, found in runs.items()}
    plot_bars(
        {**means, **errors},
        figures / "errors.png",
        label="mean squared error on test digits",
        highlight=[PUBLISHED],
        spreads={name: float(np.std([r["mse"] for r in found])) for name, found in runs.items()},
    )
    _draw_phases(history, figures / "phases.png")
    shown = [int(np.flatnonzero(test.labels == label)[0]) for label in range(CLASSES)]
    draw_grid(
        [list(np.clip(pixels[shown], 0, INK_MAX)) for pixels in pictures.values()],
        figures / "restored.png",
        row_names=list(pictures),
    )
    draw_map(code, test.labels, figures / "map.png")
    captions = {
        "errors": ("Beside PCA", "The error of digits restored from a code of the same size."),
        "phases": (
            "Loss of each phase",
            "A layer's loss is that of its own input, so the phases' levels do not compare. "
            "The line is the median over seeds; dashed is validation.",
        ),
        "restored": ("Restored test digits", "One of each, from the same number of figures."),
        "map": ("Test digits by their codes", "The two main axes of the codes."),
    }
    return [
        {"file": f"figures/{key}.png", "title": title, "caption": caption}
        for key, (title, caption) in captions.items()
    ]


def _draw_phases(history: list[dict[str, Any]], out: Path) -> None:
    """One panel a phase: the layers in turn, all together, and the network trained whole."""
    panels: dict[str, list[dict[str, list[float]]]] = {}
    for run in history:
        way = run["run"].partition("/")[0]
        for name, curves in run["phases"].items():
            title = name.replace("-", " ") if way == WAYS[0] else way
            panels.setdefault(title, []).append(curves)

    def paint(figure: Figure, theme: Theme) -> None:
        for axes, (title, found) in zip(
            figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True
        ):
            for n, (key, style) in enumerate({"loss": "-", "val_loss": (0, (5, 2))}.items()):
                median = np.median([curves[key] for curves in found], axis=0)
                epochs = np.arange(1, len(median) + 1)
                axes.plot(epochs, median, ls=style, color=theme.series[n], lw=1.5)
            axes.set_title(title, loc="left")
            axes.set_xlabel("epoch")
            axes.set_ylim(bottom=0)
            axes.tick_params(labelsize=7)

    draw(out, paint, height_in=2.6)
