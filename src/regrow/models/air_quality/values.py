"""The values of the Air Quality file, whatever form it has: texts as numbers and times."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from regrow.base.errors import DataError
from regrow.models.air_quality.columns import COLUMNS, DATE, TIME, TIMESTAMP

MISSING = -200.0
NUMBER = r"^\s*[+-]?[0-9]+(,[0-9]+)?\s*$"
SCHEMA = pa.schema(
    [(TIMESTAMP, pa.timestamp("ms")), *((name, pa.float64()) for name in COLUMNS.values())]
)


@dataclass
class Reading:
    """What was met on the way: differences that lose nothing, each counted."""

    rows: int = 0
    empty_rows: int = 0
    byte_order_mark: bool = False
    unix_line_ends: bool = False
    rows_out_of_order: int = 0
    last: Any = field(default=None, repr=False)


def parse_numbers(path: Path, texts: Any, lines: Any, column: str) -> Any:
    """Texts with decimal commas as numbers, null for -200 and for null.

    Raises:
        DataError: one is no such number.
    """
    fits = pc.match_substring_regex(texts, NUMBER)
    if not pc.all(fits).as_py():
        first = pc.index(fits, False).as_py()
        point = pc.match_substring_regex(texts, r"^\s*[+-]?[0-9]*\.[0-9]+\s*$")[first].as_py()
        expected = "a decimal comma, as in 2,6" if point else "a number, as in 2,6"
        refuse_unless(path, texts, fits, lines, column, expected)
    numbers = pc.cast(pc.replace_substring(pc.utf8_trim_whitespace(texts), ",", "."), pa.float64())
    return pc.if_else(pc.equal(numbers, MISSING), pa.scalar(None, pa.float64()), numbers)


def parse_times(path: Path, dates: Any, times: Any, lines: Any) -> Any:
    """Texts of dates (DD/MM/YYYY) and times (HH.MM.SS) as timestamps.

    Raises:
        DataError: one has another form, or does not exist.
    """
    refuse_unless(
        path,
        dates,
        pc.match_substring_regex(dates, r"^[0-9]{2}/[0-9]{2}/[0-9]{4}$"),
        lines,
        DATE,
        "DD/MM/YYYY",
    )
    refuse_unless(
        path,
        times,
        pc.match_substring_regex(times, r"^[0-9]{2}\.[0-9]{2}\.[0-9]{2}$"),
        lines,
        TIME,
        "HH.MM.SS, with dots",
    )
    texts = pc.binary_join_element_wise(dates, times, " ")
    parsed = pc.strptime(texts, format="%d/%m/%Y %H.%M.%S", unit="ms", error_is_null=True)
    # strptime lets 31/02 roll over into March, so the day is compared with what was written.
    days = pc.cast(pc.utf8_slice_codeunits(dates, 0, 2), pa.int64())
    real = pc.fill_null(pc.equal(pc.day(parsed), days), False)
    refuse_unless(path, texts, real, lines, f"{DATE} and {TIME}", "a valid date and time")
    return parsed


def refuse_unless(
    path: Path, texts: Any, fits: Any, lines: Any, column: str, expected: str
) -> None:
    """Makes sure that texts have a form.

    Raises:
        DataError: some do not; names the line of the first one.
    """
    first = pc.index(fits, False).as_py()
    if first < 0:
        return
    bad = len(fits) - pc.sum(pc.cast(fits, pa.int64())).as_py()
    more = f" (and {bad - 1} more in this part of the file)" if bad > 1 else ""
    raise DataError(
        f"column {column} contains an unexpected value",
        where=f"{path}, line {lines[first]}, column {column}",
        received=f"{texts[first].as_py()[:60]!r}{more}",
        expected=expected,
        remedies=["correct that line, or use another file"],
    )


def count_disorder(times: Any, facts: Reading) -> None:
    """Counts rows that are earlier than the one before them, over all blocks."""
    values = times.to_numpy(zero_copy_only=False)
    if facts.last is not None:
        values = np.concatenate([[facts.last], values])
    facts.rows_out_of_order += int((values[1:] < values[:-1]).sum())
    facts.last = values[-1]
