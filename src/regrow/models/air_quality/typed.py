"""Reads tables whose values have types, and ordinary CSV, by the rules of the source's file.

Columns have the file's names or ours; -200 is missing; times are local ones without a time zone.
"""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from regrow.base.errors import DataError, UserError, shorten_list
from regrow.models.air_quality.columns import COLUMNS, DATE, TIME, TIMESTAMP
from regrow.models.air_quality.plain import PLAIN, read_plain
from regrow.models.air_quality.reader import TYPED
from regrow.models.air_quality.values import (
    MISSING,
    SCHEMA,
    Reading,
    count_disorder,
    parse_numbers,
    parse_times,
    refuse_unless,
)
from regrow.models.air_quality.workbook import BATCH_ROWS, read_sheet

ISO = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[ T][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?$"
# A date as programs write it, and as the source's file has it.
ISO_DATE = (r"^([0-9]{4})-([0-9]{2})-([0-9]{2})$", r"\3/\2/\1")
REMEDY = "correct the table, or use another file"


def read_typed(
    path: Path, kind: str, facts: Reading, *, optional: Collection[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Yields a table's rows in blocks, with our column names and null for missing values.

    Args:
        path: the file.
        kind: one of `TYPED`, or `PLAIN`.
        facts: filled while reading.
        optional: our names of columns that may be absent; they are then all null.

    Raises:
        DataError: a column is missing or has values that cannot be read; names file and row.
        UserError: a library that reads this kind is not installed.
    """
    readers = (_read_parquet, _read_arrow, read_sheet, read_plain)
    opened = dict(zip((*TYPED, PLAIN), readers, strict=True))[kind](path)
    row = 2 if kind in (TYPED[2], PLAIN) else 1  # as a person counts them: a sheet has a header
    while (batch := _next(opened, path, kind)) is not None:
        yield from _convert(path, batch, row, facts, optional)
        row += batch.num_rows
    if facts.rows == 0:
        raise DataError(
            "the table has no readings",
            where=str(path),
            received=f"{facts.empty_rows} empty rows",
            expected="one row per hour",
            remedies=["use another file"],
        )


def _next(batches: Iterator[pa.RecordBatch], path: Path, kind: str) -> pa.RecordBatch | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of parts of a workbook that are not read here
            batch = next(batches, None)
        if batch is not None:
            batch.validate(full=True)  # offsets that lead out of the file would crash Python
        return batch
    except UserError:
        raise
    except Exception as error:  # whatever the libraries raise for a damaged file
        raise DataError(
            f"the file is damaged: it looks like {kind} but cannot be read",
            where=str(path),
            received=f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}",
            remedies=["write it again, or use another file"],
        ) from error


def _read_parquet(path: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        yield pa.RecordBatch.from_pylist([], schema=file.schema_arrow)  # so that names are checked
        yield from file.iter_batches(batch_size=BATCH_ROWS, use_threads=False)


def _read_arrow(path: Path) -> Iterator[pa.RecordBatch]:
    import pyarrow.ipc

    with pa.OSFile(str(path)) as raw, pyarrow.ipc.open_file(raw) as file:
        yield pa.RecordBatch.from_pylist([], schema=file.schema)
        for number in range(file.num_record_batches):
            yield file.get_batch(number)


def _convert(
    path: Path, batch: pa.RecordBatch, first: int, facts: Reading, optional: Collection[str]
) -> Iterator[pa.RecordBatch]:
    names = check_names(path, batch.schema.names, optional)
    columns = {ours: _decode(batch.column(name)) for ours, name in names.items()}
    filled = np.zeros(batch.num_rows, dtype=bool)
    for column in columns.values():
        filled |= column.is_valid().to_numpy(zero_copy_only=False)
    facts.empty_rows += int((~filled).sum())
    if not filled.any():
        return
    rows = np.arange(first, first + batch.num_rows)[filled]
    columns = {name: column.filter(pa.array(filled)) for name, column in columns.items()}
    try:
        arrays = [_timestamps(path, columns, rows)]
        for name in COLUMNS.values():
            if name in columns:
                arrays.append(_numbers(path, columns[name], rows, names[name]))
            else:
                arrays.append(pa.nulls(len(rows), pa.float64()))
    except DataError as error:
        error.where = (error.where or "").replace(", line ", ", row ")
        raise
    facts.rows += len(rows)
    count_disorder(arrays[0], facts)
    yield pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def check_names(path: Path, given: list[str], optional: Collection[str]) -> dict[str, str]:
    """The table's names of the columns by ours; date and time stay two where they are two.

    Raises:
        DataError: columns are missing, or there twice.
    """
    present = set(given)
    names = {
        ours: name
        for header, ours in COLUMNS.items()
        if (name := next((one for one in (ours, header) if one in present), None))
    }
    parts = (TIMESTAMP,) if TIMESTAMP in present or DATE not in present else (DATE, TIME)
    wanted = [*parts, *(ours for ours in COLUMNS.values() if ours not in optional)]
    missing = [name for name in wanted if name not in names and name not in present]
    doubled = sorted({name for name in (*parts, *names.values()) if given.count(name) > 1})
    if missing or doubled:
        raise DataError(
            "columns are missing" if missing else "some columns occur twice",
            where=str(path),
            received=shorten_list(doubled or given, 20),
            expected=", ".join(wanted),
            remedies=["rename or add the columns, or use another file"],
        )
    return {**{name: name for name in parts}, **names}


def _decode(column: pa.Array) -> pa.Array:
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _timestamps(path: Path, columns: dict[str, pa.Array], rows: Any) -> pa.Array:
    if TIMESTAMP not in columns:
        dates, times = (_to_texts(path, columns[name], name, rows) for name in (DATE, TIME))
        return parse_times(path, dates, times, rows)
    column = columns[TIMESTAMP]
    _check_times(path, column, rows)
    try:
        return pc.cast(column, pa.timestamp("ms"), safe=False)
    except pa.ArrowInvalid as error:
        raise DataError(
            "a time cannot be read",
            where=f"{path}, column {TIMESTAMP}",
            received=str(error).splitlines()[0],
            expected="valid dates and times",
            remedies=[REMEDY],
        ) from error


def _check_times(path: Path, column: pa.Array, rows: Any) -> None:
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        refuse_unless(
            path,
            column,
            pc.fill_null(pc.match_substring_regex(column, ISO), False),
            rows,
            TIMESTAMP,
            "times such as 2004-03-10 18:00:00",
        )
    elif not pa.types.is_timestamp(kind):
        expected = "timestamps, or text such as 2004-03-10 18:00:00"
        raise _wrong_type(path, TIMESTAMP, kind, expected)
    else:
        _refuse_zone(path, TIMESTAMP, kind)
    if column.null_count:
        row = rows[pc.index(column.is_valid(), False).as_py()]
        raise DataError(
            "a reading has no time",
            where=f"{path}, row {row}, column {TIMESTAMP}",
            received=f"no value in {column.null_count:,} of {len(column):,} rows",
            expected="a timestamp for each reading",
            remedies=[REMEDY],
        )


def _refuse_zone(path: Path, name: str, kind: pa.DataType) -> None:
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        raise DataError(
            "the times have a time zone",
            where=f"{path}, column {name}",
            received=str(kind),
            expected="local times without a time zone, as in the source",
            remedies=["in pandas: times.dt.tz_convert('Europe/Rome').dt.tz_localize(None)"],
        )


def _to_texts(path: Path, column: pa.Array, name: str, rows: Any) -> pa.Array:
    """Dates or times of day as the CSV file writes them."""
    kind = column.type
    _refuse_zone(path, name, kind)
    form = "%d/%m/%Y" if name == DATE else "%H.%M.%S"
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        column = pc.strftime(pc.cast(column, pa.timestamp("s"), safe=False), format=form)
    elif pa.types.is_time(kind):
        column = pc.cast(column, pa.string())
        column = pc.replace_substring(pc.utf8_slice_codeunits(column, 0, 8), ":", ".")
    elif not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise _wrong_type(path, name, kind, "dates and times, or text as in the CSV file")
    elif name == TIME:
        column = pc.replace_substring(column, ":", ".")
    else:
        column = pc.replace_substring_regex(column, *ISO_DATE)
    return pc.fill_null(pc.cast(column, pa.string()), "")


def _numbers(path: Path, column: pa.Array, rows: Any, name: str) -> pa.Array:
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return parse_numbers(path, column, rows, name)
    number = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal, pa.types.is_null)
    if not any(fits(kind) for fits in number):
        raise _wrong_type(path, name, kind, "numbers")
    values = pc.cast(column, pa.float64(), safe=False)
    values = pc.if_else(
        pc.fill_null(pc.is_nan(values), True), pa.scalar(None, pa.float64()), values
    )
    finite = pc.fill_null(pc.is_finite(values), True)
    if not pc.all(finite).as_py():
        refuse_unless(
            path,
            pc.cast(values, pa.string()),
            finite,
            rows,
            name,
            "a number, or -200 for a missing value",
        )
    return pc.if_else(pc.equal(values, MISSING), pa.scalar(None, pa.float64()), values)


def _wrong_type(path: Path, name: str, kind: pa.DataType, expected: str) -> DataError:
    return DataError(
        f"column {name} has an unsupported type",
        where=f"{path}, column {name}",
        received=str(kind)[:200],
        expected=expected,
        remedies=[REMEDY],
    )
