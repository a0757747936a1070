"""Tables with types (Parquet, Arrow, Excel) are held to the rules of the CSV file."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from regrow.base.errors import DataError
from regrow.models.air_quality.columns import COLUMNS, INPUTS, TARGET, TIMESTAMP
from regrow.models.air_quality.data import check_file, read_readings
from tests.conftest import REPOSITORY, SAMPLE

HEADER = SAMPLE.read_bytes().splitlines()[0] + b"\r\n"


def make_csv(path: Path, *changes: tuple[str, str], rows: int = 3) -> Path:
    """The first rows of the sample, with texts in them replaced."""
    lines = SAMPLE.read_bytes().splitlines()[1 : rows + 1]
    text = (HEADER + b"\r\n".join(lines) + b"\r\n").decode()
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_bytes(text.encode())
    return path


def make_frame(rows: int = 4) -> pd.DataFrame:
    """Readings with our names; number n of column k is 10 k + n."""
    times = pd.date_range("2004-03-10 18:00", periods=rows, freq="h")
    columns = {name: 10.0 * k + np.arange(rows) for k, name in enumerate(COLUMNS.values())}
    return pd.DataFrame({TIMESTAMP: times, **columns})


def save(path: Path, frame: pd.DataFrame) -> Path:
    if path.suffix == ".parquet":
        frame.to_parquet(path, index=False)
    elif path.suffix == ".csv":
        frame.to_csv(path, index=False)
    elif path.suffix == ".arrow":
        frame.to_feather(path, compression="uncompressed")
    else:
        pytest.importorskip("openpyxl")
        frame.to_excel(path, index=False)
    return path


@pytest.fixture(params=[".parquet", ".arrow", ".xlsx", ".csv"])
def ending(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_table_is_read_with_its_values(tmp_path: Path, ending: str) -> None:
    found = read_readings(save(tmp_path / f"some{ending}", make_frame()))
    expected = make_frame()
    assert found[TIMESTAMP].tolist() == expected[TIMESTAMP].tolist()
    for name in COLUMNS.values():
        np.testing.assert_array_equal(found[name], expected[name])


def test_minus_200_and_nan_are_missing_as_in_the_csv(tmp_path: Path, ending: str) -> None:
    frame = make_frame()
    frame.loc[0, "pt08_s2_nmhc"] = -200
    frame.loc[1, "pt08_s2_nmhc"] = np.nan
    frame["no2_ug_m3"] = [-200, 1, 2, 3]  # whole numbers
    found = read_readings(save(tmp_path / f"some{ending}", frame))
    assert found["pt08_s2_nmhc"].isna().tolist() == [True, True, False, False]
    assert found["no2_ug_m3"].isna().tolist() == [True, False, False, False]
    csv = read_readings(make_csv(tmp_path / "some.csv"))
    assert {str(kind) for kind in csv.dtypes} == {str(kind) for kind in found.dtypes}


def test_names_and_forms_of_the_file_itself_are_read_too(tmp_path: Path, ending: str) -> None:
    frame = make_frame().rename(columns={ours: name for name, ours in COLUMNS.items()})
    times = frame.pop(TIMESTAMP)
    frame.insert(0, "Date", times.dt.strftime("%d/%m/%Y"))
    frame.insert(1, "Time", times.dt.strftime("%H.%M.%S"))
    if ending != ".csv":  # in which commas are between columns
        frame["T"] = [f"{value:.1f}".replace(".", ",") for value in frame["T"]]
    frame["unrelated"] = 1
    found = read_readings(save(tmp_path / f"some{ending}", frame))
    assert found[TIMESTAMP].tolist() == times.tolist()
    np.testing.assert_array_equal(found["temperature_c"], make_frame()["temperature_c"])


def test_dates_and_times_of_day_are_read(tmp_path: Path, ending: str) -> None:
    frame = make_frame()
    times = frame.pop(TIMESTAMP)
    frame.insert(0, "Date", [time.to_pydatetime().date() for time in times])
    frame.insert(1, "Time", [datetime.time(time.hour) for time in times])
    found = read_readings(save(tmp_path / f"some{ending}", frame))
    assert found[TIMESTAMP].tolist() == times.tolist()


def test_order_is_kept_and_empty_rows_are_left_out(tmp_path: Path, ending: str) -> None:
    frame = make_frame()[::-1].reset_index(drop=True)
    frame.loc[1] = None
    found = read_readings(save(tmp_path / f"some{ending}", frame))
    assert found["co_mg_m3"].tolist() == [3, 1, 0]


def test_benzene_may_be_absent(tmp_path: Path, ending: str) -> None:
    found = read_readings(save(tmp_path / f"some{ending}", make_frame().drop(columns=TARGET)))
    assert found[TARGET].isna().all()
    assert len(found) == 4


def test_times_as_text_are_read(tmp_path: Path) -> None:
    for form in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M"):
        frame = make_frame()
        frame[TIMESTAMP] = frame[TIMESTAMP].dt.strftime(form)
        found = read_readings(save(tmp_path / "some.parquet", frame))
        assert found[TIMESTAMP].tolist() == make_frame()[TIMESTAMP].tolist()


def test_numbers_of_every_width_and_dictionaries_are_read(tmp_path: Path) -> None:
    table = pa.Table.from_pandas(make_frame(), preserve_index=False)
    changed = {
        "co_mg_m3": pa.float32(),
        "nox_ppb": pa.int16(),
        "no2_ug_m3": pa.decimal128(9, 2),
        "temperature_c": pa.dictionary(pa.int8(), pa.float64()),
    }
    for name, kind in changed.items():
        at = table.schema.get_field_index(name)
        column = table.column(at)
        cast = column.dictionary_encode() if pa.types.is_dictionary(kind) else column.cast(kind)
        table = table.set_column(at, name, cast)
    pq.write_table(table, tmp_path / "some.parquet")
    found = read_readings(tmp_path / "some.parquet")
    for name in changed:
        np.testing.assert_array_equal(found[name], make_frame()[name])


BAD: dict[str, tuple[Any, str]] = {
    "no rows": (lambda frame: frame[:0], "no readings"),
    "only empty rows": (lambda frame: frame.reindex(range(100, 104)), "no readings"),
    "a column lacks": (lambda frame: frame.drop(columns="nox_ppb"), "columns are missing"),
    "whole numbers as times": (
        lambda frame: frame.assign(timestamp=np.arange(len(frame))),
        "has an unsupported type",
    ),
    "a time zone": (
        lambda frame: frame.assign(timestamp=frame[TIMESTAMP].dt.tz_localize("UTC")),
        "time zone",
    ),
    "a time zone in two columns": (
        lambda frame: frame.drop(columns=TIMESTAMP).assign(
            Date=frame[TIMESTAMP].dt.tz_localize("UTC"), Time="18.00.00"
        ),
        "time zone",
    ),
    "no time": (
        lambda frame: frame.assign(timestamp=frame[TIMESTAMP].where(frame.index != 2)),
        "row 3",
    ),
    "a date that is none": (
        lambda frame: frame.assign(timestamp="2004-02-31 18:00:00"),
        "cannot be read",
    ),
    "words as times": (lambda frame: frame.assign(timestamp="noon"), "row 1"),
    "words as numbers": (lambda frame: frame.assign(nox_ppb="much"), "row 1"),
    "decimal points as text": (lambda frame: frame.assign(nox_ppb="2.5"), "a decimal comma"),
    "infinity": (lambda frame: frame.assign(nox_ppb=[1, 2, np.inf, 4]), "row 3"),
    "truth": (lambda frame: frame.assign(nox_ppb=True), "has an unsupported type"),
    "lists": (lambda frame: frame.assign(nox_ppb=[[1]] * len(frame)), "unsupported type"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_is_refused_in_one_message(tmp_path: Path, case: str) -> None:
    change, expected = BAD[case]
    path = save(tmp_path / "some.parquet", change(make_frame()))
    with pytest.raises(DataError, match=expected) as raised:
        read_readings(path)
    text = str(raised.value)
    assert str(path) in text
    assert len(text) < 1500


BAD_CELLS: dict[str, tuple[str, str, str]] = {
    "a word": ("11.0", "much", "row 3, column pt08_s1_co"),
    "a decimal comma in quotes": ("11.0", '"11,5"', "a number, as in 2.6"),
    "a cell too few": ("11.0,", "", "14 cells"),
    "a date that is none": ("2004-03-10 19:00:00", "10 March", "times such as"),
    "a name that is unknown": ("pt08_s1_co", "sensor", "columns are missing"),
}


@pytest.mark.parametrize("case", BAD_CELLS)
def test_an_ordinary_csv_file_is_refused_where_it_is_wrong(tmp_path: Path, case: str) -> None:
    old, new, expected = BAD_CELLS[case]
    path = save(tmp_path / "some.csv", make_frame())
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError) as raised:
        read_readings(path)
    assert expected in str(raised.value)
    assert "--source" not in str(raised.value)  # an option that predict does not have


def test_both_kinds_of_csv_say_the_same(tmp_path: Path) -> None:
    """Commas and decimal points, whatever else is in the file."""
    own = read_readings(make_csv(tmp_path / "own.csv"))
    own.assign(name="Zürich, Nord").to_csv(tmp_path / "ordinary.csv", index=False, na_rep="NA")
    pd.testing.assert_frame_equal(read_readings(tmp_path / "ordinary.csv"), own)
    for training in (True, False):
        check_file(tmp_path / "ordinary.csv", training=training)
    own.drop(columns=TARGET).to_csv(tmp_path / "new.csv", index=False)
    check_file(tmp_path / "new.csv", training=False)
    with pytest.raises(DataError, match="columns are missing"):
        check_file(tmp_path / "new.csv", training=True)


def test_a_cut_parquet_file_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path / "some.parquet", make_frame(400))
    path.write_bytes(path.read_bytes()[:-900])
    with pytest.raises(DataError, match="damaged"):
        read_readings(path)


def test_messages_stay_short_however_many_values_are_bad(tmp_path: Path) -> None:
    names = [f"column {number}" for number in range(5000)]
    pd.DataFrame(np.zeros((1, 5000)), columns=names).to_parquet(tmp_path / "some.parquet")
    with pytest.raises(DataError) as raised:
        read_readings(tmp_path / "some.parquet")
    assert len(str(raised.value)) < 3000
    (tmp_path / "some.csv").write_bytes(HEADER[:-2] + b";x" * 4000 + b"\r\n")
    with pytest.raises(DataError) as raised:
        read_readings(tmp_path / "some.csv")
    assert len(str(raised.value)) < 3000


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"])
def test_every_line_end_is_read(tmp_path: Path, end: bytes) -> None:
    path = make_csv(tmp_path / "some.csv")
    expected = read_readings(path)
    path.write_bytes(path.read_bytes().replace(b"\r\n", end))
    pd.testing.assert_frame_equal(read_readings(path), expected)
    path.write_bytes(path.read_bytes() + b"11/03/2004;18.00.00;1" + end)
    with pytest.raises(DataError, match="line 5"):
        read_readings(path)


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500), "legacy Office"),
        (b"\xff\xfeD\0a\0t\0e\0", "UTF-16"),
        (b"7z\xbc\xaf\x27\x1c\0\4", "7z"),
        (b"%PDF-1.7\n\xe2\xe3", "PDF"),
    ],
)
def test_what_is_no_table_is_named_for_what_it_is(
    tmp_path: Path, content: bytes, kind: str
) -> None:
    (tmp_path / "some.csv").write_bytes(content)
    with pytest.raises(DataError, match=kind):
        read_readings(tmp_path / "some.csv")


def test_without_its_library_excel_is_named_with_a_way_out(tmp_path: Path) -> None:
    import zipfile

    with zipfile.ZipFile(tmp_path / "some.xlsx", "w") as archive:
        archive.writestr("[Content_Types].xml", "")
        archive.writestr("xl/workbook.xml", "")
    code = (
        "import sys; sys.modules['openpyxl'] = None\n"
        "from pathlib import Path\n"
        "from regrow.base.errors import UserError\n"
        "from regrow.models.air_quality.data import check_file, read_readings\n"
        "try: read_readings(Path(sys.argv[1]))\n"
        "except UserError as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "some.xlsx"],
        cwd=REPOSITORY,
        env={**os.environ},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "pip install 'regrow[excel]'" in done.stdout
    assert str(tmp_path / "some.xlsx") in done.stdout


def test_a_damaged_workbook_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("openpyxl")
    import zipfile

    with zipfile.ZipFile(tmp_path / "some.xlsx", "w") as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
    with pytest.raises(DataError, match="damaged"):
        read_readings(tmp_path / "some.xlsx")


def test_inputs_are_those_of_the_model(tmp_path: Path) -> None:
    found = read_readings(save(tmp_path / "some.parquet", make_frame()))
    assert list(found.columns) == [TIMESTAMP, *COLUMNS.values()]
    assert set(INPUTS) < set(found.columns)
