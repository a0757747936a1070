"""All commands in one application."""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import Annotated, Literal

import typer

from regrow.base.logs import FORMAT_VARIABLE
from regrow.cli import (
    ask,
    backfill,
    bundle,
    check,
    compare,
    doctor,
    dream,
    embed,
    export,
    inspect,
    maintain,
    metrics,
    new,
    notify,
    predict,
    review,
    run,
    serve,
    server,
    status,
    stylize,
    sweep,
)
from regrow.cli.help import Group, arrange

app = typer.Typer(
    help="Train, check and publish Keras models, and retrain them when their data changes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    cls=Group,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Example: [bold]regrow run air-quality[/], then [bold]regrow status[/]",
)
# The headings of `regrow --help`, and the commands below each.
HEADINGS = {
    "Models": ("new", "check", "list", "run", "predict", "why", "compare", "sweep", "backfill"),
    "Champions": ("status", "log", "approve", "reject", "rollback", "freeze", "unfreeze", "drift"),
    "Servers and data": ("serve", "export", "ui", "deploy", "refresh"),
    "Upkeep": ("doctor", "notify", "metrics", "gc", "backup", "restore", "bundle"),
    "Commands for specific models": ("ask", "dream", "stylize", "embed", "similar"),
}
GROUPS = {name: heading for heading, names in HEADINGS.items() for name in names}
# In the order of `regrow --help`.
for module in (
    new,
    check,
    run,
    sweep,
    backfill,
    predict,
    inspect,
    status,
    compare,
    review,
    maintain,
    doctor,
    notify,
    metrics,
    serve,
    export,
    server,
    ask,
    dream,
    stylize,
    embed,
):
    arrange(module.app, GROUPS)
    app.add_typer(module.app)
arrange(bundle.app, {})
app.add_typer(bundle.app, name="bundle", rich_help_panel=GROUPS["bundle"])


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"regrow {version('regrow')}")
        raise typer.Exit


@app.callback()
def main(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
    log_format: Annotated[
        Literal["text", "json"] | None,
        typer.Option(help="Format of log lines and errors on standard error."),
    ] = None,
) -> None:
    """Train, check and publish Keras models, and retrain them when their data changes."""
    if log_format:
        os.environ[FORMAT_VARIABLE] = log_format
