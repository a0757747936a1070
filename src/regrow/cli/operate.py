"""The commands that keep the house: gc."""

from __future__ import annotations

from typing import Annotated

import typer

from regrow.cli.act import prepare_terminal
from regrow.cli.options import Json
from regrow.cli.output import console, print_json, print_table
from regrow.engine.config import read_environment

GC_EXAMPLES = (
    "Examples: [bold]regrow gc --dry-run[/]   [bold]regrow gc[/]   "
    "[bold]regrow gc --keep 1 --json[/]"
)
MIB = 2**20


def register(app: typer.Typer) -> None:
    """Adds these commands to the application."""
    app.command("gc", epilog=GC_EXAMPLES)(gc)


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    keep: Annotated[
        int, typer.Option(min=0, help="Newest versions of each registered model that stay.")
    ] = 3,
    as_json: Json = False,
) -> None:
    """Removes results, downloads, reports and failures' pages that nothing in use needs.

    Kept are what champions, challengers, the newest versions, each model's last run and trainings
    that can be resumed need. Models with a run under way are left alone. The registry keeps all
    versions, so rollback still works.
    """
    prepare_terminal()
    from regrow.engine.gc import collect_garbage

    found = collect_garbage(read_environment(), keep=keep, dry_run=dry_run)
    if as_json:
        print_json(found)
        return
    rows = [
        [item["kind"], item["path"], item["bytes"] / MIB, item["why"]] for item in found["removed"]
    ]
    if rows:
        print_table("not needed", ["what", "where", "MiB", "why"], rows)
    for model in found["busy"]:
        console.print(f"{model} is left alone: a run of it is under way", markup=False)
    console.print(
        f"{'would free' if dry_run else 'freed'} {found['removed_bytes'] / MIB:,.1f} MiB in "
        f"{len(rows)} places; {found['kept']} results of {found['kept_bytes'] / MIB:,.1f} MiB stay",
        markup=False,
    )
