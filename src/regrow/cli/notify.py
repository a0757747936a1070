"""`regrow notify --test`: whether notifications reach their recipients."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Annotated

import typer

from regrow.base.errors import UserError
from regrow.base.secrets import hide_secrets
from regrow.base.settings import read_environment
from regrow.cli.options import Json
from regrow.cli.output import print_json, print_table, print_text, tell
from regrow.cli.terminal import prepare_terminal
from regrow.pipeline.notifications import (
    BLOCK_VARIABLE,
    URL_VARIABLE,
    Notification,
    NotificationRejected,
    hide_addresses,
    send_to_url,
)
from regrow.prefect.session import has_server, use_server

app = typer.Typer()


@app.command(
    epilog="Examples: [bold]regrow notify[/]   [bold]regrow notify --test[/]   "
    "[bold]regrow notify --overdue[/]"
)
def notify(
    test: Annotated[bool, typer.Option("--test", help="Send a test notification.")] = False,
    overdue: Annotated[
        bool,
        typer.Option(
            "--overdue", help="Send a notification for each late schedule on PREFECT_API_URL."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Shows where notifications are sent, and can send a test.

    Events are failed runs, new or old champions, versions to approve and late schedules.
    REGROW_NOTIFY_URL is an http(s) URL, which receives JSON, or the URL of a service that Apprise
    supports. REGROW_NOTIFY_BLOCK is a notification block on the Prefect server.
    """
    prepare_terminal()
    if overdue:
        _notify_overdue(as_json=as_json)
        return
    ways = {URL_VARIABLE: send_to_url, BLOCK_VARIABLE: _send_to_block}
    chosen = {name: send for name, send in ways.items() if os.environ.get(name)}
    if test and not chosen:
        raise UserError(
            "no recipient is configured",
            where=f"{URL_VARIABLE} and {BLOCK_VARIABLE}",
            received="neither is set",
            expected="for example mailto://user:password@example.org, or https://host/path",
        )
    found = {name: "set" if name in chosen else "not set" for name in ways}
    if test:
        found |= {name: _try(send) for name, send in chosen.items()}
    if as_json:
        print_json({"recipients": found})
    else:
        print_table("notifications", ["variable", ""], [list(pair) for pair in found.items()])
    failed = {name: said for name, said in found.items() if said.startswith("failed")}
    if failed:
        raise UserError(
            "the test notification did not reach every recipient",
            where=", ".join(failed),
            received="\n".join(f"{name}: {said}" for name, said in failed.items()),
        )


def _notify_overdue(*, as_json: bool) -> None:
    if not has_server():
        raise UserError(
            "no Prefect server is configured",
            where="PREFECT_API_URL",
            received="not set",
            expected="for example http://127.0.0.1:4200/api",
        )
    with use_server(read_environment(), tell):
        from regrow.prefect.schedules import notify_overdue

        late = notify_overdue()
    if as_json:
        print_json({"late": late})
    else:
        print_text(f"late: {', '.join(late) or 'nothing'}")


def _try(send: Callable[[Notification], None]) -> str:
    text = "This is a test notification from regrow."
    try:
        with hide_addresses():
            send(Notification(event="test", text=text, model="regrow", command="regrow status"))
    except UserError as error:
        return hide_secrets(f"failed: {error.what}")
    except NotificationRejected as error:
        return f"failed: {error}"
    except Exception as error:  # its text may contain the address
        return f"failed: {type(error).__name__}"
    return "sent"


def _send_to_block(notification: Notification) -> None:
    with use_server(read_environment(), tell):
        from regrow.prefect.notifications import send_to_block

        send_to_block(notification)
