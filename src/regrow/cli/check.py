"""`regrow check`: what is wrong with a model, before it is run."""

from __future__ import annotations

from dataclasses import asdict

import typer

from regrow.base.errors import UserError
from regrow.cli.options import Json, Model
from regrow.cli.output import console, print_json, print_text, progress_bars
from regrow.cli.terminal import prepare_terminal

app = typer.Typer()


@app.command(epilog="Examples: [bold]regrow check churn[/]   [bold]regrow check churn --json[/]")
def check(model: Model, as_json: Json = False) -> None:
    """Checks a model on a few rows: its definition, source, table, expectations and network.

    The data is downloaded and cleaned; a later regrow run reuses the result.
    """
    prepare_terminal()
    from regrow.operations.check import check as check_model

    with progress_bars():
        found = check_model(model)
    if as_json:
        print_json([asdict(finding) for finding in found])
    else:
        for finding in found:
            mark = "[red]wrong[/]" if finding.problem else "[green]good[/] "
            console.print(f"{mark} [bold]{finding.check}[/]", end="")
            print_text(f"  {finding.detail}")
    wrong = [finding for finding in found if finding.problem]
    if wrong:
        raise UserError(
            f"the model {model} has problems and cannot be run",
            where=wrong[0].check,
            received=wrong[0].problem,
            remedies=[f"fix the problems, then run regrow check {model} again"],
        )
