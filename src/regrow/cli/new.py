"""`regrow new`: writes the files of a new model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from regrow.base.project_file import FILE, find_project, shipped_project
from regrow.cli.options import Json
from regrow.cli.output import console, print_json, print_text, progress_bars
from regrow.cli.terminal import prepare_terminal

EXAMPLES = (
    "Examples: [bold]regrow new churn[/]   "
    "[bold]regrow new churn --from customers.csv --target churned[/]   "
    "[bold]regrow new opinions --template text[/]   "
    "[bold]regrow new shapes --template pictures[/]   [bold]regrow new fit --template stages[/]"
)

app = typer.Typer()


@app.command(epilog=EXAMPLES)
def new(
    name: Annotated[str, typer.Argument(help="The model's name, such as churn.")],
    data: Annotated[
        str | None,
        typer.Option(
            "--from", metavar="FILE", help="A CSV or Parquet file, a zip of pictures, or its URL."
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="The column to predict. [default: the last one]")
    ] = None,
    template: Annotated[
        str, typer.Option(metavar="table|text|pictures|stages", help="The kind of model.")
    ] = "table",
    as_json: Json = False,
) -> None:
    """Creates a model in the project of this folder, or starts a new project.

    With --from, it inspects the file and assigns a role to each column. Without it, a few rows or
    pictures are generated. In both cases, `regrow run NAME` runs all stages.
    """
    prepare_terminal()
    from typing import get_args

    from regrow.base.errors import UserError
    from regrow.scaffold.new import Template, make_model

    if template not in get_args(Template):
        raise UserError(
            "there is no such template",
            where="--template",
            received=template,
            expected=", ".join(get_args(Template)),
        )
    root = find_project()
    if root == shipped_project() and not (Path.cwd() / FILE).is_file():
        root = Path.cwd()
    with progress_bars():
        made = make_model(root, name, template=template, data=data, target=target)  # type: ignore[arg-type]
    if as_json:
        print_json({"model": made.name, "project": str(made.root), "files": made.files})
        return
    print_text(f"wrote to {made.root}:")
    for path in made.files:
        print_text(f"  {path}")
    if made.guess:
        for reason in made.guess.reasons:
            console.print(f"[yellow]please check:[/] {reason}", soft_wrap=True)
    print_text(f"\nnext: regrow check {name}, then regrow run {name}")
