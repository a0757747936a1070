"""Sources: how the files of a source come into a folder, real, from the sample or of one's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from regrow.engine.archives import (
    CopiedFile,
    MemberInfo,
    archive_kind,
    copy_stream,
    extract_members,
)
from regrow.engine.download import DEFAULT_RETRIES, Retries
from regrow.engine.errors import DataError, SourceError, UserError
from regrow.engine.fingerprint import digest_file, digest_json
from regrow.engine.places import is_at_hand, obtain
from regrow.engine.source_list import Source, load_sources
from regrow.engine.spec import Progress

__all__ = ["Retries", "Source", "fetch", "is_at_hand", "load_sources", "source_version"]

ABSENT = "absent"


def source_version(source: Source, *, sample: bool, local: Path | None, data_dir: Path) -> str:
    """A digest that identifies the data before anything is downloaded.

    For real data it is the declared digest. For the sample and for a local file it is the digest of
    the kind and the file's own digest, so that neither can pass for the other or for real data.

    Raises:
        UserError: the sample or the local file cannot be read.
    """
    if local is None and sample and _may_lack_sample(source):
        return ABSENT
    if local is None and not sample:
        return digest_files({path: info.sha256 for path, info in source.pinned.items()})
    path = _check_local(source, local) if local else _find_sample(source, data_dir)
    return digest_json(["local" if local else "sample", digest_file(path)])


def fetch(
    source: Source,
    out: Path,
    *,
    downloads: Path,
    mirror: str | None,
    local: Path | None,
    sample: bool,
    data_dir: Path,
    progress: Progress,
    retries: Retries = DEFAULT_RETRIES,
) -> dict[str, Any]:
    """Writes a source's files into `out`.

    Args:
        source: what is wanted.
        out: where its files go, under the paths that the source declares.
        downloads: the cache of fetched files, by SHA-256.
        mirror: a folder or http(s) URL that is asked before the source's own URLs.
        local: a file of the user's own, plain or an archive of the members; taken as it is. Its
            kind is "local", or "sample" if it is a copy of the shipped sample.
        sample: whether the shipped sample is wanted.
        data_dir: the folder that the sample's path is relative to.
        progress: called as `progress(what, done_bytes, total_bytes)`.
        retries: how often each URL is asked.

    Returns:
        Facts for the manifest: kind ("real", "sample", "local", or "absent" for an optional source
        that no place gave, which leaves no file), name, file, sha256, bytes (of
        all files, if there are several), origin, title, licence, citation, homepage, doi; for real
        data from an archive also archive (name, sha256, bytes).

    Raises:
        SourceError: no place gave the file.
        DataError: the archive cannot be used.
        UserError: the sample or the local file cannot be read.
    """
    if local is not None:
        path = _check_local(source, local)
        files = _take_own(source, path, out)
        return _describe(source, _kind_of_local(source, path, files, data_dir), str(path), files)
    if sample and _may_lack_sample(source):
        return _describe_absent(source, "no sample stands in for it")
    if sample:
        path = _find_sample(source, data_dir)
        return _describe(source, "sample", f"data/{source.sample}", _take_own(source, path, out))
    try:
        got = obtain(source, downloads, mirror, progress, retries)
    except SourceError as error:
        if source.optional is None:
            raise
        return _describe_absent(source, str(error.received))
    if source.archive is None:
        with got.path.open("rb") as stream:
            files = {source.file: copy_stream(stream, out / source.file)}
        return _describe(source, "real", got.origin, files)
    files = extract_members(got.path, source.pinned, out)
    packed = {
        "name": source.archive.name,
        "sha256": got.expected.sha256,
        "bytes": got.path.stat().st_size,
    }
    return {**_describe(source, "real", got.origin, files), "archive": packed}


def _kind_of_local(
    source: Source, local: Path, files: dict[str, CopiedFile], data_dir: Path
) -> Literal["sample", "local"]:
    """The shipped sample stays a sample, also when it is given as a local file."""
    path = data_dir / source.sample if source.sample else None
    if path is None or not path.is_file():
        return "local"
    digests = [{copied.sha256 for copied in files.values()}, {digest_file(local)}]
    return "sample" if {digest_file(path)} in digests else "local"


def _describe(
    source: Source,
    kind: Literal["real", "sample", "local"],
    origin: str,
    files: dict[str, CopiedFile],
) -> dict[str, Any]:
    digest = digest_files({path: copied.sha256 for path, copied in files.items()})
    facts = {
        "kind": kind,
        "name": source.name,
        "file": source.file,
        "sha256": digest,
        "bytes": sum(copied.bytes for copied in files.values()),
        "origin": origin,
        "title": source.title,
        "licence": source.licence,
        "citation": source.citation,
        "homepage": source.homepage,
        "doi": source.doi,
    }
    pinned = digest_files({path: info.sha256 for path, info in source.pinned.items()})
    if kind == "sample":
        facts["title"] = f"Generated sample in the format of: {source.title}"
        facts["licence"] = "the project's own; made by its generator, no real reading in it"
    elif kind == "local" and digest != pinned:
        facts["title"] = f"A file of the user's own in the format of: {source.title}"
        facts["licence"] = "not stated"
    if kind != "real" and digest != pinned:
        facts.update(citation="", doi=None)
    return facts


def _may_lack_sample(source: Source) -> bool:
    return source.optional is not None and source.sample is None


def _describe_absent(source: Source, reason: str) -> dict[str, Any]:
    return {
        "kind": ABSENT,
        "name": source.name,
        "file": source.file,
        "sha256": ABSENT,
        "bytes": 0,
        "origin": f"not there ({reason}); {source.optional}",
        "title": f"{source.title}: not there, {source.optional}",
        "licence": source.licence,
        "citation": "",
        "homepage": source.homepage,
        "doi": None,
    }


def digest_files(digests: dict[str, Any]) -> str:
    """The version of a source: the digest of its one file, or of all files' digests by path."""
    if len(digests) == 1:
        return str(next(iter(digests.values())))
    return digest_json(digests)


