"""`regrow compare`: runs side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regrow.base.settings import read_environment
from regrow.cli.options import Json
from regrow.cli.output import console, print_json, print_table, print_text
from regrow.cli.terminal import prepare_terminal
from regrow.operations.compare import TITLES, Comparison, compare_runs

EXAMPLES = (
    "Examples: [bold]regrow compare air-quality air-quality~1[/]   "
    "[bold]regrow compare air-quality@3 air-quality@5 --html runs.html[/]   "
    "[bold]regrow compare 20261127T093012 20261127T101500 --json[/]"
)

Runs = Annotated[
    list[str],
    typer.Argument(
        metavar="RUN...",
        help="A run id (or its start or end), MODEL for its last run, MODEL~1 for the run before "
        "that, or REGISTERED@VERSION.",
    ),
]

app = typer.Typer()


@app.command(epilog=EXAMPLES)
def compare(
    runs: Runs,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write an HTML page with charts of the curves."),
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Also print values that are the same in all runs.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Shows what differs between runs: settings, data, code, libraries, metrics and curves."""
    prepare_terminal()
    found = compare_runs(runs, read_environment())
    if html:
        found.write_html(html)
    if as_json:
        print_json(found.as_json())
        return
    _print(found, every=every)
    if html:
        print_text(f"\npage: {html}")


def _print(found: Comparison, *, every: bool) -> None:
    names = [run.name for run in found.runs]
    for part, title in TITLES.items():
        lines = found.lines(part)
        shown = [line for line in lines if every or line.differs]
        if shown:
            rows = [[line.name, *_mark(line.values, line.best)] for line in shown]
            print_table(title, ["", *names], rows)
        same = len(lines) - len(shown)
        if same:
            text = f"{title}: " if not shown else ""
            console.print(f"[dim]{text}{same} identical in all runs[/]")
        if lines:
            console.print()


def _mark(values: list[object], best: list[int]) -> list[object]:
    """Values as they are printed; the best have a star."""
    if not best:
        return values
    return [
        f"{value:.4g} *" if n in best and isinstance(value, (int, float)) else value
        for n, value in enumerate(values)
    ]
