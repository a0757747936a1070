"""How commands print: tables and bars for people, JSON for scripts, quiet when not a terminal."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from regrow.engine.progress import reporting_to

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def print_json(value: Any) -> None:
    """Prints one JSON document on standard output; NaN and infinities, which it lacks, as null."""
    text = json.dumps(
        _without_nan(value), indent=2, ensure_ascii=False, default=str, allow_nan=False
    )
    sys.stdout.write(text + "\n")


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Prints a table; figures are aligned to the right."""
    table = Table(box=None, pad_edge=False)
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


def format_cell(value: Any) -> str:
    """A figure with four significant digits, anything else as text, nothing for None."""
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


@contextmanager
def progress_bars() -> Iterator[None]:
    """Shows progress as bars on standard error while it is a terminal; otherwise shows nothing."""
    if not errors.is_terminal:
        yield
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("  {task.description:<34}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=errors, transient=True) as bars:
        known: dict[str, Any] = {}
        endless: set[str] = set()

        def report(what: str, done: int, total: int) -> None:
            if what not in known:
                # What has no known end is over when something else begins.
                for other in [name for name in known if name in endless]:
                    bars.remove_task(known.pop(other))
                if not total:
                    endless.add(what)
                known[what] = bars.add_task(what, total=total or None)
            bars.update(known[what], completed=done, total=total or None)
            if total and done >= total:
                bars.remove_task(known.pop(what))

        with reporting_to(report):
            yield
