"""digit-localisation: boxes that are true, their loss, and splits that share no digit."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from regrow.base.errors import DataError
from regrow.checks.expectations import check_frame
from regrow.models.digit_localisation.boxes import BoxLoss, measure_iou
from regrow.models.digit_localisation.data import clean, read_scenes
from regrow.models.digit_localisation.expectations import EXPECTATIONS
from regrow.models.digit_localisation.scenes import CANVAS, NOISE, make_scenes
from regrow.models.digit_localisation.serving import to_scene
from regrow.models.digit_localisation.spec import DigitLocalisationConfig
from regrow.vision.digits import FILE
from tests.conftest import Regrow
from tests.support.stages import make_context, make_download
from tests.vision.test_digits import fetch

DIGITS = load_digits().data


def run_clean(folder: Path) -> None:
    """Cleans the digits that are in the folder."""
    config = DigitLocalisationConfig(training_scenes=600, validation_scenes=200, test_scenes=300)
    download = make_download(folder, "mine.csv")
    clean(make_context(config, folder, scratch=folder, download=download))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    fetch(folder)
    run_clean(folder)
    return folder / "table.parquet"


def blank(lines: list[bytes]) -> list[bytes]:
    """The third picture without ink that a box could be put around."""
    return [*lines[:2], b"3," * 64 + b"7\n", *lines[3:]]


def without_eights(lines: list[bytes]) -> list[bytes]:
    return [line for line in lines if not line.rstrip().endswith(b",8")]


SPOILED: dict[str, tuple[Callable[[list[bytes]], list[bytes]], list[str]]] = {
    "no ink": (blank, ["mine.csv, digit 3 of 1797", "3 in the darkest pixel", "remove the line"]),
    "one digit": (lambda lines: lines[:1], ["1 digits", "--source"]),
    "a hundred digits": (lambda lines: lines[:100], ["100 digits", "the split validation"]),
    "no eights": (without_eights, ["the split train contains no digit 8", "--source"]),
}


@pytest.mark.parametrize("case", SPOILED)
def test_digits_that_make_no_scenes_are_refused(case: str, tmp_path: Path) -> None:
    fetch(tmp_path)
    lines = gzip.decompress((tmp_path / FILE).read_bytes()).splitlines(keepends=True)
    spoil, said = SPOILED[case]
    (tmp_path / FILE).write_bytes(b"".join(spoil(lines)))
    with pytest.raises(DataError) as raised:
        run_clean(tmp_path)
    for words in said:
        assert words in str(raised.value)
    assert not (tmp_path / "table.parquet").exists()


def test_the_command_says_so_without_a_traceback(tmp_path: Path, regrow: Regrow) -> None:
    (tmp_path / "mine.csv").write_bytes(b"0," * 64 + b"7\n")
    source = f"digits={tmp_path / 'mine.csv'}"
    done = regrow("run", "digit-localisation", "--source", source, "--no-prefect")
    assert done.returncode == 2
    assert "no ink" in done.stderr
    assert "mine.csv, digit 1" in done.stderr
    assert "Traceback" not in done.stderr


def test_boxes_hold_the_digits_ink_and_little_else() -> None:
    scenes = make_scenes(DIGITS[:50], 200, seed=5)
    for picture, (left, top, right, bottom) in zip(scenes.pixels, scenes.boxes, strict=True):
        assert 0 <= left < right <= CANVAS
        assert 0 <= top < bottom <= CANVAS
        inside = picture[round(top) : round(bottom), round(left) : round(right)]
        # Ink comes near to every edge of the box.
        rows, columns = (np.flatnonzero((inside > 50).any(axis=axis)) for axis in (1, 0))
        assert rows[0] <= 3
        assert columns[0] <= 3
        assert rows[-1] >= len(inside) - 4
        assert columns[-1] >= inside.shape[1] - 4


def test_fragments_lie_beside_the_digit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Inside the box a scene is the digit alone: the same as without any fragment."""
    made = [make_scenes(DIGITS[:50], 1, seed=seed) for seed in range(50)]
    # Fragments are the last to be drawn, so the first scene of a seed is the same up to them.
    monkeypatch.setattr("regrow.models.digit_localisation.scenes.FRAGMENTS_RANGE", (0, 0))
    for seed, scene in enumerate(made):
        bare = make_scenes(DIGITS[:50], 1, seed=seed)
        left, top, right, bottom = scene.boxes[0]
        inside = np.s_[0, int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))]
        np.testing.assert_array_equal(scene.pixels[inside], bare.pixels[inside])
        assert not np.array_equal(scene.pixels, bare.pixels)
    monkeypatch.undo()
    scenes = make_scenes(DIGITS[:50], 100, seed=5)
    outside = []
    for picture, (left, top, right, bottom) in zip(scenes.pixels, scenes.boxes, strict=True):
        around = picture.copy()
        around[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))] = 0
        outside.append((around > 255 * NOISE + 40).sum())
    assert np.mean(outside) > 20, "there are fragments to be misled by"


