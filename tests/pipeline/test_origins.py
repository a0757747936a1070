"""Errors of stages name the files that a person gave, never their copies in the store."""

from __future__ import annotations

from pathlib import Path

import pytest

from regrow.base.errors import DataError
from regrow.pipeline.origins import naming_origins
from regrow.store.entry import Entry, FileInfo, Manifest

FILES = ("reut2-000.sgm", "glove.6B.50d.txt", "punkt_tab/english/words.txt", "glove")


def make_download() -> Entry:
    facts = [
        {"name": "reuters", "file": ".", "origin": "/home/me/reuters.tar.gz"},
        {"name": "glove", "file": "glove.6B.50d.txt", "origin": "/home/me/dots.txt"},
        {"name": "punkt", "file": "punkt_tab/english", "origin": "/home/me/punkt.zip"},
        {"name": "short", "file": "glove", "origin": "/home/me/short"},
    ]
    manifest = Manifest(
        model="m",
        stage="download",
        fingerprint="0" * 64,
        digest="0" * 64,
        created_at="",
        seconds=0,
        files={name: FileInfo(sha256="0" * 64, bytes=1) for name in FILES},
        facts={"kind": "local", "sources": facts},
        components={},
    )
    return Entry(Path("/store/m/download/0"), manifest)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("reut2-000.sgm", "/home/me/reuters.tar.gz, member reut2-000.sgm"),
        ("glove.6B.50d.txt", "/home/me/dots.txt"),
        ("glove", "/home/me/short"),
        (
            "punkt_tab/english/words.txt",
            "/home/me/punkt.zip, member punkt_tab/english/words.txt",
        ),
    ],
)
def test_a_file_of_the_store_is_named_by_its_origin(file: str, expected: str) -> None:
    path = make_download().path / file
    with pytest.raises(DataError) as raised, naming_origins(make_download()):
        raise DataError("bad", where=f"{path}, line 3", received=f"nothing in {path}")
    assert raised.value.where == f"{expected}, line 3"
    assert raised.value.received == f"nothing in {expected}"
    assert "/store" not in str(raised.value)


def test_a_cleaned_table_is_named_by_what_it_was_made_from() -> None:
    table = Path("/store/m/clean/0/table.parquet")
    with pytest.raises(DataError) as raised, naming_origins(make_download(), table):
        raise DataError("bad", where=f"{table}, 3 rows")
    assert "the cleaned table of /home/me/reuters.tar.gz, " in str(raised.value.where)
    assert "/store" not in str(raised.value)


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(DataError) as raised, naming_origins(None):
        raise DataError("bad")
    assert raised.value.where is None
