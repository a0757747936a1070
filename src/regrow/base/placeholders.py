"""Secrets that a declaration names and does not hold: `${NAME}` and `${block:NAME}`."""

from __future__ import annotations

import os
import re

from regrow.base.spec import load

PLACEHOLDER = re.compile(r"\$\{(?:(block):)?([A-Za-z0-9_-]+)\}")
# By what stands before the colon: the function that reads it. Prefect is imported only for a block.
READERS = {"block": "regrow.prefect.blocks:read_secret"}


class SecretMissing(Exception):
    """A secret that a declaration names cannot be read."""


def names_a_secret(text: str) -> bool:
    """Whether a text has a placeholder in place of a secret."""
    return PLACEHOLDER.search(text) is not None


def fill_secrets(text: str) -> str:
    """The text with environment variables and Prefect's Secret blocks in place of their names.

    Raises:
        SecretMissing: a variable is not set, or a block cannot be read.
    """

    def read(found: re.Match[str]) -> str:
        kind, name = found[1], found[2]
        if kind is None:
            if value := os.environ.get(name):
                return value
            raise SecretMissing(f"the environment variable {name} is not set")
        try:
            return str(load(READERS[kind])(name))
        except (ValueError, OSError) as error:
            raise SecretMissing(f"Prefect's Secret block {name} cannot be read: {error}") from error

    return PLACEHOLDER.sub(read, text)
