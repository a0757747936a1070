"""The commands of many runs or inputs: run --all, backfill, predict with a folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from regrow.cli.act import import_flows, prepare_terminal
from regrow.cli.options import DATA_VERSION, Json, Model, parse_pairs, parse_source_list
from regrow.cli.output import console, print_json, print_table, progress_bars
from regrow.engine.config import DataChoice, parse_overrides, read_environment
from regrow.engine.errors import UserError
from regrow.engine.spec import ModelSpec
from regrow.models import get_spec, list_models

BACKFILL_EXAMPLES = (
    "Examples: [bold]regrow backfill air-quality[/]   [bold]regrow backfill air-quality "
    "--source air-quality=2004.csv --source air-quality=2005.csv[/]   [bold]regrow backfill "
    "air-quality --data-version air-quality=13277ae5 --preset quick --json[/]"
)


def register(app: typer.Typer) -> None:
    """Adds these commands to the application."""
    app.command("backfill", epilog=BACKFILL_EXAMPLES)(backfill)


def backfill(
    model: Model,
    sources: Annotated[
        list[str] | None,
        typer.Option(
            "--source",
            metavar="NAME=PATH",
            help="A data version's file; repeat in the order to train in.",
        ),
    ] = None,
    versions: Annotated[
        list[str] | None,
        typer.Option(
            "--data-version",
            metavar="NAME=DIGEST",
            help="A version that regrow refresh recorded; repeat in the order to train in.",
        ),
    ] = None,
    preset: Annotated[str | None, typer.Option(help="A named set of settings.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Change one setting of all runs."),
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show Prefect's log.")] = False,
    as_json: Json = False,
) -> None:
    """Runs a model on one data version after another, in the order given.

    Without files or versions, on all that regrow refresh has recorded of its sources, oldest first.
    Each version is trained, published and judged as regrow run would on that day; a bad one does
    not stop those after it. Where a model reads several sources, the n-th files of all make the
    n-th version, and a source that is given once stays the same.
    """
    prepare_terminal(verbose=verbose)
    from regrow.engine.retrain import BackfillRequest, list_backfill, pair_versions

    spec, settings = get_spec(model), read_environment()
    if sources and versions:
        raise UserError(
            "a backfill goes through files or through recorded versions, not both",
            where="--source, --data-version",
        )
    recorded = parse_pairs(versions or [], "--data-version", DATA_VERSION)
    request = BackfillRequest(
        model=spec.name,
        files=pair_versions(parse_source_list(sources or []), "--source"),
        versions=pair_versions(recorded, "--data-version"),
        preset=preset,
        overrides=parse_overrides(overrides or []),
    )
    list_backfill(spec, request, settings)  # what is wrong is said before a server is started
    with progress_bars():
        state = import_flows("backfill", settings).backfill(request, return_state=True)
    print_jobs(state, as_json=as_json)


def run_all(preset: str | None, data: DataChoice, *, as_json: bool) -> None:
    """Runs every model; what fails does not stop the others.

    Raises:
        UserError: some failed.
    """
    from regrow.engine.retrain import list_retraining

    list_retraining([get_spec(name) for name in list_models()], preset=preset, data=data)
    with progress_bars():
        flow = import_flows("retrain_all", read_environment()).retrain_all
        state = flow(preset=preset, data=data, return_state=True)
    print_jobs(state, as_json=as_json)


def predict_all(
    spec: ModelSpec, inputs: Path, outputs: Path | None, how: Mapping[str, Any], *, as_json: bool
) -> None:
    """Predicts for a folder.

    Args:
        how: the version, the scope, and whether it is the sample's champion.

    Raises:
        UserError: no folder for the outputs, or some inputs could not be predicted.
    """
    if outputs is None:
        raise UserError(
            "predictions for a folder need a folder to go to",
            where="--output",
            received="nothing",
            remedies=[f"regrow predict {spec.name} {inputs} -o predictions"],
        )
    from regrow.engine.batch import predict_folder

    with progress_bars():
        found = predict_folder(spec, read_environment(), inputs, outputs, **how)
    if as_json:
        print_json(found)
    else:
        rows = [[one["file"], one["rows"], one["output"]] for one in found["predicted"]]
        if rows:
            print_table(f"by {found['model']}", ["file", "rows", "predictions"], rows)
        console.print(f"{len(rows)} predicted, {found['known']} known before", markup=False)
    if found["bad"]:
        raise UserError(
            f"{len(found['bad'])} could not be predicted; the others were",
            where=str(inputs),
            received="\n".join(f"{one['file']}: {one['why']}" for one in found["bad"]),
            remedies=["mend or remove them, and run the same again"],
        )


def print_jobs(state: Any, *, as_json: bool) -> None:
    """Prints the table of several runs.

    Raises:
        UserError: some of them failed.
        Exception: what stopped the flow before it had a table.
    """
    table = state.result(raise_on_failure=False)
    if isinstance(table, BaseException):
        raise table
    if as_json:
        print_json(table)
    else:
        print_table(table["title"], table["columns"], table["rows"])
    if table["failed"]:
        raise UserError(
            f"{table['failed']} of {len(table['runs'])} runs failed",
            received="\n".join(t for t in table["runs"].values() if isinstance(t, str)),
            remedies=["put right what is said above and run the same again: the others are kept"],
        )
