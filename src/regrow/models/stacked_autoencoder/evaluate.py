"""How well stacked-autoencoder restores unseen digits, and what its code is worth."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from regrow.models.stacked_autoencoder.figures import draw_phases
from regrow.models.stacked_autoencoder.network import WAYS, Coder, scale
from regrow.models.stacked_autoencoder.score import measure_error
from regrow.report.charts import plot_bars
from regrow.report.evaluation import Comparison, Evaluation, Figures, Scores, Table
from regrow.report.history import FILE, History
from regrow.training.inference import answer, load_model
from regrow.training.seeds import load_runs
from regrow.vision.digits import CLASSES, INK_MAX, Array, Digits, read_digits
from regrow.vision.figures import Tile, draw_grid, draw_map

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from regrow.store.context import StageContext

Restore = Callable[[Digits], tuple[Array, Array]]
"""From digits to their codes and their restored pictures, in ink 0 to 16."""

UNTRAINED = "untrained network"
METRICS = {"mse": "mean squared error", "probe": "accuracy of a linear probe"}


def evaluate(ctx: StageContext) -> dict[str, Any]:
    """Measures every seed of both ways and the baselines on the test digits.

    Writes `evaluation.json`, `predictions.parquet` (digit id, label, mse, code) and the figures.
    """
    table, train = ctx.inputs["clean"].file("table.parquet"), ctx.inputs["train"]
    training, test = read_digits(table, "train"), read_digits(table, "test")
    size = ctx.config.widths[-1]
    pca_name, pca = f"PCA, {size} components", _fit_pca(training, size)
    untrained = _restore_by(Coder(ctx.config.widths).to_model())
    baselines = {
        pca_name: _measure(pca, training, test),
        UNTRAINED: _measure(untrained, training, test),
        "all 64 pixels": {"probe": _probe(scale(training), training, scale(test), test)},
    }
    published, whole = (_compare(train.path, way, training, test, baselines) for way in WAYS)
    code, restored = _restore_by(load_model(train.file("model.keras")))(test)
    _predict(test, code, restored).to_parquet(ctx.out / "predictions.parquet", index=False)
    pictures = {"test digit": test.pixels, published.model: restored, pca_name: pca(test)[1]}
    figures = _draw(ctx.out, published, whole)
    draw_phases(History.read(train.file(FILE)), figures)
    _draw_digits(figures, test, pictures, code)
    return Evaluation(
        headline=published.headline(
            "mse",
            f"mean squared error of digits reconstructed from {size} numbers",
            simplest=UNTRAINED,
        ),
        metrics={
            "mse": measure_error(test, restored),
            "mean_mse": published.mean("mse"),
            "mean_probe_accuracy": published.mean("probe"),
        },
        tables=(_tabulate(published, whole, len(test)),),
        figures=figures,
        notes=_note(training, test),
    ).write(ctx.out, test_digits=len(test))


def _compare(
    train: Path, way: str, training: Digits, test: Digits, baselines: dict[str, Scores]
) -> Comparison:
    models = load_runs(train, way).values()
    runs = [_measure(_restore_by(model), training, test) for model in models]
    return Comparison(f"trained {way.replace('-', ' ')}", runs, baselines)


def _restore_by(model: keras.Model) -> Restore:

    def run(digits: Digits) -> tuple[Array, Array]:
        found = answer(model, digits.pixels)
        return found["code"], found["reconstruction"]

    return run


def _fit_pca(training: Digits, size: int) -> Restore:
    from sklearn.decomposition import PCA

    pca = PCA(size, random_state=0).fit(scale(training))

    def run(digits: Digits) -> tuple[Array, Array]:
        code = pca.transform(scale(digits))
        return code, INK_MAX * pca.inverse_transform(code).reshape(digits.pixels.shape)

    return run


def _measure(restore: Restore, training: Digits, test: Digits) -> Scores:
    known, _restored = restore(training)
    code, restored = restore(test)
    return {"mse": measure_error(test, restored), "probe": _probe(known, training, code, test)}


def _probe(known: Array, training: Digits, code: Array, test: Digits) -> float:
    """Accuracy of a linear classifier that sees the codes alone."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=2000))
    return float(probe.fit(known, training.labels).score(code, test.labels))


def _predict(test: Digits, code: Array, restored: Array) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame({"digit_id": test.digit_id, "label": test.labels})
    frame["mse"] = (((restored - test.pixels) / INK_MAX) ** 2).mean(axis=(1, 2, 3))
    for n, column in enumerate(code.T):
        frame[f"code_{n}"] = column
    return frame


def _tabulate(published: Comparison, whole: Comparison, digits: int) -> Table:
    (first, *others), (second, *_same) = (
        c.rows(METRICS, spreads=METRICS) for c in (published, whole)
    )
    return Table(
        title="Test digits",
        caption=f"{digits} unseen digits; ± is the standard deviation over seeds.",
        columns=("code", *(head for label in METRICS.values() for head in (label, f"± {label}"))),
        rows=(first, second, *others),
        best_by=METRICS["mse"],
    )


def _draw(out: Path, published: Comparison, whole: Comparison) -> Figures:
    figures = Figures(out)
    ways = (published, whole)
    plot_bars(
        {**{way.label: way.mean("mse") for way in ways}, **published.baselines_by("mse")},
        figures.add(
            "errors.png",
            "Comparison with PCA",
            "The error of digits reconstructed from a code of the same size.",
        ),
        label="mean squared error on test digits",
        highlight=[published.label],
        spreads={way.label: way.spread("mse") for way in ways},
    )
    return figures


def _draw_digits(figures: Figures, test: Digits, pictures: dict[str, Array], code: Array) -> None:
    shown = [int(np.flatnonzero(test.labels == label)[0]) for label in range(CLASSES)]
    draw_grid(
        [[Tile(np.clip(pixels[n], 0, INK_MAX)) for n in shown] for pixels in pictures.values()],
        figures.add(
            "restored.png",
            "Reconstructed test digits",
            "One example of each digit, reconstructed from a code of the same size.",
        ),
        row_names=list(pictures),
    )
    path = figures.add(
        "map.png", "Test digits by their codes", "The first two principal components of the codes."
    )
    draw_map(code, test.labels, path)


def _note(training: Digits, test: Digits) -> list[str]:
    return [
        "Both methods use the same number of epochs.",
        f"The {len(training):,} training and {len(test)} test digits are split by the digest of "
        "their pixels; the same writers may occur in both.",
        "All errors are for grey levels from 0 to 1. The probe is a logistic regression on the "
        "code.",
    ]
