"""Keeps secrets of the environment out of what people and files get to see."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.parse import parse_qs

HIDDEN = "[hidden]"
# Variables whose values are secret: REGROW_NOTIFY_URL, as such addresses hold a token,
# PREFECT_API_AUTH_STRING, MLFLOW_TRACKING_PASSWORD, REGROW_STORE_KEY and the like.
SECRET_NAME = re.compile(
    r"NOTIFY_URL|AUTH_STRING|API_KEY|ACCESS_KEY|STORE_KEY|PASSWORD|SECRET|TOKEN", re.I
)
# A user's name and password before the host of a URL. People paste passwords without encoding
# them: where the standard finds no user, what follows a colon that is no port, up to the last "@".
USER_INFO = re.compile(r"(?<=://)(?:[^/?#\s]*|[^:/@\s]*:(?!\d+(?:[/?#]|$))[^\s'\"]*)@")
# In abfs://container@account the name before the "@" is no user.
CONTAINER_SCHEMES = ("abfs", "abfss")
# Of the parameters in an address of object storage: Azure's password and shared access signature.
SECRET_PARAMETERS = ("client_secret", "sig")
# A shorter value is no secret, and would be found in the middle of other words.
MIN_CHARACTERS = 6


def hide_secrets(text: str) -> str:
    """The text without passwords in URLs and without the values of secret variables."""
    for value in _list_secrets():
        text = text.replace(value, HIDDEN)
    return USER_INFO.sub(f"{HIDDEN}@", text)


def strip_user_info(address: str) -> str:
    """An address of a server without user and password, and without a slash at its end."""
    return USER_INFO.sub("", address).rstrip("/")


def has_credentials(address: str) -> bool:
    """Whether an address of object storage contains a user, a password or a signature."""
    if any(name in parse_qs(address.partition("?")[2]) for name in SECRET_PARAMETERS):
        return True
    user = USER_INFO.search(address)
    is_container = address.partition("://")[0].lower() in CONTAINER_SCHEMES
    return user is not None and not (is_container and ":" not in user[0])


def _list_secrets() -> Iterator[str]:
    for name, value in os.environ.items():
        if SECRET_NAME.search(name) and len(value) >= MIN_CHARACTERS:
            yield value
            # Of "user:password" the password alone is as secret; of a URL its last part is.
            _, separator, rest = value.rpartition("/" if "://" in value else ":")
            if separator and len(rest) >= MIN_CHARACTERS:
                yield rest
