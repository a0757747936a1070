"""Passwords in addresses are hidden and found, addresses without one are not touched."""

from __future__ import annotations

import pytest

from regrow.base.secrets import has_credentials, hide_secrets


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


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("s3://bucket/folder?region=eu-central-1", False),
        ("s3://bucket/folder/a@b?endpoint_override=127.0.0.1:9000&scheme=http", False),
        ("file:///mnt/a@b", False),
        ("abfs://container@account.dfs.core.windows.net/folder", False),
        ("ABFSS://container@account.dfs.core.windows.net:443/folder", False),
        ("s3://id:secret@bucket/folder", True),
        ("s3://id:sec/ret@bucket/folder", True),
        ("s3://id@bucket/folder", True),
        ("gs://me@bucket/folder", True),
        ("abfs://container:key@account.dfs.core.windows.net/folder", True),
        ("abfs://:key@account.blob.core.windows.net/container", True),
        ("abfs://container@account/folder?client_id=a&tenant_id=b&client_secret=c", True),
        ("abfs://container@account/folder?sv=2024-11-04&sig=abc%3D", True),
    ],
)
def test_credentials_in_addresses_of_object_storage_are_found(address: str, expected: bool) -> None:
    assert has_credentials(address) is expected
