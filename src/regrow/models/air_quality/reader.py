"""Reads the Air Quality file, and nothing that is not quite like it, in blocks of bounded memory.

The file has CRLF line ends, semicolons, decimal commas, two empty columns at the right, empty rows
at the end, times such as 18.00.00, and -200 where a value is missing.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from regrow.base.errors import DataError
from regrow.base.file_kinds import name_kind
from regrow.models.air_quality.columns import COLUMNS, DATE, TIME
from regrow.models.air_quality.values import (
    SCHEMA,
    Reading,
    count_disorder,
    parse_numbers,
    parse_times,
    refuse_unless,
)

BLOCK_BYTES = 4 << 20
# What `typed.py` reads.
TYPED = ("a Parquet file", "an Arrow file", "an Excel workbook")
MAX_LINE_BYTES = 10_000
MAX_LISTED = 20


def read_blocks(
    path: Path, facts: Reading, *, optional: Collection[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Yields the file's rows in blocks, with our column names and null for missing values.

    Args:
        path: the CSV file.
        facts: filled while reading.
        optional: our names of columns that may be absent; they are then all null.

    Raises:
        DataError: the file is not as the source has it; names file, line and column.
    """
    header = read_header(path, facts)
    names = check_header(path, header, optional)
    line = 2
    for block in _text_blocks(path, names):
        yield from _convert(path, block, names, line, facts)
        line += block.num_rows
    if facts.rows == 0:
        raise DataError(
            "the file has a header but no readings",
            where=f"{path}, after line 1",
            received=f"{facts.empty_rows} empty rows",
            expected="one row per hour",
            remedies=["download the file again, or use another file"],
        )


def read_header(path: Path, facts: Reading) -> list[str]:
    """The names in the first line.

    Raises:
        DataError: it is empty, or no plain text.
    """
    with path.open("rb") as stream:
        first = stream.readline(MAX_LINE_BYTES)
    if not first.strip():
        raise DataError(
            "the file is empty" if not first else "the first line is empty",
            where=f"{path}, line 1",
            expected=f"a header that starts with {DATE};{TIME};{next(iter(COLUMNS))}",
            remedies=["download the file again, or use another file"],
        )
    facts.byte_order_mark = first.startswith(b"\xef\xbb\xbf")
    # A line ends with CR, LF or both.
    first = re.split(rb"(?<=\n)|\r(?!\n)", first, maxsplit=1)[0]
    facts.unix_line_ends = not first.endswith(b"\r\n")
    if b"\x00" in first or not first.removeprefix(b"\xef\xbb\xbf").isascii():
        raise DataError(
            "the file is not plain text",
            where=f"{path}, line 1",
            received=f"{first[:40]!r}" + (f"; it is {kind}" if (kind := name_kind(path)) else ""),
            expected="a header of ASCII text",
            remedies=["unpack the archive first, or save the file as a UTF-8 CSV file"],
        )
    text = first.removeprefix(b"\xef\xbb\xbf").decode("ascii").rstrip("\r\n")
    return text.split(";")


def check_header(path: Path, header: list[str], optional: Collection[str]) -> list[str]:
    """Compares the header with the one we know; returns it with the empty columns named.

    Raises:
        DataError: columns are missing, unknown or there twice.
    """
    known = [DATE, TIME, *COLUMNS]
    names = [name.strip() for name in header]
    given = [name for name in names if name]
    required = [name for name in known if COLUMNS.get(name) not in optional]
    missing = [name for name in required if name not in given]
    unknown = [name for name in given if name not in known]
    doubled = sorted({name for name in given if given.count(name) > 1})
    if missing or unknown or doubled:
        lines = []
        for name in missing:
            near = difflib.get_close_matches(name, unknown, n=1, cutoff=0.5)
            lines.append(f"{name} is missing" + (f" (renamed to {near[0]}?)" if near else ""))
        lines += [f"{name} is unknown" for name in unknown]
        lines += [f"{name} occurs twice" for name in doubled]
        raise DataError(
            "the columns are not those of the Air Quality file",
            where=f"{path}, line 1",
            received="\n".join(lines[:MAX_LISTED])
            + (f"\nand {len(lines) - MAX_LISTED:,} more" if len(lines) > MAX_LISTED else ""),
            expected=";".join(known),
            remedies=["rename or add the columns, or use another file"],
        )
    return [name or f"_{index}" for index, name in enumerate(names)]


