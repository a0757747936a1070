"""How facts and figures are put before people: numbers, tables and labels, the same everywhere.

The report, the model card and Prefect's summary all show what these functions return, so that
one run reads the same in each of them. Nothing here knows HTML or Markdown.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeGuard

from regrow.report.evaluation import Table

NONE = "\N{EN DASH}"


@dataclass(frozen=True)
class Column:
    """A table's column; numbers are set flush right."""

    label: str
    is_numeric: bool


@dataclass(frozen=True)
class Row:
    """A table's row as text; `is_best` where it holds the best figure."""

    cells: tuple[str, ...]
    is_best: bool = False


@dataclass(frozen=True)
class TextTable:
    """A table whose cells are text already."""

    title: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]


def format_table(table: Table) -> TextTable:
    """A table of figures as text, with its best row marked."""
    formatted = [format_column([row[n] for row in table.rows]) for n in range(len(table.columns))]
    best = _find_best(table)
    return TextTable(
        title=begin(table.title),
        caption=table.caption,
        columns=tuple(
            Column(label, is_numeric)
            for label, (is_numeric, _cells) in zip(table.columns, formatted, strict=True)
        ),
        rows=tuple(
            Row(cells, n in best)
            for n, cells in enumerate(zip(*(cells for _numeric, cells in formatted), strict=True))
        ),
    )


def align_table(table: TextTable) -> TextTable:
    """The same table with its numbers aligned at the decimal point, for a page."""
    columns = [
        align_decimals(cells) if column.is_numeric else cells
        for column, cells in zip(
            table.columns, zip(*(row.cells for row in table.rows), strict=True), strict=False
        )
    ]
    cells = zip(*columns, strict=True)
    return replace(
        table,
        rows=tuple(replace(row, cells=c) for row, c in zip(table.rows, cells, strict=True)),
    )


def format_column(values: Sequence[Any]) -> tuple[bool, tuple[str, ...]]:
    """Whether a column holds numbers, and its cells as text.

    Numbers have 3 significant digits, or as many (up to 6) as tell different ones apart.
    """
    numbers = [value for value in values if is_number(value)]
    is_numeric = bool(numbers) and all(
        value is None or (isinstance(value, (int, float)) and not isinstance(value, bool))
        for value in values
    )
    if not is_numeric:
        return False, tuple(format_value(value) for value in values)
    largest = max(numbers, key=abs)
    for digits in range(3, 7):
        # What tells large numbers apart is no reason to show more of the small ones.
        shown = choose_decimals(largest, digits)
        texts = {n: format_number(n, max(shown, _count_decimals(n))) for n in numbers}
        if len(set(texts.values())) == len(texts):
            break
    return True, tuple(texts[value] if is_number(value) else NONE for value in values)


def align_decimals(cells: Sequence[str]) -> tuple[str, ...]:
    """Adds spaces as wide as a digit or a point, so that flush-right numbers align at the point."""
    tails = [len(cell) - cell.find(".") if "." in cell else 0 for cell in cells]
    longest = max(tails, default=0)
    # U+2007 is as wide as a digit, U+2008 as a point.
    return tuple(
        cell + ("" if tail or not longest else "\u2008") + "\u2007" * (longest - max(tail, 1))
        if cell != NONE and longest
        else cell
        for cell, tail in zip(cells, tails, strict=True)
    )


def choose_decimals(number: float, digits: int = 3) -> int:
    """Decimals that show this many significant digits; none for counts."""
    if isinstance(number, int) or not number:
        return 0
    return min(max(digits - 1 - magnitude(number), 0), 6)


def format_number(value: float | None, decimals: int | None = None) -> str:
    """A number as people write it: thousands apart, a true minus, sensible digits."""
    if value is None or not math.isfinite(value):
        return NONE
    if isinstance(value, int):
        text = f"{value:,}"
    elif decimals is None:
        text = _trim(f"{value:,.{choose_decimals(value)}f}")
    else:
        text = f"{value:,.{decimals}f}"
    if value and not any(digit in text for digit in "123456789"):
        # Too small for any sensible number of decimals.
        text = re.sub(r"e([+-])0*", r"e\1", f"{value:.1e}")
    return text.replace("-", "\N{MINUS SIGN}")


def format_value(value: Any, decimals: int | None = None) -> str:
    """Any JSON value as short text."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return format_number(value, decimals)
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return ", ".join(f"{key}: {format_value(item)}" for key, item in value.items()) or NONE
    if isinstance(value, Sequence):
        return ", ".join(format_value(item) for item in value) or NONE
    return str(value)


def list_facts(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A stage's facts as (label, text) pairs; nested ones get longer labels."""
    return [(humanise(key), format_value(value)) for key, value in _flatten(facts, " ")]


def split_facts(facts: Mapping[str, Any]) -> tuple[list[tuple[str, str]], list[TextTable]]:
    """As `list_facts`, with a table for each fact that has many parts, such as one a column."""
    many = {
        key: value for key, value in facts.items() if isinstance(value, Mapping) and len(value) > 3
    }
    tables = [
        Table(
            title=humanise(key),
            columns=("", humanise(key)),
            rows=tuple((str(name), _to_cell(part)) for name, part in value.items()),
        )
        for key, value in many.items()
    ]
    few = {key: value for key, value in facts.items() if key not in many}
    return list_facts(few), [format_table(table) for table in tables]


def _to_cell(value: Any) -> Any:
    return value if value is None or isinstance(value, (int, float, str)) else format_value(value)


def list_settings(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Settings as (dotted name, value as one would type it) pairs."""
    return [
        (key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
        for key, value in _flatten(config, ".")
    ]


def begin(text: str) -> str:
    """The text as the beginning of a sentence or as a title."""
    return text[:1].upper() + text[1:]


def name_metric(metric: str, unit: str) -> str:
    """A metric in words, without the unit that follows its figure."""
    words = humanise(metric)
    return words.removesuffix(" percent") if unit == "%" else words


def humanise(key: str) -> str:
    """A name from code as words: "rows_with_target" becomes "rows with target"."""
    return str(key).replace("_", " ").strip()


def format_date(text: str) -> str:
    """An ISO 8601 time as "24 November 2025, 09:48 UTC"; anything else as it is."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{when.day} {when:%B %Y, %H:%M} {when.tzname() or ''}".strip()


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a JSON value is a finite number (true and false are not)."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def magnitude(value: float) -> int:
    """The power of ten that a number other than zero starts at: 0 for 7.3, -2 for 0.021."""
    return math.floor(math.log10(abs(value)))


def _count_decimals(number: float) -> int:
    """Decimals of 3 significant digits, less the zeros at the end."""
    return len(_trim(f"{number:.{choose_decimals(number)}f}").partition(".")[2])


def _trim(text: str) -> str:
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def _find_best(table: Table) -> set[int]:
    if table.best_by is None:
        return set()
    column = table.columns.index(table.best_by)
    cells = {n: row[column] for n, row in enumerate(table.rows)}
    figures = {n: cell for n, cell in cells.items() if is_number(cell)}
    if len(figures) < 2:
        return set()
    best = (min if table.direction == "minimize" else max)(figures.values())
    return {n for n, figure in figures.items() if figure == best}


def _flatten(values: Mapping[str, Any], joint: str, above: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, value in values.items():
        name = f"{above}{joint}{key}" if above else str(key)
        nested = isinstance(value, Mapping) and bool(value)
        flat.extend(_flatten(value, joint, name) if nested else [(name, value)])
    return flat
