"""The password of the Prefect server that `regrow ui` starts: generated once, kept in the home."""

from __future__ import annotations

import os
import secrets
from pathlib import Path
from urllib.parse import urlsplit

from regrow.base.errors import UserError
from regrow.base.files import atomic_write
from regrow.base.home import Home
from regrow.base.locks import exclusive
from regrow.base.settings import read_environment

USER = "regrow"
# How this machine is named in addresses of servers that `regrow ui` starts.
LOCAL_HOSTS = ("127.0.0.1", "localhost")
# Prefect's variables, each of the form USER:PASSWORD: what a server asks for, what clients send.
SERVER_VARIABLE = "PREFECT_SERVER_API_AUTH_STRING"
CLIENT_VARIABLE = "PREFECT_API_AUTH_STRING"


def make_password(home: Home) -> tuple[str, bool]:
    """The kept password as USER:PASSWORD, and whether it was generated now.

    Raises:
        UserError: the file that keeps it holds something else.
    """
    with exclusive(home.lock("prefect-password")):
        if kept := read_password(home):
            home.prefect_password.chmod(0o600)
            return kept, False
        password = f"{USER}:{secrets.token_urlsafe(24)}"
        with atomic_write(home.prefect_password) as temporary:
            temporary.touch(mode=0o600)
            temporary.write_text(f"{password}\n", encoding="utf-8")
        return password, True


def read_password(home: Home) -> str | None:
    """The password that is kept in the home, or None.

    Raises:
        UserError: the file holds something else, or cannot be read.
    """
    path = home.prefect_password
    try:
        text = path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, str(error)) from error
    user, _, password = text.partition(":")
    if not user or not password or not text.isprintable():
        raise _unusable(path, f"{len(text)} characters in a different format")
    return text


def find_password(url: str) -> str | None:
    """The password for a server: the variable's, or on this machine the kept one."""
    if chosen := os.environ.get(CLIENT_VARIABLE):
        return chosen
    return read_password(read_environment().home) if urlsplit(url).hostname in LOCAL_HOSTS else None


def use_kept_password() -> None:
    """Has this process and its children send the kept password to a server on this machine.

    Nothing changes where the environment or a profile of Prefect names a password.
    """
    from prefect.context import refresh_global_settings_context
    from prefect.settings import get_current_settings

    api = get_current_settings().api
    if not api.url or api.auth_string or not (password := find_password(api.url)):
        return
    os.environ[CLIENT_VARIABLE] = password
    refresh_global_settings_context()


def _unusable(path: Path, received: str) -> UserError:
    return UserError(
        "the password of the Prefect server cannot be read",
        where=str(path),
        received=received,
        expected="one line: USER:PASSWORD",
        remedies=["remove the file, so that regrow ui generates a new password"],
    )
