"""Signatures (HMAC-SHA256) of what machines leave for each other in the shared store.

An object is JSON with one more key, `signature`, over its name and its content: nobody without the
key can write one, change one, or put one in the place of another.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any

from regrow.base.errors import UserError

KEY = "REGROW_STORE_KEY"
MIN_CHARACTERS = 16
FIELD = "signature"


class NotSigned(UserError):
    """An object has no signature, or one that was made with another key."""


class Signer:
    """Signs and checks JSON objects.

    Args:
        key: the key that all machines have; None signs nothing and accepts everything.

    Raises:
        UserError: the key is too short to be one.
    """

    def __init__(self, key: str | None) -> None:
        if key is not None and len(key) < MIN_CHARACTERS:
            raise UserError(
                "the key of the shared store is too short",
                where=KEY,
                received=f"{len(key)} characters",
                expected=f"at least {MIN_CHARACTERS} characters, the same on every machine",
                remedies=["generate a key with openssl rand -hex 32"],
            )
        self._key = key.encode() if key is not None else None

    def sign(self, name: str, content: Mapping[str, Any]) -> bytes:
        """The bytes of an object with this content."""
        signed = dict(content)
        if self._key is not None:
            signed[FIELD] = self._signature(name, content)
        return json.dumps(signed, indent=1, ensure_ascii=False).encode()

    def open(self, name: str, text: bytes) -> dict[str, Any]:
        """The content of an object.

        Raises:
            NotSigned: there is a key, and the object was not signed with it.
            ValueError: it is not a JSON object.
        """
        content = json.loads(text)
        if not isinstance(content, dict):
            raise ValueError("it is not a JSON object")
        found = str(content.pop(FIELD, ""))
        if self._key is not None:
            expected = self._signature(name, content)
            if not hmac.compare_digest(found.encode(), expected.encode()):
                raise NotSigned(
                    f"{name} in the shared store is not signed with this machine's key",
                    where=KEY,
                    received="a wrong signature" if found else "no signature",
                    expected="a signature made with the same key",
                    remedies=[f"set the same {KEY} on every machine and worker"],
                )
        return content

    def _signature(self, name: str, content: Mapping[str, Any]) -> str:
        assert self._key is not None
        text = json.dumps([name, content], sort_keys=True, separators=(",", ":"))
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()
