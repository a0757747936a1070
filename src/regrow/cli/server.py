"""`regrow deploy`, `regrow ui`, `regrow refresh`: servers, deployments, and new data upstream."""

from __future__ import annotations

from typing import Annotated

import typer

from regrow.base.progress import report
from regrow.base.settings import read_environment
from regrow.cli.options import Json
from regrow.cli.output import console, print_json, print_table, print_text, progress_bars, tell
from regrow.cli.terminal import prepare_terminal
from regrow.prefect.session import has_server, use_server
from regrow.prefect.user_settings import check_files
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
        bool, typer.Option(help="Activate or pause the schedules; triggers are always active.")
    ] = True,
    as_json: Json = False,
) -> None:
    """Creates the pools, automations and deployments in prefect.yaml on the Prefect server.

    The server is the one in PREFECT_API_URL. Run the command again to update existing objects.
    """
    prepare_terminal()
    check_files()
    from regrow.prefect.deploy import deploy as deploy_project

    done = deploy_project(schedules=schedules)
    if as_json:
        print_json(done)
    else:
        print_text("\n".join(done))


@app.command(epilog=UI_EXAMPLES)
def ui(
    port: Annotated[int, typer.Option(help="The port of the Prefect server.")] = 4200,
    mlflow_port: Annotated[int, typer.Option(help="The port of the MLflow server.")] = 5000,
    schedules: Annotated[
        bool, typer.Option("--schedules", help="Activate the schedules, which start trainings.")
    ] = False,
) -> None:
    """Starts Prefect, MLflow and a worker on this machine, and deploys all flows.

    The Prefect server only accepts requests from programs on this machine and from its own pages,
    and requires a password: PREFECT_SERVER_API_AUTH_STRING, or a generated one that is printed
    once and stored in REGROW_HOME. Schedules are paused unless --schedules is given; triggers for
    new data are always active. Ctrl-C stops all three.
    """
    prepare_terminal(verbose=True)
    check_files()
    from regrow.prefect.ui import run_ui

    run_ui(read_environment(), port, mlflow_port, schedules=schedules)


@app.command(epilog=REFRESH_EXAMPLES)
def refresh(
    source: Annotated[
        list[str] | None, typer.Option(help="Check only this source; repeatable.")
    ] = None,
    allow_older: Annotated[
        bool, typer.Option("--allow-older", help="Adopt a version that was in use before.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Checks whether sources have changed upstream, and records new versions.

    A failed source does not stop the others. The exit code is 0 if all sources were checked,
    changed or not, and 2 if one could not be checked or has a version that was not adopted. A
    version is not adopted if an earlier location did not respond, or if it was in use before.

    If PREFECT_API_URL is set, it runs as a flow on that server and triggers the deployed pipelines.
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
        print_table("sources", ["source", "", "in use", "found", "checked"], cells)
        if list_unannounced(settings):
            console.print("\nRun regrow run to train on the new data.")
    if (error := explain_checks(checks)) is not None:
        raise error
