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
        help="The file of a data version; repeat in training order.",
    ),
]
VersionsInOrder = Annotated[
    list[str] | None,
    typer.Option(
        "--data-version",
        metavar="NAME=DIGEST",
        help="A recorded data version; repeat in training order.",
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

    Without files or versions, it uses all versions that regrow refresh has recorded, oldest first.
    Each version is trained, published and judged on its own test data. Better versions do not
    become champion automatically, but wait for regrow approve. A failed version does not stop the
    others. If a model reads several sources, the n-th files of all sources form the n-th version;
    a source that is given once is used for every version.
    """
    prepare_terminal(verbose=verbose)
    from regrow.operations.retraining import BackfillRequest, list_backfill, pair_versions

    spec, settings = get_spec(model), read_environment()
    if sources and versions:
        raise UserError(
            "a backfill uses either files or recorded versions",
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
