"""`regrow predict` and `regrow drift`: the champion on new inputs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from regrow.base.errors import UserError
from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.cli.options import Json, Model, Sample, Scope, Version
from regrow.cli.output import (
    print_json,
    print_table,
    print_text,
    progress_bars,
    tell,
    waiting,
    warn,
)
from regrow.cli.terminal import prepare_terminal
from regrow.registry.lookup import check_version
from regrow.registry.names import ChampionRef

PREDICT_EXAMPLES = (
    "Examples: [bold]regrow predict air-quality readings.csv -o benzene.parquet[/]   "
    "[bold]regrow predict image-similarity a.png b.png[/]   "
    "[bold]regrow predict digit-localisation *.png --json[/]   "
    "[bold]regrow predict air-quality incoming/ -o predictions/[/]"
)
DRIFT_EXAMPLES = (
    "Examples: [bold]regrow drift air-quality june.csv[/]   "
    "[bold]regrow drift air-quality june.csv july.csv --json[/]"
)

Inputs = Annotated[
    list[Path],
    typer.Argument(
        help="Files (CSV, Parquet, the format of the source, text or pictures), or a folder."
    ),
]
Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        help="The .csv or .parquet file to write; a folder if the input is a folder.",
    ),
]

app = typer.Typer()


@app.command(epilog=PREDICT_EXAMPLES)
def predict(
    model: Model,
    inputs: Inputs,
    output: Output = None,
    version: Version = None,
    scope: Scope = "",
    sample: Sample = False,
    as_json: Json = False,
) -> None:
    """Makes predictions for new inputs with the champion.

    For a folder, each version of a model predicts each file once, identified by its content. A new
    champion or another --version writes additional outputs. Put files that belong together, such
    as pictures to compare, into a subfolder.
    """
    prepare_terminal()
    champion = ChampionRef(get_spec(model).name, scope, sample, version)
    if len(inputs) == 1 and inputs[0].is_dir():
        _predict_folder(champion, inputs[0], output, as_json=as_json)
        return
    _check_files(inputs, "predict from")
    if output and output.suffix not in (".csv", ".parquet"):
        raise UserError(
            "the output must be a CSV or Parquet file",
            where="--output",
            received=str(output),
            expected="a file name that ends in .csv or .parquet",
        )
    settings = read_environment()
    check_version(champion, settings.tracking_uri, settings.home)
    with waiting(f"predicting with {champion.registered}..."):
        from regrow.operations.input_ranges import describe_ranges
        from regrow.operations.predict import predict_files, write_frame

        found = predict_files(champion, settings, inputs)
    frame, used = found.frame, found.used
    if remark := describe_ranges(found.ranges, used):
        warn(remark)
    if output:
        write_frame(frame, output)
        tell(f"{len(frame)} predictions by {used} written to {output}")
    elif as_json:
        rows = frame.to_dict(orient="records")
        print_json({"model": used, "ranges": found.ranges, "predictions": rows})
    else:
        frame.to_csv(sys.stdout, index=False)


@app.command(epilog=DRIFT_EXAMPLES)
def drift(
    model: Model,
    files: Annotated[list[Path], typer.Argument(help="Input files, as for regrow predict.")],
    version: Version = None,
    scope: Scope = "",
    sample: Sample = False,
    as_json: Json = False,
) -> None:
    """Compares new inputs with the champion's training data and writes an HTML page.

    This works for models whose inputs are tables (air-quality). For all models, regrow run warns
    when the data of the source drifts.
    """
    prepare_terminal()
    _check_files(files, "compare")
    champion, settings = (
        ChampionRef(get_spec(model).name, scope, sample, version),
        read_environment(),
    )
    check_version(champion, settings.tracking_uri, settings.home)
    with waiting(f"comparing with the training data of {champion.registered}..."):
        from regrow.operations.input_drift import check_inputs

        found = check_inputs(champion, settings, files)
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
    print_text(found["verdict"])
    print_text(f"report: {found['report']}")


def _check_files(paths: list[Path], purpose: str) -> None:
    for path in paths:
        if not path.is_file():
            raise UserError(
                f"there is no such file to {purpose}", where=str(path), expected="a file"
            )


def _predict_folder(
    champion: ChampionRef, inputs: Path, outputs: Path | None, *, as_json: bool
) -> None:
    """Predicts for all files of a folder.

    Raises:
        UserError: there is no folder for the outputs, or some inputs could not be predicted.
    """
    if outputs is None:
        raise UserError(
            "predictions for a folder need an output folder",
            where="--output",
            received="nothing",
            remedies=[f"regrow predict {champion.model} {inputs} -o predictions"],
        )
    from regrow.operations.predict_folder import predict_folder

    with progress_bars():
        found = predict_folder(champion, read_environment(), inputs, outputs)
    if as_json:
        print_json(found)
    else:
        rows = [
            [one["file"], one["rows"], one["outside"], one["output"]] for one in found["predicted"]
        ]
        if rows:
            heads = ["file", "rows", "outside the training range", "predictions"]
            print_table(f"by {found['model']}", heads, rows)
        print_text(f"{len(rows)} predicted, {found['known']} already done")
    if found["bad"]:
        raise UserError(
            f"{len(found['bad'])} could not be predicted; all others were",
            where=str(inputs),
            received="\n".join(f"{one['file']}: {one['why']}" for one in found["bad"]),
            remedies=["correct or remove these files, and run the same command again"],
        )
