"""Excel workbooks as programs write them, odd ones and hostile ones."""

from __future__ import annotations

import re
import time
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from regrow.base.errors import DataError
from regrow.models.air_quality.columns import COLUMNS, TIMESTAMP
from regrow.models.air_quality.data import read_readings
from tests.models.test_air_quality_tables import make_frame, save

pytest.importorskip("openpyxl")
SHEET = "xl/worksheets/sheet1.xml"
STRINGS = "xl/sharedStrings.xml"
FAR = '<c r="XFD1"><v>1</v></c>'


INLINE = re.compile(r't="inlineStr"><is><t>([^<]*)</t></is>')
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
KIND = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"


def share_strings(parts: dict[str, bytes]) -> None:
    """Moves the texts of a sheet into a part of their own, as Excel does and openpyxl does not."""
    texts: list[str] = []

    def share(found: re.Match[str]) -> str:
        texts.append(found[1])
        return f't="s"><v>{len(texts) - 1}</v>'

    parts[SHEET] = INLINE.sub(share, parts[SHEET].decode()).encode()
    items = "".join(f"<si><t>{text}</t></si>" for text in texts)
    parts[STRINGS] = f'<sst xmlns="{MAIN}">{items}</sst>'.encode()
    link = f'<Relationship Id="rId99" Type="{OFFICE}/sharedStrings" Target="/{STRINGS}"/>'
    for name, end, more in (
        (
            "[Content_Types].xml",
            "</Types>",
            f'<Override PartName="/{STRINGS}" ContentType="{KIND}"/>',
        ),
        ("xl/_rels/workbook.xml.rels", "</Relationships>", link),
    ):
        parts[name] = parts[name].replace(end.encode(), (more + end).encode())


@pytest.fixture
def workbook(tmp_path: Path) -> Path:
    path = save(tmp_path / "some.xlsx", make_frame(8))
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    share_strings(parts)
    assert parts[STRINGS].count(b"<si>") > 10
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


def change(path: Path, name: str, how: Callable[[str], str]) -> Path:
    """Writes a workbook again with one of its parts changed, or a new one."""
    with zipfile.ZipFile(path) as archive:
        parts = {one: archive.read(one) for one in archive.namelist()}
    parts[name] = how(parts.get(name, b"").decode()).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for one, content in parts.items():
            archive.writestr(one, content)
    return path


@pytest.mark.parametrize("stated", ["A1", "A1:XFD1048576", None])
def test_a_sheet_is_read_whatever_it_says_of_its_size(workbook: Path, stated: str | None) -> None:
    new = f'<dimension ref="{stated}"/>' if stated else ""
    change(workbook, SHEET, lambda text: re.sub(r"<dimension [^>]*/>", new, text))
    found = read_readings(workbook)
    assert found[TIMESTAMP].tolist() == make_frame(8)[TIMESTAMP].tolist()
    for name in COLUMNS.values():
        np.testing.assert_array_equal(found[name], make_frame(8)[name])


def test_a_workbook_that_is_stored_under_the_sources_name_is_read(workbook: Path) -> None:
    stored = workbook.rename(workbook.with_name("AirQualityUCI.csv"))
    assert read_readings(stored)[TIMESTAMP].tolist() == make_frame(8)[TIMESTAMP].tolist()


def test_cells_without_a_name_above_are_left_out(workbook: Path) -> None:
    change(workbook, SHEET, lambda text: text.replace("</row>", f"{FAR}</row>"))
    change(workbook, SHEET, lambda text: text.replace(f"{FAR}</row>", "</row>", 1))
    np.testing.assert_array_equal(read_readings(workbook)["nox_ppb"], make_frame(8)["nox_ppb"])


def test_warnings_about_parts_that_are_not_read_are_no_errors(workbook: Path) -> None:
    def extend(text: str) -> str:
        extension = '<extLst><ext uri="{00000000-0000-0000-0000-000000000000}"/></extLst>'
        return text.replace("</worksheet>", f"{extension}</worksheet>")

    change(workbook, SHEET, extend)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(read_readings(workbook)) == 8


def test_small_numbers_between_texts_are_read(tmp_path: Path) -> None:
    frame = make_frame(4).astype({"nox_ppb": object})
    frame.loc[0, "nox_ppb"], frame.loc[1, "nox_ppb"] = "2,5", 0.00001
    found = read_readings(save(tmp_path / "some.xlsx", frame))
    assert found["nox_ppb"].tolist() == [2.5, 0.00001, *frame["nox_ppb"][2:]]


@pytest.mark.parametrize(
    ("name", "how", "said"),
    [
        (SHEET, lambda text: re.sub(r'<row r="4"', f'<row r="{10**13}"', text), None),
        (SHEET, lambda text: text.replace("</row>", f"{FAR}</row>", 1), "16,384 columns"),
        (SHEET, lambda text: f"{text}{' ' * 32_000_000}", SHEET),
        (STRINGS, lambda text: f"{text}{' ' * 8_000_000}", STRINGS),
        ("xl/styles.xml", lambda text: f"{text}{' ' * 1_000_000}", "xl/styles.xml"),
    ],
    ids=["rows", "columns", "sheet", "texts", "styles"],
)
def test_sizes_are_bounded(
    workbook: Path, name: str, how: Callable[[str], str], said: str | None
) -> None:
    change(workbook, name, how)
    started = time.monotonic()
    if said is None:
        read_readings(workbook)
    else:
        with pytest.raises(DataError, match="workbook is too large") as raised:
            read_readings(workbook)
        assert said in (raised.value.received or "")
    assert time.monotonic() - started < 20


def test_the_real_workbook_has_the_values_of_the_real_csv(mirror: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(mirror / "air-quality" / "AirQualityUCI.zip") as archive:
        for name in ("AirQualityUCI.csv", "AirQualityUCI.xlsx"):
            (tmp_path / name).write_bytes(archive.read(name))
    sheet, csv = (read_readings(tmp_path / f"AirQualityUCI.{kind}") for kind in ("xlsx", "csv"))
    assert sheet[TIMESTAMP].tolist() == csv[TIMESTAMP].tolist()
    for name in COLUMNS.values():
        assert sheet[name].isna().tolist() == csv[name].isna().tolist()
        np.testing.assert_allclose(sheet[name], csv[name], atol=0.51)
