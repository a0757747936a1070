"""`regrow metrics`: the state of the home for Prometheus."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from regrow.base.files import write_text
from regrow.base.project import list_models
from regrow.base.settings import read_environment

app = typer.Typer()


@app.command(
    epilog="Examples: [bold]regrow metrics[/]   "
    "[bold]regrow metrics -o /var/lib/node_exporter/regrow.prom[/]"
)
def metrics(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Write to this file, which is replaced atomically."),
    ] = None,
) -> None:
    """Prints metrics of runs, champions, drift and disk in Prometheus's text format.

    With -o they are written to a file, for the textfile collector of Prometheus's node exporter.
    """
    from regrow.operations.metrics import write_metrics

    text = write_metrics(list_models(), read_environment())
    if output is None:
        sys.stdout.write(text)
    else:
        write_text(output, text)
