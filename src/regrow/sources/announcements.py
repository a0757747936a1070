"""What a look at a source found, and which version pipelines were told last."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ValidationError

from regrow.base.files import write_json
from regrow.base.home import Home
from regrow.base.locks import exclusive
from regrow.base.settings import Settings
from regrow.sources.catalog import declared_sources
from regrow.sources.upstream import Hint
from regrow.sources.versions import current_source

Outcome = Literal["unchanged", "repacked", "changed", "not adopted", "failed"]


class SourceCheck(BaseModel):
    """The result for one source.

    Attributes:
        outcome: "repacked" means the same files in an archive of other bytes; "not adopted" means
            another version that was not recorded; "failed" means that no location answered.
        version: the current version, from now on.
        previous: the current version until now.
        found: the version at the location.
        origin: the location that answered.
        downloaded_bytes: how much had to be read to decide.
        reason: why it was not adopted or failed, or which earlier location did not answer.
        transient: whether it failed for a reason that may not last.
    """

    source: str
    outcome: Outcome
    version: str
    previous: str
    found: str = ""
    origin: str = ""
    downloaded_bytes: int = 0
    reason: str = ""
    transient: bool = False


class Notes(BaseModel):
    """Hints by address, and the version that pipelines were told last."""

    hints: dict[str, Hint] = {}
    announced: str | None = None


def list_unannounced(settings: Settings) -> list[SourceCheck]:
    """The sources whose current version pipelines have not been told yet."""
    declared = declared_sources(settings)
    news = []
    for name in declared.refreshed:
        before = read_notes(settings.home, name).announced or declared[name].version
        version = current_source(settings.home, declared[name]).version
        if version != before:
            news.append(
                SourceCheck(source=name, outcome="changed", version=version, previous=before)
            )
    return news


def mark_announced(settings: Settings, name: str, version: str) -> None:
    """Records that pipelines were told of this version."""
    with exclusive(settings.home.source_lock(name)):
        notes = read_notes(settings.home, name)
        write_notes(settings.home, name, notes.model_copy(update={"announced": version}))


def read_notes(home: Home, name: str) -> Notes:
    """The notes on a source; if they are lost, its file is downloaded once more."""
    try:
        return Notes.model_validate_json(home.source_notes(name).read_bytes())
    except (OSError, ValidationError):
        return Notes()


def write_notes(home: Home, name: str, notes: Notes) -> None:
    """Replaces the notes on a source; the caller holds the source's lock."""
    write_json(home.source_notes(name), notes.model_dump(mode="json"))
