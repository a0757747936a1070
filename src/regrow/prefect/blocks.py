"""Secrets that are kept in Prefect's blocks."""

from __future__ import annotations

from typing import Any

from prefect.blocks.system import Secret
from prefect.exceptions import PrefectException
from prefect.utilities.asyncutils import run_coro_as_sync


def read_secret(name: str) -> str:
    """The value of a Secret block on the Prefect server in use.

    Raises:
        ValueError: there is no such block.
        OSError: the server does not answer.
    """
    try:
        block: Any = run_coro_as_sync(Secret.aload(name))
    except PrefectException as error:
        raise OSError(str(error)) from error
    return str(block.get())
