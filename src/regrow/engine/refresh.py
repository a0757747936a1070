"""Looking at a source: whether another version of it stands upstream, and which.

The places are those of a run, in the same order, without the cache; the first that answers counts.
What it says of its file (ETag, Last-Modified, a file's time) is a hint that saves a download;
whether the data have changed is decided by digest.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ValidationError

from regrow.engine.archives import copy_stream, extract_members
from regrow.engine.config import Settings
from regrow.engine.download import (
    DEFAULT_RETRIES,
    Expected,
    PlaceError,
    Retries,
    Trouble,
    check_status,
    discard_part,
    make_client,
    open_answer,
    receive,
)
from regrow.engine.errors import SourceError, UserError
from regrow.engine.locks import exclusive
from regrow.engine.places import Place, cache_path, list_places
from regrow.engine.source_list import Source, load_sources
from regrow.engine.sources import digest_files
from regrow.engine.spec import Progress
from regrow.engine.store import FileInfo, write_json
from regrow.engine.versions import (
    Version,
    current_source,
    members_of,
    record_version,
    version_of,
)

if TYPE_CHECKING:
    import httpx

Outcome = Literal["unchanged", "repacked", "changed"]


class Look(BaseModel):
    """What was found: "repacked" is the same files in an archive of other bytes.

    Attributes:
        version: the current version, from now on.
        previous: the current version until now.
        origin: the place that answered.
        downloaded_bytes: how much had to be read to know it.
    """

    source: str
    outcome: Outcome
    version: str
    previous: str
    origin: str
    downloaded_bytes: int = 0


class Hint(BaseModel):
    """What a place said of its file, and which file that was."""

    sha256: str
    etag: str = ""
    last_modified: str = ""
    bytes: int | None = None

    def same_as(self, other: Hint) -> bool:
        """Whether both are of one file, as far as the place can be believed."""
        if self.etag or other.etag:
            return self.etag == other.etag
        said = (self.last_modified, self.bytes)
        return bool(self.last_modified) and said == (other.last_modified, other.bytes)


class Notes(BaseModel):
    """What is remembered of a source: hints by address, and the version last told to pipelines."""

    hints: dict[str, Hint] = {}
    announced: str | None = None


@dataclass(frozen=True)
class _Found:
    """The file at a place; without `part`, it is the one that the hint is of."""

    hint: Hint
    part: Path | None = None


def list_refreshed(settings: Settings) -> dict[str, Source]:
    """The sources that may change upstream, as they are declared."""
    declared = load_sources(settings.data_dir / "sources.toml")
    return {name: source for name, source in declared.items() if source.refresh}


def look_at(
    name: str, settings: Settings, progress: Progress, retries: Retries = DEFAULT_RETRIES
) -> Look:
    """Looks at one source and records a version that is new.

    Raises:
        UserError: no such source, or not one that may change.
        SourceError: no place answered.
        DataError: what stands there is not what the source is made of.
    """
    source = _declared(name, settings)
    progress(f"looking at {name}", 0, 0)  # a place that does not answer takes a while
    downloads = settings.home / "downloads"
    with exclusive(settings.home / "sources" / f".lock-{name}"):
        current = current_source(settings.home, source)
        notes = read_notes(settings.home, name)
        place, found = _ask_places(source, current, notes, settings, progress, retries)
        try:
            look, version = _judge(source, current, place, found)
            if version is not None and found.part is not None:
                target = cache_path(downloads, Expected(found.hint.sha256))
                target.parent.mkdir(parents=True, exist_ok=True)
                found.part.replace(target)
                record_version(settings.home, version)
        finally:
            if found.part is not None:
                discard_part(found.part)
        hints = {**notes.hints, place.shown: found.hint}
        _write_notes(settings.home, name, notes.model_copy(update={"hints": hints}))
    return look


def unannounced(settings: Settings) -> list[Look]:
    """The sources whose current version was not told to anybody yet."""
    news = []
    for name, source in list_refreshed(settings).items():
        before = read_notes(settings.home, name).announced or version_of(source)
        version = version_of(current_source(settings.home, source))
        if version != before:
            look = Look(source=name, outcome="changed", version=version, previous=before, origin="")
            news.append(look)
    return news


def mark_announced(settings: Settings, name: str, version: str) -> None:
    """Remembers that everybody was told of this version."""
    with exclusive(settings.home / "sources" / f".lock-{name}"):
        notes = read_notes(settings.home, name)
        _write_notes(settings.home, name, notes.model_copy(update={"announced": version}))


def read_notes(home: Path, name: str) -> Notes:
    """What is remembered of a source; losing it costs one download."""
    try:
        return Notes.model_validate_json(_notes_path(home, name).read_bytes())
    except (OSError, ValidationError):
        return Notes()


def _write_notes(home: Path, name: str, notes: Notes) -> None:
    write_json(_notes_path(home, name), notes.model_dump(mode="json"))


def _notes_path(home: Path, name: str) -> Path:
    return home / "sources" / f"{name}.notes.json"


def _declared(name: str, settings: Settings) -> Source:
    refreshed = list_refreshed(settings)
    if name not in refreshed:
        raise UserError(
            f"{name!r} is not a source that is looked at",
            where="--source",
            received=name,
            expected=", ".join(refreshed) or "no source is declared with refresh = true",
            remedies=["refresh = true in data/sources.toml makes it one"],
        )
    return refreshed[name]


def _ask_places(
    source: Source,
    current: Source,
    notes: Notes,
    settings: Settings,
    progress: Progress,
    retries: Retries,
) -> tuple[Place, _Found]:
    downloads = settings.home / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    part = downloads / f".tmp-look-{source.name}.part"
    report = partial(progress, f"looking at {source.name}")
    failures: list[tuple[str, PlaceError]] = []
    for place in list_places(source, settings.mirror):
        if place.package or "#" in place.address:
            continue
        known = notes.hints.get(place.shown)
        if known is not None and not _is_current(known.sha256, source, current, place):
            known = None  # of another file than the one in use: it has to come again
        discard_part(part)
        try:
            if place.folder is not None:
                return place, _ask_folder(place, known, part)
            return place, _ask_url(place.address, known, part, report, retries)
        except PlaceError as error:
            discard_part(part)
            failures.append((place.shown, error))
    raise SourceError(
        f"no place could be looked at for {source.name}",
        received="\n".join(f"{address}: {error.reason}" for address, error in failures)
        or "it has no address and no mirror is set",
        remedies=["try again later: what is recorded stays in use"],
        transient=any(error.transient for _, error in failures),
    )


def _is_current(sha256: str, source: Source, current: Source, place: Place) -> bool:
    """Whether a file is the one in use; a mirror may pack the declared one in its own way."""
    if sha256 == current.remote.sha256:
        return True
    return version_of(source) == version_of(current) and sha256 == place.expected.sha256


def _judge(
    source: Source, current: Source, place: Place, found: _Found
) -> tuple[Look, Version | None]:
    """Compares by digest; a version to record, if the file is another one."""
    before = version_of(current)
    look = Look(
        source=source.name, outcome="unchanged", version=before, previous=before, origin=place.shown
    )
    if found.part is None:
        return look, None
    size = found.part.stat().st_size
    look = look.model_copy(update={"downloaded_bytes": size})
    if _is_current(found.hint.sha256, source, current, place):
        return look, None
    members: dict[str, FileInfo] = {}
    digest = found.hint.sha256
    if source.archive is not None:
        with tempfile.TemporaryDirectory(prefix=".tmp-", dir=found.part.parent) as folder:
            files = extract_members(found.part, members_of(source), Path(folder) / "files")
        members = {p: FileInfo(sha256=f.sha256, bytes=f.bytes) for p, f in files.items()}
        digest = digest_files({path: info.sha256 for path, info in members.items()})
    version = Version(
        source=source.name,
        version=digest,
        declared=version_of(source),
        file=FileInfo(sha256=found.hint.sha256, bytes=size),
        members=members,
        origin=place.shown,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
    )
    outcome = "repacked" if digest == before else "changed"
    return look.model_copy(update={"outcome": outcome, "version": digest}), version


def _ask_folder(place: Place, known: Hint | None, part: Path) -> _Found:
    path = Path(place.address)
    try:
        stat = path.stat()
        hint = Hint(sha256="", last_modified=str(stat.st_mtime_ns), bytes=stat.st_size)
        if known is not None and known.same_as(hint):
            return _Found(known)
        with path.open("rb") as stream:
            copied = copy_stream(stream, part)
    except OSError as error:
        raise PlaceError(f"cannot be read: {error.strerror}") from error
    return _Found(hint.model_copy(update={"sha256": copied.sha256}), part)


def _ask_url(
    url: str,
    known: Hint | None,
    part: Path,
    report: Callable[[int, int], None],
    retries: Retries,
) -> _Found:
    import httpx

    failures = 0
    with make_client(retries) as client:
        while True:
            try:
                return _ask_once(client, url, known, part, report)
            except (httpx.UnsupportedProtocol, httpx.InvalidURL) as error:
                raise PlaceError(str(error)) from error
            except (Trouble, httpx.TransportError) as error:
                failures += 1
                discard_part(part)
                if failures >= retries.attempts:
                    reason = getattr(error, "reason", str(error)) or type(error).__name__
                    raise PlaceError(reason, kind="unreachable", transient=True) from error
                time.sleep(retries.delay_s(failures, getattr(error, "asked_s", 0.0)))


def _ask_once(
    client: httpx.Client,
    url: str,
    known: Hint | None,
    part: Path,
    report: Callable[[int, int], None],
) -> _Found:
    headers = {}
    if known is not None and known.etag:
        headers["If-None-Match"] = known.etag
    elif known is not None and known.last_modified:
        headers["If-Modified-Since"] = known.last_modified
    with open_answer(client, url, headers) as response:
        if response.status_code == 304 and known is not None:
            return _Found(known)
        check_status(response, 0)
        length = response.headers.get("Content-Length", "")
        hint = Hint(
            sha256="",
            etag=response.headers.get("ETag", ""),
            last_modified=response.headers.get("Last-Modified", ""),
            bytes=int(length) if length.isdecimal() else None,
        )
        if known is not None and known.same_as(hint):
            return _Found(known)
        if hint.bytes is None and "Transfer-Encoding" not in response.headers:
            # A cut file would pass for a new version.
            raise PlaceError("says neither how long the file is nor where it ends")
        got = receive(response, part, Expected("of a file not seen before"), report)
    return _Found(hint.model_copy(update={"sha256": got.sha256}), part)
