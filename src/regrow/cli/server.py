"""The commands for a Prefect server: deploy, refresh."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer

from regrow.cli.act import import_flows, prepare_terminal
from regrow.cli.options import Json
from regrow.cli.output import console, print_json, print_table, progress_bars
from regrow.engine.config import read_environment
from regrow.engine.progress import report
from regrow.engine.refresh import list_refreshed, look_at, unannounced

REFRESH_EXAMPLES = (
    "Examples: [bold]regrow refresh[/]   [bold]regrow refresh --source air-quality --json[/]"
)


def register(app: typer.Typer) -> None:
    """Adds these commands to the application."""
    app.command("deploy", epilog="Example: [bold]regrow deploy[/], also as make deploy")(deploy)
    app.command("refresh", epilog=REFRESH_EXAMPLES)(refresh)


def deploy(as_json: Json = False) -> None:
    """Makes pools, automations and deployments of prefect.yaml on the server of PREFECT_API_URL.

    It may be done again at any time: what is there is brought up to date.
    """
    prepare_terminal()
    module = import_flows("deploy", read_environment())
    done: list[str] = module.deploy()
    if as_json:
        print_json(done)
    else:
        console.print("\n".join(done), markup=False)


def refresh(
    source: Annotated[list[str] | None, typer.Option(help="Only this source; repeatable.")] = None,
    as_json: Json = False,
) -> None:
    """Looks whether sources have changed upstream, and records their new versions.

    With PREFECT_API_URL set, it runs as a flow there and tells the deployed pipelines.
    """
    prepare_terminal()
    settings = read_environment()
    names = source or list(list_refreshed(settings))
    with progress_bars():
        if os.environ.get("PREFECT_API_URL"):
            looks = import_flows("refresh", settings).refresh(names)
        else:
            looks = [look_at(name, settings, report) for name in names]
    rows: list[dict[str, Any]] = [look.model_dump() for look in looks]
    if as_json:
        print_json(rows)
        return
    cells = [[r["source"], r["outcome"], r["version"][:12], r["origin"]] for r in rows]
    print_table("sources", ["source", "", "version", "looked at"], cells)
    if unannounced(settings):
        console.print("\nregrow run trains on the new data; a refresh on a server tells it.")
