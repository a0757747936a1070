"""`regrow backfill`: one model on one data version after another."""

from __future__ import annotations

from typing import Annotated

import typer

from regrow.base.errors import UserError
from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.cli import options
from regrow.cli.output import print_jobs, progress_bars, tell
from regrow.cli.terminal import prepare_terminal
from regrow.prefect.session import use_server

EXAMPLES = (
    "Examples: [bold]regrow backfill air-quality[/]   [bold]regrow backfill air-quality "
    "--source air-quality=2004.csv --source air-quality=2005.csv[/]   [bold]regrow backfill "
    "air-quality --data-version air-quality=13277ae5 --preset quick --json[/]"
)

FilesInOrder = Annotated[
    list[str] | None,
    typer.Option(
        "--source",
        metavar="NAME=PATH",
        help="A data version's file; repeat in the order to train in.",
    ),
]
VersionsInOrder = Annotated[
    list[str] | None,
    typer.Option(
        "--data-version",
        metavar="NAME=DIGEST",
        help="A version that regrow refresh recorded; repeat in the order to train in.",
    ),
]

app = typer.Typer()


@app.command(epilog=EXAMPLES)
def backfill(
    model: options.Model,
    sources: FilesInOrder = None,
    versions: VersionsInOrder = None,
    preset: options.Preset = None,
    config: options.ConfigFile = None,
    overrides: options.Overrides = None,
    verbose: options.Verbose = False,
    as_json: options.Json = False,
) -> None:
    """Runs a model on one data version after another, in the order given.

    Without files or versions, on all that regrow refresh has recorded of its sources, oldest first.
    Each version is trained, published and judged on its own test data. None becomes champion by
    itself: what is better waits for regrow approve. A bad one does not stop those after it. Where a
    model reads several sources, the n-th files of all make the n-th version, and a source that is
    given once stays the same.
    """
    prepare_terminal(verbose=verbose)
    from regrow.operations.retraining import BackfillRequest, list_backfill, pair_versions

    spec, settings = get_spec(model), read_environment()
    if sources and versions:
        raise UserError(
            "a backfill goes through files or through recorded versions, not both",
            where="--source, --data-version",
        )
    recorded = options.parse_pairs(versions or [], "--data-version", options.DATA_VERSION)
    request = BackfillRequest(
        model=spec.name,
        files=pair_versions(options.parse_source_list(sources or []), "--source"),
        versions=pair_versions(recorded, "--data-version"),
        preset=preset,
        overrides=options.read_changes(config, overrides),
    )
    list_backfill(spec, request, settings)  # reports wrong input before a server is started
    with progress_bars(), use_server(settings, tell):
        from regrow.prefect.backfill import backfill as backfill_flow
        from regrow.prefect.run import run_flow

        state = run_flow(backfill_flow, request, return_state=True)
    print_jobs(state, as_json=as_json)