def _text_blocks(path: Path, names: list[str]) -> Iterator[pa.RecordBatch]:
    """The rows below the header as text, block by block."""
    try:
        reader = pa.csv.open_csv(
            path,
            read_options=pa.csv.ReadOptions(
                column_names=names, skip_rows=1, block_size=BLOCK_BYTES, use_threads=False
            ),
            parse_options=pa.csv.ParseOptions(
                delimiter=";", quote_char=False, ignore_empty_lines=False
            ),
            convert_options=pa.csv.ConvertOptions(
                column_types={name: pa.string() for name in names}, strings_can_be_null=False
            ),
        )
        yield from reader
    except pa.ArrowInvalid as error:
        raise _explain(path, str(error), len(names)) from None


def _explain(path: Path, message: str, fields: int) -> DataError:
    """Says what Arrow's error means. It counts rows by itself, so the line is looked up again."""
    if "Empty CSV file" in message:
        return DataError(
            "the file has a header but no readings",
            where=f"{path}, after line 1",
            expected="one row per hour",
            remedies=["download the file again, or use another file"],
        )
    if "invalid UTF8" in message:
        return DataError(
            "the file is not UTF-8 text",
            where=str(path),
            received=message.splitlines()[0],
            expected="digits, commas and semicolons",
            remedies=["download the file again; it may be damaged"],
        )
    line, text = _find_odd_line(path, fields)
    return DataError(
        "a row and the header have different numbers of fields; the file may be incomplete",
        where=f"{path}, line {line}" if line else str(path),
        received=f"{text.count(';') + 1} fields: {text[:80]!r}"
        if line
        else message.splitlines()[0][:200],
        expected=f"{fields} fields",
        remedies=["download the file again, or correct that line"],
    )


def _find_odd_line(path: Path, fields: int) -> tuple[int, str]:
    # In text mode every kind of line end counts.
    with path.open(encoding="latin-1") as stream:
        for number, raw in enumerate(iter(lambda: stream.readline(MAX_LINE_BYTES), ""), 1):
            if raw.count(";") != fields - 1:
                return number, raw.rstrip("\r\n")
    return 0, ""


def _convert(
    path: Path, block: pa.RecordBatch, names: list[str], first_line: int, facts: Reading
) -> Iterator[pa.RecordBatch]:
    """Turns a block of text into numbers; empty rows are counted and left out."""
    columns = {name: block.column(i) for i, name in enumerate(names)}
    lines = np.arange(first_line, first_line + block.num_rows)
    filled = np.zeros(block.num_rows, dtype=bool)
    for column in columns.values():
        filled |= pc.not_equal(column, "").to_numpy(zero_copy_only=False)
    facts.empty_rows += int((~filled).sum())
    if not filled.any():
        return
    mask = pa.array(filled)
    columns = {name: column.filter(mask) for name, column in columns.items()}
    lines = lines[filled]
    stray = [name for name in names if name.startswith("_")]
    for name in stray:
        refuse_unless(
            path,
            columns[name],
            pc.equal(columns[name], ""),
            lines,
            "after the last column",
            "nothing",
        )
    arrays = [parse_times(path, columns[DATE], columns[TIME], lines)]
    for header, name in COLUMNS.items():
        if header in columns:
            arrays.append(parse_numbers(path, columns[header], lines, header))
        else:
            arrays.append(pa.nulls(len(lines), SCHEMA.field(name).type))
    facts.rows += len(lines)
    count_disorder(arrays[0], facts)
    yield pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)
