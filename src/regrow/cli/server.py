"""`regrow deploy`, `regrow ui`, `regrow refresh`: servers, deployments, and new data upstream."""

from __future__ import annotations

from typing import Annotated

import typer

from regrow.base.progress import report
from regrow.base.settings import read_environment
from regrow.cli.options import Json
from regrow.cli.output import console, print_json, print_table, progress_bars, tell
from regrow.cli.terminal import prepare_terminal
from regrow.prefect.session import has_server, use_server
from regrow.sources.announcements import SourceCheck, list_unannounced
from regrow.sources.refresh import check_sources, explain_checks, list_refreshed

UI_EXAMPLES = (
    "Examples: [bold]regrow ui[/], also as make ui   [bold]regrow ui --schedules[/]   "
    "[bold]regrow ui --port 4300 --mlflow-port 5300[/]"
)
REFRESH_EXAMPLES = (
    "Examples: [bold]regrow refresh[/]   [bold]regrow refresh --source air-quality --json[/]   "
    "[bold]regrow refresh --source air-quality --allow-older[/]"
)


app = typer.Typer()


@app.command(epilog="Example: [bold]regrow deploy[/], also as make deploy")
def deploy(
    schedules: Annotated[
        bool, typer.Option(help="Schedules start runs, or are paused; triggers always do.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Makes pools, automations and deployments of prefect.yaml on the server of PREFECT_API_URL.

    It may be done again at any time: what is there is brought up to date.
    """
    prepare_terminal()
    from regrow.prefect.deploy import deploy as deploy_project

    done = deploy_project(schedules=schedules)
    if as_json:
        print_json(done)
    else:
        console.print("\n".join(done), markup=False)


@app.command(epilog=UI_EXAMPLES)
def ui(
    port: Annotated[int, typer.Option(help="The port of Prefect's server.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(help="The port of MLflow's server.")] = 5000,
    schedules: Annotated[
        bool, typer.Option("--schedules", help="Start the scheduled runs, which train models.")
    ] = False,
) -> None:
    """Starts Prefect, MLflow and a worker on this machine, with everything deployed.

    Prefect's server answers programs of this machine and its own pages only, and asks for a
    password: PREFECT_SERVER_API_AUTH_STRING, or a generated one, printed once and kept in
    REGROW_HOME. Schedules are paused, unless --schedules is given; new data start their models
    in any case. Ctrl-C ends all of it.
    """
    prepare_terminal(verbose=True)
    from regrow.prefect.ui import run_ui

    run_ui(read_environment(), port, mlflow_port, schedules=schedules)


@app.command(epilog=REFRESH_EXAMPLES)
def refresh(
    source: Annotated[list[str] | None, typer.Option(help="Only this source; repeatable.")] = None,
    allow_older: Annotated[
        bool, typer.Option("--allow-older", help="Adopt a version that was in use before.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Looks whether sources have changed upstream, and records their new versions.

    Every source is looked at, whatever becomes of the others. The exit code is 0 if all answered,
    changed or not, and 2 if one could not be looked at or has a version that was not adopted: one
    found while an earlier place did not answer, or one that was in use before.

    With PREFECT_API_URL set, it runs as a flow there and tells the deployed pipelines.
    """
    prepare_terminal()
    settings = read_environment()
    names = source or list_refreshed(settings)
    checks: list[SourceCheck]
    with progress_bars():
        if has_server():
            with use_server(settings, tell):
                from regrow.prefect.refresh import refresh as refresh_flow
                from regrow.prefect.run import run_flow

                state = run_flow(refresh_flow, names, allow_older, return_state=True)
            checks = state.result(raise_on_failure=False)
            if isinstance(checks, BaseException):
                raise checks
        else:
            checks = list(check_sources(names, settings, report, allow_older=allow_older))
    if as_json:
        print_json([check.model_dump() for check in checks])
    else:
        cells = [[c.source, c.outcome, c.version[:12], c.found[:12], c.origin] for c in checks]
        print_table("sources", ["source", "", "in use", "found", "looked at"], cells)
        if list_unannounced(settings):
            console.print("\nregrow run trains on the new data; a refresh on a server tells it.")
    if (error := explain_checks(checks)) is not None:
        raise error
