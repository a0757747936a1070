"""Hostile inputs for the reader of Excel workbooks: changes of their parts and of the zip."""

from __future__ import annotations

import io
import random
import re
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.harness import Fuzzed
from tests.fuzz.mutations import NASTY_TEXTS, mutate_bytes
from tests.models.test_air_quality_tables import BAD, make_frame
from tests.models.test_air_quality_workbooks import SHEET, STRINGS, share_strings

ROWS = 60
# What pandas writes into no workbook: times with a zone, and infinity but as a text.
UNWRITABLE = ("a time zone", "a time zone in two columns", "infinity")
PARTS = (SHEET, SHEET, SHEET, STRINGS, "xl/styles.xml", "xl/workbook.xml", "[Content_Types].xml")
# What programs or attackers write into a sheet: patterns of the valid one, and what comes there.
CHANGES: tuple[tuple[str, str], ...] = (
    (r'<dimension ref="[^"]*"', '<dimension ref="A1"'),
    (r'<dimension ref="[^"]*"', '<dimension ref="A1:XFD1048576"'),
    (r'<dimension ref="[^"]*"', '<dimension ref="nonsense"'),
    (r'<row r="40"', '<row r="1048577"'),
    (r'<row r="40"', '<row r="99999999999999"'),
    (r'<row r="40"', '<row r="-3"'),
    (r'<row r="40"', '<row r="2"'),
    (r'<c r="C7"', '<c r="XFD7"'),
    (r'<c r="C1"', '<c r="XFD1"'),
    (r'<c r="C7"', '<c r="ZZZZZ7"'),
    (r'<c r="C7"', '<c r="7C"'),
    (r"<c ", "<c t='e' "),
    (r"<c ", "<c t='b' "),
    (r"<c ", "<c t='d' "),
    (r' t="s"', ' t="n"'),
    (r"<v>[0-9]+</v>", "<v>99999999</v>"),
    (r"<v>[0-9]+</v>", "<v>-1</v>"),
    (r"<v>[0-9]+</v>", "<v>1e999</v>"),
    (r"<v>[0-9]+</v>", "<f>1/0</f><v>#DIV/0!</v>"),
    (r' s="[0-9]+"', ' s="77"'),
    (r"<sheetData>", "<sheetData>" + "<row/>" * 20_000),
    (r"<sheetData>", "<sheetData><row>" + "<c/>" * 20_000 + "</row>"),
    (r"^", '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;&a;">]>'),
    (r"^", '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'),
)


@cache
def _pack_valid() -> dict[str, bytes]:
    sink = io.BytesIO()
    make_frame(ROWS).to_excel(sink, index=False)
    with zipfile.ZipFile(sink) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    share_strings(parts)
    return parts


def _make_workbook(chance: random.Random, number: int) -> tuple[str, bytes]:
    parts = dict(_pack_valid())
    if number >= 0 and chance.random() < 0.2:
        change = chance.choice([c for name, (c, _) in BAD.items() if name not in UNWRITABLE])
        sink = io.BytesIO()
        change(make_frame(4)).to_excel(sink, index=False)
        return "some.xlsx", sink.getvalue()
    if number >= 0 and chance.random() < 0.9:
        name = chance.choice([part for part in PARTS if part in parts])
        parts[name] = _change_part(parts[name], chance)
        if chance.random() < 0.1:
            del parts[chance.choice(list(parts))]
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    content = sink.getvalue()
    if number >= 0 and chance.random() < 0.2:
        content = mutate_bytes(content, chance, keep=4)
    return "some.xlsx", content


def _change_part(content: bytes, chance: random.Random) -> bytes:
    text = content.decode()
    for _ in range(chance.randint(1, 2)):
        way = chance.random()
        if way < 0.5:
            pattern, new = chance.choice(CHANGES)
            text = re.sub(pattern, lambda _found, new=new: new, text, count=chance.choice((1, 0)))
        elif way < 0.75:
            values = re.findall(r'>[^<>]+<|"[^"]*"', text)
            if values:
                old = chance.choice(values)
                new = old[0] + chance.choice(NASTY_TEXTS).replace("<", "&lt;") + old[-1]
                text = text.replace(old, new, 1)
        else:
            text = mutate_bytes(text.encode(), chance, keep=60).decode("utf-8", "replace")
    return text.encode("utf-8", "replace")


def _check_workbook(path: Path) -> None:
    import openpyxl

    openpyxl.load_workbook(path, read_only=True)


def _read_workbook(path: Path, _out: Path) -> Any:
    from regrow.models.air_quality.data import read_readings

    return read_readings(path)


def _expect_workbook(found: Any) -> None:
    expected = make_frame(ROWS)
    assert found["timestamp"].tolist() == expected["timestamp"].tolist()
    np.testing.assert_array_equal(found["nox_ppb"], expected["nox_ppb"])


def _import_workbooks() -> None:
    import openpyxl  # noqa: F401

    import regrow.models.air_quality.data  # noqa: F401

    _pack_valid()


READERS = (
    Fuzzed(
        "excel",
        ("models/air_quality/workbook.py",),
        _make_workbook,
        _check_workbook,
        _read_workbook,
        _expect_workbook,
        _import_workbooks,
    ),
)
