"""The digits: as scikit-learn brings them, as a table, in splits that share nothing."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_digits

from regrow.base.errors import DataError, SourceError
from regrow.checks.expectations import check_frame
from regrow.sources import fetch as sources
from regrow.sources.catalog import load_sources
from regrow.vision.augmentation import augment
from regrow.vision.digit_expectations import EXPECTATIONS
from regrow.vision.digits import FILE, clean, read_digits
from tests.conftest import REPOSITORY
from tests.support.stages import make_context, make_download


def fetch(tmp_path: Path, **changed: Any) -> dict[str, Any]:
    source = load_sources(REPOSITORY / "data" / "sources.toml")["digits"]
    assert source.plain is not None
    source = source.model_copy(update={"plain": source.plain.model_copy(update=changed)})
    return sources.fetch(
        source,
        tmp_path,
        downloads=tmp_path / "downloads",
        mirror=None,
        local=None,
        sample=False,
        data_dir=REPOSITORY / "data",
        progress=lambda *_: None,
    )


def run_clean(folder: Path, text: bytes | None = None) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Cleans the bundled file, or `text` in its place."""
    folder.mkdir(exist_ok=True)
    if text is None:
        fetch(folder)
    else:
        (folder / FILE).write_bytes(text)
    download = make_download(folder, "mine.csv")
    facts = clean(make_context(None, folder, scratch=folder, download=download))
    return pd.read_parquet(folder / "table.parquet"), facts


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    run_clean(folder)
    return folder / "table.parquet"


def test_the_bundled_file_is_fetched_without_a_network(tmp_path: Path) -> None:
    facts = fetch(tmp_path)
    assert facts["kind"] == "real"
    assert facts["origin"] == "the installed package sklearn"
    assert facts["sha256"] == hashlib.sha256((tmp_path / FILE).read_bytes()).hexdigest()


def test_a_package_with_another_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="installed package sklearn: different file"):
        fetch(tmp_path, sha256="0" * 64)
    with pytest.raises(SourceError, match="the file is not in the package"):
        fetch(tmp_path, sha256="1" * 64, bundled="sklearn/datasets/data/none.csv.gz")


def test_the_table_holds_what_scikit_learn_loads(table: Path) -> None:
    frame = pd.read_parquet(table)
    expected = load_digits()
    np.testing.assert_array_equal(np.stack(list(frame["pixels"])), expected.data)
    np.testing.assert_array_equal(frame["label"], expected.target)
    assert all(check["success"] for check in check_frame(frame, EXPECTATIONS))


def test_splits_share_no_picture_and_stay_when_digits_are_added(
    table: Path, tmp_path: Path
) -> None:
    frame = pd.read_parquet(table)
    shares = frame["split"].value_counts(normalize=True)
    assert 0.65 < shares["train"] < 0.75
    assert 0.15 < shares["test"] < 0.25
    assert frame.groupby("digest")["split"].nunique().max() == 1
    lines = gzip.decompress((table.parent / FILE).read_bytes()).splitlines(keepends=True)
    more, _facts = run_clean(tmp_path, b"".join(lines[900:] + lines[:10]))
    both = more.merge(frame, on="digest", suffixes=("_new", "_old"))
    assert len(both) == len(more)
    assert (both["split_new"] == both["split_old"]).all()


def test_reading_a_split(table: Path) -> None:
    digits = read_digits(table, "test")
    frame = pd.read_parquet(table).query("split == 'test'")
    assert digits.pixels.shape == (len(frame), 8, 8, 1)
    assert digits.pixels.dtype == np.float32
    np.testing.assert_array_equal(digits.labels, frame["label"])
    np.testing.assert_array_equal(digits.pixels[3].ravel(), frame["pixels"].iloc[3])


LINE = b",".join([b"3"] * 64) + b",7\n"
SPOILED = {
    "a word": (LINE + LINE.replace(b"3", b"x", 1), "line 2"),
    "a value too few": (LINE[2:], "64 values"),
    "a pixel too dark": (LINE.replace(b"3", b"17", 1), "a pixel of 17"),
    "a negative pixel": (LINE.replace(b"3", b"-1", 1), "a pixel of -1"),
    "no digit": (LINE.replace(b",7\n", b",10\n"), "the digit 10"),
    "a long line": (b"3," * 1_000_000, "line 1"),
    "binary": (bytes(range(256)), "line 1"),
    "nothing": (b"", "0 lines"),
    "cut short": (gzip.compress(LINE * 100)[:-12], "cannot be unpacked"),
}


@pytest.mark.parametrize("case", SPOILED)
def test_bad_files_are_named(tmp_path: Path, case: str) -> None:
    text, expected = SPOILED[case]
    with pytest.raises(DataError) as raised:
        run_clean(tmp_path, text)
    assert expected in str(raised.value)
    assert "mine.csv" in str(raised.value)
    assert not (tmp_path / "table.parquet").exists()


def test_expectations_notice_a_missing_digit_and_blank_pictures(table: Path) -> None:
    frame = pd.read_parquet(table)
    frame.loc[frame["label"] == 4, "label"] = 9
    frame.loc[5, "ink"] = 0.0
    checks = check_frame(frame, EXPECTATIONS)
    failed = [check["expectation"] for check in checks if not check["success"]]
    assert len(failed) == 2
    assert "label" in failed[0]
    assert "ink" in failed[1]


def test_altered_copies_keep_their_labels_and_differ(table: Path) -> None:
    digits = read_digits(table, "validation")
    few = replace(
        digits, digit_id=digits.digit_id[:9], pixels=digits.pixels[:9], labels=digits.labels[:9]
    )
    more = augment(few, 3, seed=1)
    assert len(more) == 36
    np.testing.assert_array_equal(more.pixels[:9], few.pixels)
    np.testing.assert_array_equal(more.labels, np.tile(few.labels, 4))
    for copy in range(1, 4):
        assert not np.array_equal(more.pixels[9 * copy : 9 * copy + 9], few.pixels)
    np.testing.assert_array_equal(augment(few, 3, seed=1).pixels, more.pixels)
    assert len(augment(few, 0, seed=1)) == 9
