"""The three models of digits by their commands: six stages, report, champion, predictions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests.conftest import Regrow

pytestmark = pytest.mark.slow
MODELS = {
    "image-similarity": ["first", "second", "same", "similarity", "distance"],
    "digit-localisation": ["file", "digit", "confidence", "left", "top", "right", "bottom"],
    "stacked-autoencoder": ["file", "mse", *(f"code_{n}" for n in range(8))],
}

SMALLER = {
    "digit-localisation": (
        "epochs=4",  # with less it is no better than the same answer to all
        "training_scenes=3000",
        "validation_scenes=300",
        "test_scenes=300",
    ),
    "stacked-autoencoder": ("layer_epochs=1", "tuning_epochs=2"),
}


def draw(path: Path, left: int) -> Path:
    picture = Image.new("RGB", (96, 64), "white")
    ImageDraw.Draw(picture).line((left, 8, left, 56), "black", 8)
    picture.save(path)
    return path


@pytest.mark.parametrize(
    "model",
    # The others' stages differ by what they train, which tests of their own look at.
    [m if m == "image-similarity" else pytest.param(m, marks=pytest.mark.e2e) for m in MODELS],
)
def test_the_six_stages_and_predictions(model: str, regrow: Regrow, tmp_path: Path) -> None:
    settings = [part for setting in SMALLER.get(model, ()) for part in ("--set", setting)]
    done = regrow("run", model, "--preset", "quick", *settings, "--no-prefect", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert len(summary["stages"]) == 6
    assert summary["data_kind"] == "real"
    assert summary["decision"]["action"] == "first"
    page = Path(summary["report"]).read_text()
    for text in (summary["tables"][0]["title"], "Optical Recognition of Handwritten Digits"):
        assert text in page

    pictures = [draw(tmp_path / f"{n}.png", left) for n, left in enumerate((20, 70))]
    predicted = regrow("predict", model, *pictures, "--json")
    assert predicted.returncode == 0, predicted.stderr
    rows: list[dict[str, Any]] = json.loads(predicted.stdout)["predictions"]
    assert list(rows[0]) == MODELS[model]
    assert len(rows) == (1 if model == "image-similarity" else 2)
    if model == "image-similarity":  # the same stroke at another place
        assert rows[0]["same"]

    pictures[1].write_text("no picture")
    refused = regrow("predict", model, *pictures)
    assert refused.returncode == 2
    assert "1.png" in refused.stderr
    assert "Traceback" not in refused.stderr
