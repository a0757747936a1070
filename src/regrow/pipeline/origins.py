"""Errors name a source's file by where it came from: nobody has seen its copy in the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from regrow.base.errors import UserError, shorten_list
from regrow.store.entry import Entry


@contextmanager
def naming_origins(download: Entry | None, table: Path | None = None) -> Iterator[None]:
    """Puts the origins of a download stage's files in the place of their paths in errors.

    Args:
        table: the table that was made from all of them.
    """
    try:
        yield
    except UserError as error:
        replaced = list(_list_origins(download)) if download else []
        if download and table:
            origins = shorten_list(fact["origin"] for fact in download.facts["sources"])
            replaced.append((str(table), f"the cleaned table of {origins}"))
        for path, origin in replaced:
            error.where = error.where and error.where.replace(path, origin)
            error.received = error.received and error.received.replace(path, origin)
        raise


def _list_origins(download: Entry) -> Iterator[tuple[str, str]]:
    """Paths and origins, the longest path first, as one may begin like another."""
    facts = sorted(download.facts["sources"], key=lambda fact: len(fact["file"]), reverse=True)
    for name in sorted(download.manifest.files, key=len, reverse=True):
        for fact in facts:
            inside = fact["file"] == "." or name.startswith(f"{fact['file']}/")
            if name == fact["file"] or inside:
                label = f"{fact['origin']}, member {name}" if inside else str(fact["origin"])
                yield str(download.path / name), label
                break
