from __future__ import annotations

import importlib.util
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from regrow.checks.expectations import check_frame
from regrow.models.air_quality.columns import COLUMNS, INPUTS, TARGET, TIMESTAMP
from regrow.models.air_quality.data import FILE, clean, read_readings
from regrow.models.air_quality.expectations import EXPECTATIONS
from regrow.pipeline.origins import naming_origins
from tests.conftest import REPOSITORY
from tests.support.stages import make_context, make_download

SAMPLE = REPOSITORY / "data" / "samples" / "air-quality.csv"


def run_clean(source: Path, out: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The cleaned table of a file, and the facts."""
    facts = clean_only(source, out)
    return pd.read_parquet(out / "table.parquet"), facts


def clean_only(source: Path, out: Path) -> dict[str, Any]:
    """The cleaning stage on a file, without a store."""
    folder = out.with_name(f"{out.name}-download")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / FILE).unlink(missing_ok=True)
    (folder / FILE).symlink_to(source)
    download = make_download(folder, source)
    with naming_origins(download):
        return clean(make_context(None, out, download=download))


def test_the_sample_is_what_its_generator_makes() -> None:
    path = SAMPLE.with_name("generate_air_quality.py")
    spec = importlib.util.spec_from_file_location("generate_air_quality", path)
    assert spec is not None
    assert spec.loader is not None
    generator = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generator)
    made = generator.format_file(generator.punch_gaps(generator.simulate()))
    assert made == SAMPLE.read_bytes()


def test_cleaning_the_sample(tmp_path: Path) -> None:
    frame, facts = run_clean(SAMPLE, tmp_path)
    assert list(frame.columns) == [TIMESTAMP, *COLUMNS.values()]
    assert facts["rows"] == len(frame) == 1500
    assert facts["empty_rows_dropped"] == 6
    assert facts["rows_without_target"] == frame[TARGET].isna().sum() > 0
    assert frame[TIMESTAMP].is_monotonic_increasing
    assert not (frame[list(COLUMNS.values())] == -200).any().any()
    assert all(check["success"] for check in check_frame(frame, EXPECTATIONS))


@pytest.mark.real_data
def test_cleaning_the_real_file(mirror: Path, tmp_path: Path) -> None:
    frame, facts = run_clean(mirror / "air-quality" / "AirQualityUCI.csv", tmp_path)
    assert facts["rows"] == 9357
    assert facts["rows_without_target"] == 366
    assert facts["empty_rows_dropped"] == 114
    assert frame[TIMESTAMP].iloc[0] == datetime(2004, 3, 10, 18)
    first = frame.iloc[0]
    assert (first["co_mg_m3"], first[TARGET], first["pt08_s2_nmhc"]) == (2.6, 11.9, 1046)
    assert first["absolute_humidity"] == 0.7578
    assert facts["missing_share"]["nmhc_ug_m3"] > 0.9
    assert all(check["success"] for check in check_frame(frame, EXPECTATIONS))


def bom(data: bytes) -> bytes:
    return b"\xef\xbb\xbf" + data


def unix(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n")


def shuffled(data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join([lines[0], *lines[700:1501], *lines[1:700], *lines[1501:]])


def with_empty_rows_inside(data: bytes) -> bytes:
    lines = data.splitlines(keepends=True)
    return b"".join([*lines[:100], lines[-1], *lines[100:]])


def no_last_line_end(data: bytes) -> bytes:
    return data.removesuffix(b"\r\n")


@pytest.mark.parametrize(
    ("change", "fact", "value"),
    [
        (bom, "byte_order_mark_removed", True),
        (unix, "unix_line_ends", True),
        (shuffled, "rows_reordered", 1),
        (with_empty_rows_inside, "empty_rows_dropped", 7),
        (no_last_line_end, "rows", 1500),
    ],
)
def test_differences_that_lose_nothing_give_the_same_table(
    change: Any, fact: str, value: Any, tmp_path: Path
) -> None:
    other = tmp_path / "other.csv"
    other.write_bytes(change(SAMPLE.read_bytes()))
    expected, _ = run_clean(SAMPLE, tmp_path / "one")
    found, facts = run_clean(other, tmp_path / "two")
    pd.testing.assert_frame_equal(found, expected)
    assert facts[fact] == value


def test_readings_to_predict_from_need_no_target(tmp_path: Path) -> None:
    lines = SAMPLE.read_bytes().decode().split("\r\n")[:50]
    fields = [line.split(";") for line in lines]
    without = "\r\n".join(";".join([*row[:5], *row[6:]]) for row in fields)
    path = tmp_path / "readings.csv"
    path.write_text(without, newline="")
    frame = read_readings(path)
    assert len(frame) == 49
    assert frame[TARGET].isna().all()
    complete = read_readings(SAMPLE).head(49)
    pd.testing.assert_frame_equal(frame[list(INPUTS)], complete[list(INPUTS)])
    complete.to_parquet(tmp_path / "readings.parquet")
    pd.testing.assert_frame_equal(read_readings(tmp_path / "readings.parquet"), complete)
