"""How commands print: tables and progress bars for people, JSON for scripts."""

from __future__ import annotations

import json
import logging
import math
import re
import sys
import textwrap
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Literal

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
    table = RichTable(box=None, pad_edge=False)
    for index, column in enumerate(columns):
        numeric = all(isinstance(row[index], (int, float, type(None))) for row in rows)
        table.add_column(
            escape(column),
            justify="right" if rows and numeric else "left",
            no_wrap=index == 0,
            overflow="fold",
        )
    for row in rows:
        table.add_row(*(escape(format_cell(cell)) for cell in row))
    console.print(f"[bold]{escape(title)}[/]", soft_wrap=True)
    console.print(table)


def print_figures(table: Table) -> None:
    """Prints a table of an evaluation with the digits of the report; the best row is bold."""
    text = format_table(table)
    shown = RichTable(box=None, pad_edge=False)
    for index, column in enumerate(text.columns):
        side: Literal["left", "right"] = "right" if column.is_numeric else "left"
        shown.add_column(escape(column.label), justify=side, no_wrap=index == 0, overflow="fold")
    for row in text.rows:
        shown.add_row(*map(escape, row.cells), style="bold" if row.is_best else "")
    console.print(f"[bold]{escape(text.title)}[/]", soft_wrap=True)
    console.print(shown)


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
