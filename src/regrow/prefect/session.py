"""The Prefect server that the flows of this process use: the user's, or one of their own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from regrow.base.network import check_network
from regrow.base.secrets import hide_secrets
from regrow.base.settings import Settings
from regrow.base.variables import keep_variables
from regrow.prefect.own_server import check_answers, run_server
from regrow.prefect.user_settings import API_URL, check_files, find_choice

# How long the last events and log lines may take on their way to the server.
DRAIN_S = 5.0


def has_server() -> bool:
    """Whether the user has named a Prefect server: a variable, a file, or a profile."""
    return find_choice(API_URL) is not None


@contextmanager
def use_server(
    settings: Settings, say: Callable[[str], None], meanwhile: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Has the flows inside the block run on the user's server, or on one that ends with it.

    Import what imports Prefect inside the block: a server of its own starts in the meantime.

    Args:
        say: told what takes seconds.
        meanwhile: called while a server of its own starts.

    Raises:
        UserError: the server cannot be used.
    """
    check_network()
    check_files()
    if chosen := find_choice(API_URL):
        say(f"using the Prefect server at {hide_secrets(chosen.value)}")
        check_answers(chosen.value, chosen.where)
        try:
            yield
        finally:
            _drain()
        return
    say("starting Prefect...")
    with run_server(settings.home) as server, _environment(server.variables):
        meanwhile()
        import regrow.prefect.flows  # noqa: F401  Prefect and what every flow needs

        server.wait()
        try:
            yield
        finally:
            _drain()


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    try:
        with keep_variables(variables):
            os.environ.update(variables)
            _read_again()
            yield
    finally:
        _read_again()


def _read_again() -> None:
    """Has Prefect read the environment again, if it has done so already."""
    if "prefect" in sys.modules:
        from prefect.context import refresh_global_settings_context

        refresh_global_settings_context()


def _drain() -> None:
    """Waits until the server has all events and log lines."""
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogWorker

    EventsWorker.drain_all(timeout=DRAIN_S)
    APILogWorker.drain_all(timeout=DRAIN_S)
