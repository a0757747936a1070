"""Passwords in addresses are hidden, addresses without one are not touched."""

from __future__ import annotations

import pytest

from regrow.base.secrets import hide_secrets


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("postgresql://mlflow:ab/cdefgh@db", "postgresql://[hidden]@db"),
        ("postgresql://mlflow:ab@cdefgh@db/x", "postgresql://[hidden]@db/x"),
        ("postgresql+psycopg2://me:p?w#x@db:5432/x", "postgresql+psycopg2://[hidden]@db:5432/x"),
        ("postgresql://me:pw@host/db?a@b", "postgresql://[hidden]@host/db?a@b"),
        ("http://me@host/a", "http://[hidden]@host/a"),
        ("at 'http://me:pw@host/a' and http://b", "at 'http://[hidden]@host/a' and http://b"),
        ("http://127.0.0.1:5000/#/a@b", "http://127.0.0.1:5000/#/a@b"),
        ("s3://bucket/a?region=eu", "s3://bucket/a?region=eu"),
        ("https://host:8080/@me", "https://host:8080/@me"),
    ],
)
def test_passwords_in_addresses_are_hidden(text: str, expected: str) -> None:
    assert hide_secrets(text) == expected
