"""Reads the first sheet of an Excel workbook as columns, in bounded memory."""

from __future__ import annotations

import datetime
import zipfile
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from regrow.base.errors import DataError, UserError
from regrow.models.air_quality.columns import TIME, TIMESTAMP

BATCH_ROWS = 65_536
# Excel has no more rows. A sheet of this data has 17 columns, and some to spare.
MAX_ROWS, MAX_COLUMNS = 1_048_576, 200
# openpyxl makes large objects of short texts: some kilobytes of each style, say.
MAX_BYTES = {"xl/worksheets/": 32_000_000, "xl/sharedStrings.xml": 8_000_000, "": 1_000_000}
REMEDIES = ("save the sheet as CSV, with semicolons and decimal commas", "or use a Parquet file")


def read_sheet(path: Path) -> Iterator[pa.RecordBatch]:
    """Yields the rows of the first sheet; texts, numbers and dates as columns.

    Raises:
        DataError: the workbook is too large to be read.
        UserError: openpyxl is not installed.
    """
    try:
        import openpyxl
    except ImportError:
        raise UserError(
            "the file is an Excel workbook, but the library for reading it is not installed",
            where=str(path),
            expected="a CSV or Parquet file, or the library openpyxl",
            remedies=["pip install 'regrow[excel]'", f"or {REMEDIES[0]}"],
        ) from None
    _check_size(path)
    # By its name openpyxl would refuse a workbook that is stored under the source's name, a CSV.
    with (
        path.open("rb") as file,
        closing(
            openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
        ) as book,
    ):
        sheet = book.worksheets[0]
        sheet.reset_dimensions()  # some programs write A1 for a sheet of any size
        first: tuple[Any, ...] = next(sheet.iter_rows(max_row=1, values_only=True), ())
        if len(first) > MAX_COLUMNS:
            raise _too_large(path, f"{len(first):,} columns", f"at most {MAX_COLUMNS}")
        header = [str(name).strip() if name is not None else "" for name in first]
        rows = sheet.iter_rows(
            min_row=2, max_row=MAX_ROWS, max_col=max(1, len(header)), values_only=True
        )
        yield _to_batch(header, [])  # so that names are checked where there are no rows
        while block := list(islice(rows, BATCH_ROWS)):
            yield _to_batch(header, block)


def _check_size(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        for member in archive.infolist():
            if not member.filename.lower().endswith((".xml", ".rels")):
                continue  # pictures and the like, which are not read
            name = member.filename
            most = next(most for start, most in MAX_BYTES.items() if name.startswith(start))
            if member.file_size > most:
                found = f"{name} with {member.file_size:,} bytes"
                raise _too_large(path, found, f"at most {most:,} bytes")


def _too_large(path: Path, received: str, expected: str) -> DataError:
    return DataError(
        "the Excel workbook is too large",
        where=str(path),
        received=received,
        expected=expected,
        remedies=REMEDIES,
    )


def _to_batch(header: list[str], rows: list[tuple[Any, ...]]) -> pa.RecordBatch:
    # A gap may be a million rows long, for which openpyxl has one tuple.
    is_gap = not rows or (rows.count(rows[0]) == len(rows) and all(c is None for c in rows[0]))
    columns = {}
    for number, name in enumerate(header):
        cells = [] if is_gap else [row[number] if number < len(row) else None for row in rows]
        if name or any(cell is not None for cell in cells):
            values = pa.nulls(len(rows)) if is_gap else _to_array(name, cells)
            columns[name or f"column {number + 1}"] = values
    doubled = [name for name in header if name and header.count(name) > 1]
    names = [*columns, *doubled]
    return pa.RecordBatch.from_arrays([*columns.values(), *map(columns.get, doubled)], names=names)


def _to_array(name: str, cells: list[Any]) -> pa.Array:
    """A column of cells: numbers, or texts as the CSV file has them."""
    if all(cell is None or type(cell) in (int, float) for cell in cells):
        return pa.array([None if cell is None else float(cell) for cell in cells], pa.float64())
    if name == TIMESTAMP and all(isinstance(c, datetime.datetime) or c is None for c in cells):
        return pa.array(cells, pa.timestamp("ms"))
    return pa.array([_to_text(name, cell) for cell in cells], pa.string())


def _to_text(name: str, cell: Any) -> str | None:
    if isinstance(cell, (datetime.date, datetime.time)):  # a datetime is a date as well
        return cell.strftime("%H.%M.%S" if name == TIME else "%d/%m/%Y")
    if isinstance(cell, float):
        return np.format_float_positional(cell, trim="-").replace(".", ",")
    return None if cell is None else str(cell)
