"""`regrow gc`, `regrow backup` and `regrow restore`: looking after a home."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regrow.base.settings import read_environment
from regrow.cli.options import Json
from regrow.cli.output import MIB, print_json, print_table, print_text, progress_bars
from regrow.cli.terminal import prepare_terminal

GC_EXAMPLES = (
    "Examples: [bold]regrow gc --dry-run[/]   [bold]regrow gc[/]   "
    "[bold]regrow gc --keep 1 --json[/]"
)
BACKUP_EXAMPLES = (
    "Examples: [bold]regrow backup /mnt/backups/monday.zip[/]   "
    "[bold]regrow backup monday.zip --json[/]"
)
RESTORE_EXAMPLES = (
    "Examples: [bold]REGROW_HOME=/mnt/regrow regrow restore monday.zip[/]   "
    "[bold]regrow restore monday.zip --json[/]"
)

app = typer.Typer()


@app.command(epilog=GC_EXAMPLES)
def gc(
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only list what would be removed.")
    ] = False,
    keep: Annotated[
        int, typer.Option(min=0, help="Number of newest versions of each model and source to keep.")
    ] = 3,
    as_json: Json = False,
) -> None:
    """Removes unused results, downloads, reports and pages of failed runs.

    Everything that champions, challengers, the newest versions, the last run of each model and
    resumable trainings need is kept. Models with an active run are skipped. The registry keeps
    all versions, so rollback still works.
    """
    prepare_terminal()
    from regrow.operations.gc import collect_garbage

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
        print_text(f"{model} is skipped because a run is active")
    print_text(
        f"{'would free' if dry_run else 'freed'} {found['removed_bytes'] / MIB:,.1f} MiB in "
        f"{len(rows)} items; {found['kept']} results of {found['kept_bytes'] / MIB:,.1f} MiB kept"
    )


@app.command(epilog=BACKUP_EXAMPLES)
def backup(
    file: Annotated[Path, typer.Argument(help="The zip archive to write.")],
    as_json: Json = False,
) -> None:
    """Writes a consistent copy of registry, decisions and recorded source versions.

    The backup contains the home's MLflow database and the files of all versions, the decision
    logs, and the versions that refresh has recorded, with their files. Stored results, other
    downloads and predictions are not included, because runs create or fetch them again. You can
    make a backup while runs are active. The exit code is 1 if the model of a version is damaged.
    """
    from regrow.operations.backup import write_backup

    with progress_bars():
        made = write_backup(file, read_environment())
    if as_json:
        print_json(made)
    else:
        _print_contents(made["versions"], made["champions"])
        for each in made["left_out"]:
            said = f"not included: {each['what']}\n  {each['how']}"
            print_text(said)
        for each in made["damaged"]:
            print_text(f"damaged: {each}")
        print_text(f"{made['bytes'] / MIB:,.1f} MiB written to {made['path']}")
    if made["damaged"]:
        raise typer.Exit(1)


@app.command(epilog=RESTORE_EXAMPLES)
def restore(
    file: Annotated[Path, typer.Argument(help="An archive written by regrow backup.")],
    as_json: Json = False,
) -> None:
    """Restores a backup to the home (REGROW_HOME), after every file has been verified.

    The home must be empty or not exist: nothing is overwritten. Its path may differ from the path
    of the original home.
    """
    from regrow.operations.restore import restore_backup

    with progress_bars():
        made = restore_backup(file, read_environment().home)
    if as_json:
        print_json(made)
        return
    _print_contents(made["versions"], made["champions"])
    print_text(f"the backup of {made['created_at']} was restored to {made['home']}")


def _print_contents(versions: int, champions: dict[str, int]) -> None:
    for name, version in champions.items():
        print_text(f"champion: {name} version {version}")
    print_text(f"{versions} registered versions")
