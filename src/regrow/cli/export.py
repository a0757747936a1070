"""`regrow export`: a champion as a file for other programs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.cli.options import Json, Model, Sample, Scope, Version
from regrow.cli.output import MIB, print_json, print_text, waiting
from regrow.cli.terminal import prepare_terminal
from regrow.registry.lookup import check_version
from regrow.registry.names import ChampionRef
from regrow.training.formats import Format

app = typer.Typer()


@app.command(
    epilog="Examples: [bold]regrow export air-quality --format onnx[/]   "
    "[bold]regrow export air-quality --format litert -o benzene.tflite[/]"
)
def export(
    model: Model,
    kind: Annotated[
        Format,
        typer.Option("--format", help="The format; onnx needs the extra of this name."),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="The path to write. [default: NAME-VERSION.onnx, .tflite, ...]"
        ),
    ] = None,
    version: Version = None,
    scope: Scope = "",
    sample: Sample = False,
    as_json: Json = False,
) -> None:
    """Writes the champion in a format for other programs.

    The file answers the version's example as the model does, within 1e-5, or is not written. Inputs
    and outputs are tensors; docs/serve.md shows what answers to named columns.
    """
    prepare_terminal()
    settings = read_environment()
    champion = ChampionRef(get_spec(model).name, scope, sample, version)
    check_version(champion, settings.tracking_uri, settings.home)
    with waiting(f"exporting {champion.registered}..."):
        from regrow.operations.export import export_version

        made = export_version(champion, kind, output, settings)
    if as_json:
        print_json(made)
        return
    print_text(
        f"{made['model']} version {made['version']}: {made['bytes'] / MIB:,.2f} MiB written to "
        f"{made['path']}\nlargest difference from the example: {made['difference']:.2g}"
    )
