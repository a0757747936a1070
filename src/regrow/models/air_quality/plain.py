"""Reads ordinary CSV files: commas between the columns, decimal points, as programs write them.

The columns have the file's names or ours, in any order; others are left out. An empty cell, NA and
NaN are missing, and so is -200.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv

from regrow.base.errors import DataError
from regrow.models.air_quality.columns import COLUMNS, DATE, TIME, TIMESTAMP
from regrow.models.air_quality.reader import BLOCK_BYTES, MAX_LINE_BYTES

PLAIN = "an ordinary CSV file"
TEXTS = (TIMESTAMP, DATE, TIME)
KNOWN = {*TEXTS, *COLUMNS, *COLUMNS.values()}


def is_plain(path: Path) -> bool:
    """Whether the header's columns are separated by commas; the source's file has semicolons."""
    with path.open("rb") as stream:
        first = re.split(rb"[\r\n]", stream.readline(MAX_LINE_BYTES), maxsplit=1)[0]
    return b"," in first and b";" not in first and b"\x00" not in first


def read_header(path: Path) -> list[str]:
    """The names in the first line.

    Raises:
        DataError: it is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            line = re.split(r"[\r\n]", stream.readline(MAX_LINE_BYTES), maxsplit=1)[0]
    except UnicodeDecodeError as error:
        raise _refuse(path, "line 1", str(error), "UTF-8 text") from None
    return [name.strip() for name in next(csv.reader([line]))]


def read_plain(path: Path) -> Iterator[pa.RecordBatch]:
    """Yields the columns that are known, in blocks; first a block without rows of all columns.

    Raises:
        DataError: a row has too few cells, or a cell of numbers holds something else.
    """
    header = read_header(path)
    yield pa.RecordBatch.from_arrays([pa.nulls(0)] * len(header), names=header)
    names = [name if name in KNOWN else f"column {number}" for number, name in enumerate(header, 1)]
    types = {n: pa.string() if n in TEXTS else pa.float64() for n in names if n in KNOWN}
    try:
        yield from pa.csv.open_csv(
            path,
            read_options=pa.csv.ReadOptions(
                column_names=names, skip_rows=1, block_size=BLOCK_BYTES, use_threads=False
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types=types, include_columns=list(types), strings_can_be_null=True
            ),
        )
    except pa.ArrowInvalid as error:
        if "Empty CSV file" not in str(error):  # no rows: for the caller to refuse
            raise _explain(path, str(error).splitlines()[0], names) from None


def _explain(path: Path, message: str, names: list[str]) -> DataError:
    """Says what Arrow's error means: "In CSV column #0: Row #3: CSV conversion error to ..."."""
    row, column = (re.search(pattern, message) for pattern in (r"Row #(\d+)", r"column #(\d+)"))
    where = f"row {row[1]}" if row else ""
    if "conversion error" not in message:
        received = message.partition(": ")[2] or message
        return _refuse(
            path, where, received, f"{len(names)} cells, one for each name in the header"
        )
    # Arrow counts the columns that are read.
    read = [name for name in names if name in KNOWN]
    where += f", column {read[int(column[1])]}" if column else ""
    return _refuse(path, where, message.rpartition("error to ")[2], "a number, as in 2.6")


def _refuse(path: Path, where: str, received: str, expected: str) -> DataError:
    return DataError(
        "the CSV file cannot be read",
        where=f"{path}, {where}" if where else str(path),
        received=received[:200],
        expected=expected,
        remedies=["correct the file, or use another one"],
    )
