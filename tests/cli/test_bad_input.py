"""Files that are not as the source has them: what is said, and where."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from regrow.base.errors import DataError
from regrow.checks.validation import validate_table
from regrow.models.air_quality.data import read_readings
from regrow.models.air_quality.expectations import EXPECTATIONS
from tests.conftest import Regrow
from tests.models.test_air_quality_data import SAMPLE, run_clean
from tests.support.memory import measure_peak


def edit_line(number: int, old: bytes, new: bytes) -> Any:
    """An edit of one line, counted from 1 as editors do."""

    def edit(data: bytes) -> bytes:
        lines = data.splitlines(keepends=True)
        assert old in lines[number - 1]
        lines[number - 1] = lines[number - 1].replace(old, new, 1)
        return b"".join(lines)

    return edit


def drop_column(data: bytes) -> bytes:
    lines = data.decode().split("\r\n")
    return "\r\n".join(";".join(line.split(";")[:-3]) + ";;" for line in lines if line).encode()


def add_column(data: bytes) -> bytes:
    return data.replace(b";AH;;", b";AH;Ozone;", 1)


def with_commas(data: bytes) -> bytes:
    return data.replace(b",", b".").replace(b";", b",")


def with_points(data: bytes) -> bytes:
    return data.replace(b",", b".")


def cut_short(data: bytes) -> bytes:
    return data.rstrip(b";\r\n")[:-3]


def header_alone(data: bytes) -> bytes:
    return data.splitlines(keepends=True)[0]


def no_target(data: bytes) -> bytes:
    lines = [line.split(";") for line in data.decode().split("\r\n")]
    for fields in lines[1:]:
        if len(fields) > 5 and fields[5]:
            fields[5] = "-200"
    return "\r\n".join(";".join(fields) for fields in lines).encode()


CASES: dict[str, tuple[Any, list[str]]] = {
    "missing column": (drop_column, ["line 1", "AH is missing"]),
    "extra column": (add_column, ["line 1", "Ozone is unknown"]),
    "renamed column": (
        edit_line(1, b"PT08.S2(NMHC)", b"PT08.S2_NMHC"),
        ["line 1", "PT08.S2(NMHC) is missing (renamed to PT08.S2_NMHC?)"],
    ),
    "doubled column": (edit_line(1, b";T;", b";RH;"), ["line 1", "RH occurs twice"]),
    "decimal points": (with_points, ["line 2", "CO(GT)", "'0.5'", "decimal comma"]),
    "text in a number": (edit_line(902, b";;\r\n", b"x;;\r\n"), ["line 902", "AH", "a number"]),
    "impossible date": (edit_line(50, b"/03/2030", b"/13/2030"), ["line 50", "valid date"]),
    "rolled over date": (edit_line(2, b"04/03/2030", b"31/02/2030"), ["line 2", "valid date"]),
    "time with colons": (edit_line(3, b"01.00.00", b"01:00:00"), ["line 3", "Time", "dots"]),
    "empty file": (lambda _data: b"", ["line 1", "empty"]),
    "header alone": (header_alone, ["no readings"]),
    "truncated last line": (cut_short, ["line 150", "fields"]),
    "too many fields": (
        edit_line(77, b";;\r\n", b";;;\r\n"),
        ["line 77", "18 fields"],
    ),
    "value after the last column": (edit_line(9, b";;\r\n", b";5;\r\n"), ["line 9", "'5'"]),
    "binary": (lambda _data: bytes(range(256)) * 50, ["line 1", "not plain text"]),
    "zero bytes": (edit_line(5, b";", b"\x00;"), ["line 5", "Date"]),
    "not UTF-8": (edit_line(5, b";", b"\xff;"), ["not UTF-8"]),
    "no target at all": (no_target, ["C6H6(GT)", "all 1500 rows"]),
}


@pytest.mark.parametrize("name", CASES)
def test_a_file_that_cannot_be_used_is_named_with_the_place(name: str, tmp_path: Path) -> None:
    change, said = CASES[name]
    path = tmp_path / "AirQualityUCI.csv"
    path.write_bytes(change(SAMPLE.read_bytes()))
    with pytest.raises(DataError) as raised:
        run_clean(path, tmp_path / "out")
    text = str(raised.value)
    assert str(path) in text
    for words in said:
        assert words in text, text
    assert "what to do next" in text


def test_commas_and_decimal_points_are_read_with_the_same_values(tmp_path: Path) -> None:
    tables = []
    for name, content in (("a", SAMPLE.read_bytes()), ("b", with_commas(SAMPLE.read_bytes()))):
        path = tmp_path / f"{name}.csv"
        path.write_bytes(content)
        run_clean(path, tmp_path / name)
        tables.append((tmp_path / name / "table.parquet").read_bytes())
    assert tables[0] == tables[1]


def test_line_numbers_are_right_deep_inside_a_file(tmp_path: Path) -> None:
    """The reader works in blocks; lines are counted over all of them, empty rows included."""
    header, *rows = SAMPLE.read_bytes().splitlines(keepends=True)
    lines = [header, *(rows * 60)]
    number = 80_001
    lines[number - 1] = lines[number - 1].replace(b";;\r\n", b"x;;\r\n")
    path = tmp_path / "long.csv"
    path.write_bytes(b"".join(lines))
    with pytest.raises(DataError, match=f"line {number}, column AH"):
        run_clean(path, tmp_path / "out")
    del lines[50_000:]
    lines.append(b"04/03/2030;00.00.00;0,5\r\n")
    path.write_bytes(b"".join(lines))
    with pytest.raises(DataError, match="line 50001") as raised:
        run_clean(path, tmp_path / "out")
    assert "3 fields" in str(raised.value)


def doubled_hours(frame: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([frame, frame.iloc[10:12]], ignore_index=True)


def nothing_in_a_column(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.assign(pt08_s3_nox=None).astype({"pt08_s3_nox": "float64"})


def impossible_humidity(frame: pd.DataFrame) -> pd.DataFrame:
    changed = frame.copy()
    changed.loc[5, "relative_humidity_pct"] = 180.0
    return changed


def too_few_rows(frame: pd.DataFrame) -> pd.DataFrame:
    return frame.head(100)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (doubled_hours, ["4 of 1,502 rows", "2030-03-04"]),
        (nothing_in_a_column, ["pt08_s3_nox", "1,500 of 1,500 rows"]),
        (impossible_humidity, ["relative_humidity_pct", "1 of 1,500 rows", "180", "2030-03-04"]),
        (too_few_rows, ["100"]),
    ],
)
def test_a_table_that_fails_an_expectation_stops_before_training(
    change: Any, said: list[str], tmp_path: Path
) -> None:
    frame, _facts = run_clean(SAMPLE, tmp_path)
    table = tmp_path / "changed.parquet"
    change(frame).to_parquet(table, index=False)
    out, failures = tmp_path / "out", tmp_path / "failures"
    with pytest.raises(DataError, match="nothing was trained") as raised:
        validate_table(table, EXPECTATIONS, out, failures=failures, id_column="timestamp")
    for words in said:
        assert words in str(raised.value)
    assert (failures / "validation.html").is_file()
    assert not out.exists()


def test_readings_without_an_input_cannot_be_predicted_from(tmp_path: Path) -> None:
    path = tmp_path / "readings.csv"
    path.write_bytes(edit_line(1, b";RH;", b";Humidity;")(SAMPLE.read_bytes()))
    with pytest.raises(DataError, match="columns"):
        read_readings(path)
    frame = read_readings(SAMPLE).drop(columns="pt08_s1_co")
    frame.to_parquet(tmp_path / "readings.parquet")
    with pytest.raises(DataError, match="missing"):
        read_readings(tmp_path / "readings.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DataError, match="looks like a Parquet file"):
        read_readings(tmp_path / "broken.parquet")


BIG = """
import sys
from datetime import datetime, timedelta
from pathlib import Path
from tests.models.test_air_quality_data import SAMPLE, clean_only
out = Path(sys.argv[1])
header, *rows = SAMPLE.read_bytes().decode().splitlines(keepends=True)
readings = [row.split(";", 2)[2] for row in rows[:1500]]
hour = datetime(1800, 1, 1)
with (out / "big.csv").open("w", newline="") as stream:
    stream.write(header)
    while stream.tell() < 60_000_000:
        lines = []
        for reading in readings:
            lines.append(f"{hour.day:02}/{hour.month:02}/{hour.year};{hour.hour:02}.00.00;{reading}")
            hour += timedelta(hours=1)
        stream.write("".join(lines))
