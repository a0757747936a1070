"""The commands that keep the house: gc, drift."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regrow.cli.act import prepare_terminal
from regrow.cli.options import Json, Model, Sample, Scope
from regrow.cli.output import console, print_json, print_table
from regrow.engine.config import read_environment
from regrow.engine.errors import UserError
from regrow.models import get_spec

GC_EXAMPLES = (
    "Examples: [bold]regrow gc --dry-run[/]   [bold]regrow gc[/]   "
    "[bold]regrow gc --keep 1 --json[/]"
)
DRIFT_EXAMPLES = (
    "Examples: [bold]regrow drift air-quality june.csv[/]   "
    "[bold]regrow drift air-quality june.csv july.csv --json[/]"
)
MIB = 2**20


def register(app: typer.Typer) -> None:
    """Adds these commands to the application."""
    app.command("gc", epilog=GC_EXAMPLES)(gc)
    app.command("drift", epilog=DRIFT_EXAMPLES)(drift)


def gc(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    keep: Annotated[
        int, typer.Option(min=0, help="Newest versions of each model and source that stay.")
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


def drift(
    model: Model,
    files: Annotated[list[Path], typer.Argument(help="Files as regrow predict takes them.")],
    version: Annotated[int | None, typer.Option(help="A version other than the champion.")] = None,
    scope: Scope = "",
    sample: Sample = False,
    as_json: Json = False,
) -> None:
    """Compares new inputs with what the champion was trained on, and writes a page of it.

    For models whose inputs are tables (air-quality). Others are refused; for these, regrow run
    warns when the source's own data drifts.
    """
    prepare_terminal()
    spec = get_spec(model)
    for path in files:
        if not path.is_file():
            raise UserError("there is no such file to compare", where=str(path), expected="a file")
    from regrow.engine.inputs_drift import check_inputs

    found = check_inputs(
        spec, read_environment(), files, version=version, scope=scope, sample=sample
    )
    if as_json:
        print_json(found)
        return
    rows = [
        [f["column"], f["check"], f["value"], f["threshold"], f["level"]]
        for f in found["findings"]
        if f["level"] == "warning"
    ]
    if rows:
        print_table(f"against {found['against']}", ["column", "check", "value", "limit", ""], rows)
    console.print(found["verdict"], markup=False, soft_wrap=True)
    console.print(f"report: {found['report']}", markup=False, soft_wrap=True)
