"""How commands print: tables and progress bars for people, JSON for scripts."""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import textwrap
from collections.abc import Container, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

from rich.cells import cell_len
from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable
from rich.text import Text

from regrow.base.errors import UserError
from regrow.base.logs import logs_json
from regrow.operations.progress_bars import terminal_bars
from regrow.report.evaluation import Table
from regrow.report.numbers import format_table

log = logging.getLogger(__name__)

MIB = 2**20
GAP = "  "  # between the columns of a table
LABEL = re.compile(r" *[\w ]+: +")  # "  where:    ", before a value

console = Console(highlight=False)
error_console = Console(stderr=True, highlight=False)
_documents: list[str] = []  # what print_json has printed: there is one document at most


def print_error(error: Exception) -> None:
    """Prints an error's message on standard error.

    With --json its fields are the document on standard output, unless there is one already.
    """
    if logs_json():
        log.error("%s", error)
    else:
        text = Text(_wrap(f"error: {error}", error_console))
        text.stylize("bold red", 0, len("error:"))
        error_console.print(text, soft_wrap=True)
    if "--json" in sys.argv and not _documents:
        fields = error.fields() if isinstance(error, UserError) else {"what": str(error)}
        print_json({"error": fields})


def warn(text: str) -> None:
    """Prints a remark on standard error; on a terminal its lines end between words."""
    text = _wrap(text, error_console)
    error_console.print(text, style="yellow", markup=False, soft_wrap=True)


def tell(text: str) -> None:
    """Prints a line on what is happening now, on standard error."""
    if logs_json():
        log.info("%s", text)
    else:
        error_console.print(_wrap(text, error_console), markup=False, soft_wrap=True)


def print_text(text: str, style: str = "") -> None:
    """Prints a text as it is; on a terminal its lines end between words."""
    console.print(_wrap(text, console), style=style, markup=False, soft_wrap=True)


def _wrap(text: str, target: Console) -> str:
    """Ends the lines between words on a terminal.

    Paths and addresses stay in one piece, beside the label of their line.
    """
    if not target.is_terminal:
        return text
    lines = []
    for line in text.split("\n"):
        label = LABEL.match(line)
        width = label.end() if label else 0
        line = "_" * width + line[width:]
        filled = textwrap.fill(line, target.width, break_long_words=False, break_on_hyphens=False)
        lines.append((label.group() if label else "") + filled[width:])
    return "\n".join(lines)


def print_command(text: str) -> None:
    """Prints a command on one line, so that it can be copied, however long it is."""
    console.print(text, markup=False, soft_wrap=True)


def print_json(value: Any) -> None:
    """Prints one JSON document on standard output; NaN and infinities become null."""
    plain = not (sys.stdout.encoding or "").lower().startswith("utf")
    text = json.dumps(
        _without_nan(value), indent=2, ensure_ascii=plain, default=str, allow_nan=False
    )
    sys.stdout.write(text + "\n")
    _documents.append(text)


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Prints a table; columns of numbers are aligned to the right."""
    numeric = [
        bool(rows) and all(isinstance(row[index], (int, float, type(None))) for row in rows)
        for index in range(len(columns))
    ]
    _print_rows(title, columns, numeric, [[*map(format_cell, row)] for row in rows], set())


def print_figures(table: Table) -> None:
    """Prints a table of an evaluation with the digits of the report; the best row is bold."""
    text = format_table(table)
    _print_rows(
        text.title,
        [column.label for column in text.columns],
        [column.is_numeric for column in text.columns],
        [list(row.cells) for row in text.rows],
        {index for index, row in enumerate(text.rows) if row.is_best},
    )


def _print_rows(
    title: str,
    labels: Sequence[str],
    numeric: Sequence[bool],
    rows: Sequence[Sequence[str]],
    best: Container[int],
) -> None:
    """Prints cells below labels; columns for which there is no room are a table of their own."""
    console.print(f"[bold]{escape(title)}[/]", soft_wrap=True)
    for block in _split_columns(labels, rows):
        shown = RichTable(box=None, pad_edge=False)
        for index in block:
            side: Literal["left", "right"] = "right" if numeric[index] else "left"
            shown.add_column(
                escape(labels[index]), justify=side, no_wrap=index == 0, overflow="fold"
            )
        for number, row in enumerate(rows):
            cells = (escape(row[index]) for index in block)
            shown.add_row(*cells, style="bold" if number in best else "")
        console.print(shown)


def _split_columns(labels: Sequence[str], rows: Sequence[Sequence[str]]) -> list[list[int]]:
    """The columns in blocks that fit the screen without a break in a word, each with the first."""
    blocks: list[list[int]] = [[]]
    room = 0
    for index, label in enumerate(labels):
        texts = [label, *(row[index] for row in rows)]
        words = texts if index == 0 else [word for text in texts for word in text.split()]
        width = max(map(cell_len, words), default=0) + len(GAP)
        if index == 0:
            first = room = console.width + len(GAP) - width
        elif width > room and len(blocks[-1]) > 1:
            blocks.append([0])
            room = first
        blocks[-1].append(index)
        room -= width * (index > 0)
    return blocks


def print_jobs(state: Any, *, as_json: bool) -> None:
    """Prints the table of runs that a flow of several runs returned.

    Args:
        state: the final state of that flow.

    Raises:
        UserError: some of the runs failed.
        Exception: the error that stopped the flow before it had a table.
    """
    table = state.result(raise_on_failure=False)
    if isinstance(table, BaseException):
        raise table
    if as_json:
        print_json(table)
    else:
        print_table(table["title"], table["columns"], table["rows"])
    if table["failed"]:
        raise UserError(
            f"{table['failed']} of {len(table['runs'])} runs failed",
            received="\n".join(t for t in table["runs"].values() if isinstance(t, str)),
            remedies=[
                "fix the errors above and run the same command again; finished runs are kept"
            ],
        )


def format_cell(value: Any) -> str:
    """A float with four significant digits, any other value as text, None as an empty cell."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def waiting(text: str) -> AbstractContextManager[Any]:
    """Says on a terminal what takes seconds, until the block ends."""
    return error_console.status(escape(text))


def progress_bars() -> AbstractContextManager[None]:
    """Shows progress bars on standard error if it is a terminal."""
    return terminal_bars(error_console)
