"""Writes the files of a source into a folder: real data, the shipped sample, or a local file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from regrow.base.digests import digest_file, digest_json
from regrow.base.errors import DataError, SourceError, UserError
from regrow.base.progress import Progress
from regrow.sources.archives import CopiedFile, copy_stream, extract_members
from regrow.sources.catalog import load_sources
from regrow.sources.given import copy_given
from regrow.sources.locations import is_at_hand
from regrow.sources.obtain import obtain
from regrow.sources.retries import DEFAULT_RETRIES, Retries
from regrow.sources.source import ABSENT, Source, digest_files

__all__ = ["Source", "fetch", "is_at_hand", "load_sources", "source_version"]


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
        return source.version
    path = check_local(source, local) if local else _find_sample(source, data_dir)
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
    """Writes a source's files into `out`, under the paths that the source declares.

    Args:
        downloads: the cache of downloaded files, by SHA-256.
        mirror: a folder or http(s) URL that is tried before the source's own URLs.
        local: a local file to use as it is, plain or an archive of the members.
        sample: whether the shipped sample is used.
        data_dir: the folder that the sample's path is relative to.
        progress: called as `progress(what, done_bytes, total_bytes)`.

    Returns:
        Facts for the manifest; their "kind" is "real", "sample", "local", or "absent" for an
        optional source that is left out, or that no location has; it leaves no file.

    Raises:
        SourceError: no location provided the file.
        DataError: the archive cannot be used.
        UserError: the sample or the local file cannot be read.
    """
    if local is not None:
        path = check_local(source, local)
        files = copy_given(source, path, out)
        return _describe(source, _kind_of_local(source, path, files, data_dir), str(path), files)
    if sample:
        return _fetch_sample(source, out, data_dir)
    return _fetch_real(source, out, downloads, mirror, progress, retries)


def _fetch_sample(source: Source, out: Path, data_dir: Path) -> dict[str, Any]:
    if _may_lack_sample(source):
        return _describe_absent(source, "there is no sample for it")
    files = copy_given(source, _find_sample(source, data_dir), out)
    return _describe(source, "sample", f"data/{source.sample}", files)


def _fetch_real(
    source: Source,
    out: Path,
    downloads: Path,
    mirror: str | None,
    progress: Progress,
    retries: Retries,
) -> dict[str, Any]:
    """Fetches real data; the facts about an archive contain its name, sha256 and bytes as well."""
    if source.left_out:
        return _describe_absent(source, "left out on request")
    try:
        got = obtain(source, downloads, mirror, progress, retries)
    except SourceError as error:
        # After a passing failure the source may be there for the next run, which would find the
        # result of this one, since both have the same fingerprint.
        if not (error.optional and error.absent):
            raise
        return _describe_absent(source, str(error.received))
    if source.archive is None:
        with got.path.open("rb") as stream:
            files = {source.file: copy_stream(stream, out / source.file)}
        evidence = f" (checked by {source.remote.evidence})" if source.remote.evidence else ""
        return _describe(source, "real", got.origin + evidence, files)
    files = extract_members(got.path, source.pinned, out)
    archive = {
        "name": source.archive.name,
        "sha256": got.expected.sha256,
        "bytes": got.path.stat().st_size,
    }
    return {**_describe(source, "real", got.origin, files), "archive": archive}


def _kind_of_local(
    source: Source, local: Path, files: dict[str, CopiedFile], data_dir: Path
) -> Literal["sample", "local"]:
    """A copy of the shipped sample is a sample, also when it is given as a local file."""
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
    """Facts about a source's files: their version, size and origin."""
    return {
        "kind": kind,
        "name": source.name,
        "file": source.file,
        "sha256": digest_files({path: copied.sha256 for path, copied in files.items()}),
        "bytes": sum(copied.bytes for copied in files.values()),
        "origin": origin,
    }


def _may_lack_sample(source: Source) -> bool:
    return source.optional is not None and source.sample is None


def _describe_absent(source: Source, reason: str) -> dict[str, Any]:
    return {
        "kind": ABSENT,
        "name": source.name,
        "file": source.file,
        "sha256": ABSENT,
        "bytes": 0,
        "origin": f"not available ({reason}); {source.optional}",
    }


def check_local(source: Source, path: Path) -> Path:
    """The path of a local file for a source.

    Raises:
        UserError: it is not a file, or it is empty.
    """
    where = f"--source {source.name}={path}"
    remedies = [f"pass {source.file}, or an archive that contains it"]
    if not path.is_file():
        received = "a folder" if path.is_dir() else "file not found"
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
            remedies=["run with the real data", f"--source {source.name}=PATH: use your own file"],
        )
    return path