def test_scenes_follow_from_their_seed() -> None:
    one, again, other = (make_scenes(DIGITS[:20], 5, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.pixels, again.pixels)
    assert not np.array_equal(one.pixels, other.pixels)


def test_splits_share_no_digit_and_meet_the_expectations(table: Path) -> None:
    frame = pd.read_parquet(table)
    assert frame["split"].value_counts().to_dict() == {
        "train": 600,
        "test": 300,
        "validation": 200,
    }
    assert frame.groupby("digit_id")["split"].nunique().max() == 1
    assert all(check["success"] for check in check_frame(frame, EXPECTATIONS))
    frame.loc[7, "right"] = 40.0
    failed = [c for c in check_frame(frame, EXPECTATIONS) if not c["success"]]
    assert ["right" in check["expectation"] for check in failed] == [True]


def test_reading_scenes(table: Path) -> None:
    scenes = read_scenes(table, "test")
    frame = pd.read_parquet(table).query("split == 'test'")
    assert scenes.pixels.shape == (300, CANVAS, CANVAS, 1)
    assert scenes.pixels.dtype == np.uint8
    np.testing.assert_array_equal(scenes.pixels[4].ravel(), frame["pixels"].iloc[4])
    np.testing.assert_allclose(scenes.boxes[:, 2] * CANVAS, frame["right"], rtol=1e-6)


def test_intersection_over_union() -> None:
    one = np.array([[0, 0, 0.5, 0.5]] * 4)
    other = np.array(
        [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1], [0.25, 0, 0.75, 0.5], [0.3, 0.3, 0.1, 0.1]]
    )
    np.testing.assert_allclose(measure_iou(one, other), [1, 0, 1 / 3, 0], atol=1e-12)


def test_the_boxes_loss_is_one_minus_overlap_and_twice_the_edges_error() -> None:
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 0.4, size=(2, 50, 2))
    true, said = np.concatenate([low, low + rng.uniform(0.1, 0.5, size=(2, 50, 2))], axis=2)
    found = BoxLoss(reduction="none")(true.astype("float32"), said.astype("float32"))
    expected = 1 - measure_iou(true, said) + 2 * np.abs(true - said).mean(axis=1)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), expected, rtol=1e-4)
    crossed = np.array([[0.6, 0.6, 0.2, 0.2]], "float32")
    loss = BoxLoss()(np.array([[0.1, 0.1, 0.5, 0.5]], "float32"), crossed)
    assert np.isfinite(float(loss))


def test_a_picture_of_ones_own_is_padded_and_scaled() -> None:
    ink = np.zeros((20, 40), "float32")
    ink[:, :20] = 1
    scene = to_scene(ink)
    assert scene.shape == (CANVAS, CANVAS, 1)
    assert scene[:14, :14].min() == 255
    assert scene[18:].max() == scene[:, 18:].max() == 0


def test_a_long_strip_becomes_a_scene_in_bounded_memory() -> None:
    ink = np.zeros((40, 40_000), "float32")
    ink[:, :20_000] = 1
    scene = to_scene(ink)  # its square would have 6 GiB
    assert scene.shape == (CANVAS, CANVAS, 1)
    assert scene[0, :15].min() > 0 == scene[:, 17:].max() == scene[2:].max()