clean_only(out / "big.csv", out / "clean")
"""


@pytest.mark.slow
def test_a_60_mb_file_needs_bounded_memory(tmp_path: Path) -> None:
    """Cleaned in a process of its own: the file must never be in memory as a whole."""
    _, peak_mib = measure_peak(BIG, tmp_path)
    assert (tmp_path / "big.csv").stat().st_size > 60_000_000
    assert peak_mib < 420


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--on", "gpu"), "--on train=gpu"),
        (("--on", "tran=gpu"), "no such stage"),
        (("--on", "train=gpu", "--no-prefect"), "--on needs Prefect"),
        (("--data-version", "air-quality=00000000"), "no version '00000000'"),
        (("--data-version", "babi=00000000"), "reads no source 'babi'"),
        (("--data-version", "air-quality=0", "--sample"), "cannot be combined with --sample"),
    ],
)
def test_options_of_operations_are_checked_before_anything_is_done(
    regrow: Regrow, arguments: tuple[str, ...], words: str
) -> None:
    prefect = () if "--on" in arguments else ("--no-prefect",)
    done = regrow("run", "air-quality", *arguments, *prefect)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_with_json_an_error_is_one_document_too(regrow: Regrow) -> None:
    done = regrow("run", "air-qualty", "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["what"] == "there is no model 'air-qualty'; did you mean air-quality?"
    assert error["received"] == "air-qualty"
    assert "regrow list shows all models" in error["remedies"]
    assert "error: there is no model" in done.stderr
    assert regrow("run", "air-qualty").stdout == ""
