"""What a report says of a source: its title, licence and citation, as the catalog has them now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from regrow.sources.source import Source


@dataclass(frozen=True)
class Credit:
    """Whose the data is and how it may be used; `citation` is "" where there is none to give."""

    title: str
    licence: str
    citation: str


def credit(source: Source, kind: str, sha256: str) -> Credit:
    """The credit that is due for the files that a run got from a source.

    Args:
        source: the source as sources.toml declares it.
        kind: what the download was: "real", "sample", "local" or "absent".
        sha256: the digest of its files; a local copy of the real files gets the source's credit.
    """
    if kind == "absent":
        return Credit(f"{source.title}: not available; {source.optional}", source.licence, "")
    if kind == "sample":
        title = f"Generated sample in the format of: {source.title}"
        return Credit(title, "created by the generator of this project; contains no real data", "")
    if kind == "local" and sha256 != source.version:
        title = f"User-provided file in the format of: {source.title}"
        return Credit(title, "not stated", "")
    return Credit(source.title, source.licence, source.citation)