def _check_local(source: Source, path: Path) -> Path:
    where = f"--source {source.name}={path}"
    remedies = [f"give a {source.file}, or an archive that holds it"]
    if not path.is_file():
        received = "a folder" if path.is_dir() else "nothing there"
        raise UserError(
            f"the local file for {source.name} cannot be used",
            where=where,
            received=received,
            expected="a file",
            remedies=remedies,
        )
    if path.stat().st_size == 0:
        raise DataError(
            f"the local file for {source.name} is empty",
            where=where,
            received="0 bytes",
            remedies=remedies,
        )
    return path


def _find_sample(source: Source, data_dir: Path) -> Path:
    path = data_dir / source.sample if source.sample else None
    if path is None or not path.is_file():
        raise UserError(
            f"{source.name} has no sample",
            where=str(path or "data/sources.toml"),
            received="no such file" if path else "no sample is declared",
            remedies=["run with the real data", f"--source {source.name}=PATH: a file of your own"],
        )
    return path


def _take_own(source: Source, path: Path, out: Path) -> dict[str, CopiedFile]:
    """Copies the sample or a local file; it is the truth, so no digest is demanded."""
    if source.archive is not None and archive_kind(path) is not None:
        # A sample or a person's own data may hold only some of many files; the model's cleaning
        # says which of them it needs.
        return extract_members(path, dict.fromkeys(source.pinned, MemberInfo()), out, partial=True)
    if source.file not in source.pinned or len(source.pinned) > 1:
        raise DataError(
            f"{source.name} is made of several files, so one plain file cannot stand for it",
            where=str(path),
            expected=f"a zip or tar(.gz) with {len(source.pinned)} members, "
            f"among them {next(iter(source.pinned))}",
        )
    with path.open("rb") as stream:
        return {source.file: copy_stream(stream, out / source.file)}
