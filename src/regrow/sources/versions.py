"""Versions of sources: what is declared, and what was found upstream since, in a log by source.

A declared digest says which bytes a source is. `regrow refresh` may find others upstream; it then
adds a line to `REGROW_HOME/sources/NAME.jsonl`, and the last line takes the declared digest's
place. Runs read nothing but declared or recorded bytes, so each can be repeated and checked as
before.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, ValidationError

from regrow.base.errors import UserError
from regrow.base.files import append_line
from regrow.base.home import Home
from regrow.sources.archives import MemberInfo
from regrow.sources.source import ABSENT, UNPINNED, MirrorCopy, Source
from regrow.store.entry import FileInfo


class Version(BaseModel):
    """One version of a source as it was found.

    Attributes:
        version: the digest of its files, as `sources.source_version` gives it.
        declared: the version that data/sources.toml declared then. Where that is another by now,
            somebody has chosen it since, and it counts.
        file: digest and size of the file that was fetched.
        members: digests and sizes of what is taken out of it; empty if it is no archive.
        origin: where it was found.
        at: when, in UTC.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str
    version: str
    declared: str
    file: FileInfo
    members: dict[str, FileInfo] = {}
    origin: str
    at: str


def record_version(home: Home, version: Version) -> None:
    """Adds a version, which is the current one from now on; the caller holds the source's lock."""
    append_line(home.source_versions(version.source), version.model_dump_json())


def read_versions(home: Home, source: str) -> list[Version]:
    """All recorded versions, oldest first; a line that a kill cut short is left out."""
    path = home.source_versions(source)
    if not path.is_file():
        return []
    versions = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            versions.append(Version.model_validate_json(line))
        except ValidationError:
            continue
    return versions


def current_source(home: Home, source: Source) -> Source:
    """The source as it was found last, or as it is declared."""
    may_differ = source.refresh or source.version == UNPINNED
    recorded = read_versions(home, source.name) if may_differ else []
    if not recorded or recorded[-1].declared != source.version:
        return source
    return at_version(source, recorded[-1])


def current_sources(
    declared: Mapping[str, Source], home: Home, wanted: Mapping[str, str] | None = None
) -> dict[str, Source]:
    """Sources at their current versions, those in `wanted` at these.

    Raises:
        UserError: no such version is known.
    """
    chosen = wanted or {}
    return {
        name: find_version(home, source, chosen[name])
        if name in chosen
        else current_source(home, source)
        for name, source in declared.items()
    }


def find_version(home: Home, source: Source, wanted: str) -> Source:
    """The source at the version that starts with `wanted`; "absent" leaves an optional one out.

    Raises:
        UserError: none or several do.
    """
    if wanted == ABSENT and source.optional:
        return source.model_copy(update={"left_out": True})
    known = {source.version: source}
    for recorded in read_versions(home, source.name):
        known[recorded.version] = at_version(source, recorded)
    found = [version for version in known if wanted and version.startswith(wanted)]
    if len(found) != 1:
        raise UserError(
            f"{source.name} has {'no' if not found else 'more than one'} version {wanted!r}",
            where=str(home.source_versions(source.name)),
            received=wanted,
            expected=", ".join(version[:12] for version in known),
            remedies=["regrow refresh looks for new versions upstream"],
        )
    return known[found[0]]


def at_version(source: Source, version: Version) -> Source:
    """A source with a version's digests in place of the declared ones."""
    file: dict[str, object] = {"sha256": version.file.sha256, "bytes": version.file.bytes}
    copy = source.remote.mirror
    if isinstance(copy, MirrorCopy) and copy.sha256 == version.file.sha256:
        file |= {"md5": None, "check": None}  # the declaration has its SHA-256
    if source.mirror_path:
        file["mirror"] = source.mirror_path  # a mirror's own packing was of the declared version
    if source.archive is None:
        return source.model_copy(update={"plain": source.remote.model_copy(update=file)})
    file["members"] = tuple(
        member.model_copy(update=version.members[member.path].model_dump())
        for member in source.archive.members
    )
    return source.model_copy(update={"archive": source.archive.model_copy(update=file)})


def members_of(source: Source) -> dict[str, MemberInfo]:
    """The files of a source, by path, with nothing demanded of them."""
    return dict.fromkeys(source.pinned, MemberInfo())
