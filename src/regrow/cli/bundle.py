"""`regrow bundle export` and `regrow bundle import`: for machines without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from regrow.base.project import get_spec, list_models
from regrow.base.settings import read_environment
from regrow.cli.options import Json
from regrow.cli.output import MIB, console, print_json, print_table, print_text, progress_bars
from regrow.cli.terminal import prepare_terminal
from regrow.registry.names import list_champions

EXPORT_EXAMPLES = (
    "Examples: [bold]regrow bundle export models.zip[/]   "
    "[bold]regrow bundle export air.zip --model air-quality --json[/]   "
    "[bold]regrow bundle export weights.zip --no-sources[/]"
)
IMPORT_EXAMPLES = (
    "Examples: [bold]regrow bundle import models.zip[/]   "
    "[bold]regrow bundle import models.zip --sha256 DIGEST --json[/]"
)
app = typer.Typer(
    help="Transfer sources and champions to a machine without a network.",
    no_args_is_help=True,
    epilog="Example: [bold]regrow bundle export models.zip[/]",
)


@app.command("export", epilog=EXPORT_EXAMPLES)
def export(
    file: Annotated[Path, typer.Argument(help="The zip archive to write.")],
    models: Annotated[
        list[str] | None,
        typer.Option(
            "--model", help="Export only this model; repeatable. [default: all with a champion]"
        ),
    ] = None,
    sources: Annotated[
        bool, typer.Option("--sources/--no-sources", help="Include the source files.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Writes champions, their data sources and the list of wheels into one archive.

    Sources that are not in the cache are downloaded. For a model without a champion, only the
    sources are included, so that it can be trained on the other machine.
    """
    prepare_terminal()
    from regrow.operations.bundle_export import export_bundle

    settings = read_environment()
    names = models or [name for name in list_models() if list_champions(settings, name)]
    with progress_bars():
        made = export_bundle([get_spec(n) for n in names], settings, file, sources=sources)
    if as_json:
        print_json(made)
    else:
        _print_export(made)


@app.command("import", epilog=IMPORT_EXAMPLES)
def import_(
    file: Annotated[Path, typer.Argument(help="An archive written by regrow bundle export.")],
    sha256: Annotated[str | None, typer.Option(help="The digest printed by the export.")] = None,
    as_json: Json = False,
) -> None:
    """Verifies an archive by its digests and imports its sources and champions.

    Each champion is loaded and must reproduce its stored example. It becomes champion if there is
    none. Otherwise the current champion stays; use regrow rollback to switch to the imported one.
    """
    prepare_terminal()
    from regrow.operations.bundle_import import import_bundle

    with progress_bars():
        found = import_bundle(file, read_environment(), sha256=sha256)
    if as_json:
        print_json(found)
        return
    rows = [[one["registered"], one["version"], one["reason"]] for one in found["champions"]]
    if rows:
        print_table("champions", ["model", "version", "result"], rows)
    for source in found["sources"]:
        print_text(f"source: {source}")
    for name, versions in found["other_libraries"].items():
        text = f"{name} is {versions['here']} here and was {versions['there']} at export"
        print_text(text)
    if found["lock"]:
        print_text(f"list of wheels: {found['lock']}")


def _print_export(made: dict[str, Any]) -> None:
    for champion in made["champions"]:
        print_text(f"champion: {champion}")
    for source in made["sources"]:
        print_text(f"source: {source}")
    for source in made["absent"]:
        print_text(f"not available, and not required: {source}")
    if not made["lock"]:
        console.print("no requirements.lock found: packages.txt lists the versions of this machine")
    print_text(f"{made['bytes'] / MIB:,.1f} MiB written to {made['path']}\nsha256 {made['sha256']}")
