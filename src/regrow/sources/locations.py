"""The locations of a source's file, in the order in which they are tried: the cache, an installed
package that contains it, the mirror, the source's own URLs.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlsplit, urlunsplit

from regrow.base.digests import digest_file
from regrow.base.errors import SourceError, UserError
from regrow.base.files import move_into_place
from regrow.base.locks import exclusive
from regrow.base.progress import Progress
from regrow.base.secrets import hide_secrets
from regrow.sources.archives import TooLarge, copy_stream
from regrow.sources.buckets import BucketFile, is_bucket, open_object
from regrow.sources.catalog import ABSENT, MirrorCopy, Plain, Source
from regrow.sources.download import Expected, discard_part, download
from regrow.sources.queries import QueryFile, open_query
from regrow.sources.remote_zip import download_member
from regrow.sources.retries import LocationError, Retries

# Where this process has fetched files of the cache from: a run may find them there later.
_fetched: dict[Path, str] = {}


@dataclass(frozen=True)
class Location:
    """An http(s) URL, an object in a bucket, a query, or a file in the folder of a mirror or a
    package.

    Attributes:
        address: the URL, the path, or the URL of the database that the query is sent to.
    """

    address: str
    expected: Expected
    folder: Path | None = None
    package: str = ""
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_http(self) -> bool:
        """Whether it is asked over HTTP."""
        return self.folder is None and not self.query and not is_bucket(self.address)

    @property
    def shown(self) -> str:
        """The address without a user's name and password."""
        if self.package:
            return f"the installed package {self.package}"
        if self.folder is not None:
            return self.address
        if self.query:
            return f"the query of {hide_secrets(self.address)}"
        parts = urlsplit(self.address)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@dataclass(frozen=True)
class Obtained:
    """A whole file in the cache, and the location that this process read it from."""

    path: Path
    origin: str
    expected: Expected


def list_locations(source: Source, mirror: str | None) -> Iterator[Location]:
    """The locations outside the cache: a package, a mirror if there is one, a local path, URLs."""
    remote = source.remote
    expected = expect(remote)
    if remote.bundled:
        package, _, path = remote.bundled.partition("/")
        found = importlib.util.find_spec(package)  # finds a package without importing it
        for name in (found and found.submodule_search_locations) or ():
            yield Location(str(Path(name) / path), expected, Path(name), package)
    if mirror and remote.mirror is not None:
        path, there = source.mirror_path, expected
        if isinstance(remote.mirror, MirrorCopy):
            there = Expected(remote.mirror.sha256, remote.mirror.bytes)
        if mirror.lower().startswith(("http://", "https://")):
            yield Location(f"{mirror.rstrip('/')}/{quote(path)}", there)
        else:
            folder = Path(mirror).expanduser()
            yield Location(str(folder / path), there, folder)
    if remote.path:
        local = source.folder / Path(remote.path).expanduser()
        yield Location(str(local), expected, local.resolve().parent)
    if remote.query and remote.database:
        yield Location(remote.database, expected, query=remote.query)
    for url in remote.urls:
        yield Location(url, expected, headers=remote.headers)


def expect(remote: Plain) -> Expected:
    """What is declared of a file's content."""
    return Expected(remote.digest, remote.bytes, remote.md5 or "", remote.check or "")


def known_digests(source: Source) -> list[str]:
    """The SHA-256 of every file that may stand for the source in the cache."""
    return [expected.sha256 for expected in _wanted(source)]


def is_cached(source: Source, downloads: Path) -> bool:
    """Whether the cache has the source's file; its content is not checked."""
    return any(cache_path(downloads, expected).exists() for expected in _wanted(source))


def is_at_hand(source: Source, downloads: Path, mirror: str | None) -> bool:
    """Whether the cache or a folder has the source's file; its content is not checked."""
    return is_cached(source, downloads) or any(
        location.folder is not None and Path(location.address).is_file()
        for location in list_locations(source, mirror)
    )


def obtain(
    source: Source, downloads: Path, mirror: str | None, progress: Progress, retries: Retries
) -> Obtained:
    """Finds the source's file in the cache, or fetches it from the first location that provides it.

    Two processes at the same time fetch it once. A kill leaves at most a partial file, which the
    next attempt resumes.

    Raises:
        SourceError: no location provided it.
        UserError: the cache cannot be written.
    """
    locations = list(list_locations(source, mirror))
    failures: list[tuple[str, LocationError]] = []
    if source.remote.sha256 is None and not source.remote.is_checked_first:
        raise _explain_failures(source, mirror, failures)
    try:
        with exclusive(downloads / f".lock-{source.remote.digest or source.name}"):
            for expected in _wanted(source):
                cached = cache_path(downloads, expected)
                if not cached.exists():
                    continue
                if digest_file(cached) == expected.sha256:
                    known = f"{source.remote.name} in the cache"
                    return Obtained(cached, _fetched.get(cached, known), expected)
                cached.unlink()
                failures.append((str(cached), LocationError("corrupt and therefore removed")))
            for location in locations:
                try:
                    return _fetch(source, location, downloads, progress, retries)
                except LocationError as error:
                    failures.append((location.shown, error))
    except OSError as error:
        raise UserError(
            "the download cache cannot be used",
            where=str(error.filename or downloads),
            received=error.strerror or str(error),
            remedies=["free up space or allow writing there", "set REGROW_HOME to another folder"],
        ) from error
    raise _explain_failures(source, mirror, failures)


def _wanted(source: Source) -> list[Expected]:
    """The upstream file, and the mirror's own archive of its members, even if no mirror is set."""
    remote, copy = source.remote, source.remote.mirror
    wanted = [Expected(remote.sha256, remote.bytes)] if remote.sha256 else []
    if isinstance(copy, MirrorCopy):
        wanted.append(Expected(copy.sha256, copy.bytes))
    return wanted


def cache_path(downloads: Path, expected: Expected) -> Path:
    """Where the cache keeps a file, by its digest."""
    return downloads / expected.sha256[:2] / expected.sha256


def _fetch(
    source: Source, location: Location, downloads: Path, progress: Progress, retries: Retries
) -> Obtained:
    # One partial file for each location, because two locations may serve different bytes. It is
    # kept after a kill and continued, unlike the temporary file of `atomic_write`.
    stem = f".tmp-{source.remote.digest[:16] or source.name}-"
    name = hashlib.sha256(location.address.encode()).hexdigest()[:8]
    part = downloads / f"{stem}{name}.part"
    report = partial(progress, f"downloading {source.remote.name}")
    if location.is_http:
        get = download_member if "#" in location.address else download
        get(
            location.address,
            part,
            location.expected,
            report=report,
            retries=retries,
            headers=location.headers,
        )
    else:
        try:
            _copy_whole(location, part)
        except LocationError:
            discard_part(part)
            raise
    expected = location.expected
    if not expected.sha256:
        expected = Expected(digest_file(part), part.stat().st_size)
    target = cache_path(downloads, expected)
    target.parent.mkdir(exist_ok=True)
    move_into_place(part, target)
    for left in downloads.glob(f"{stem}*"):
        left.unlink()
    _fetched[target] = location.shown
    return Obtained(target, location.shown, expected)


class FolderFile:
    """A file in a mirror's or a package's folder; what cannot be read is a `LocationError`."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.stat = os.fstat(stream.fileno())

    def read(self, size: int = -1, /) -> bytes:
        """At most `size` bytes; none at the end."""
        try:
            return self._stream.read(size)
        except OSError as error:
            raise LocationError(f"cannot be read: {error.strerror}") from error


@contextmanager
def open_in_folder(location: Location) -> Iterator[FolderFile]:
    """Opens the file of a location that is in a folder.

    It may be a link, as in checkouts of DVC and git-annex. A link out of the folder to a private
    file is refused: whoever can write to a mirror must not choose which files are read.

    Raises:
        LocationError: there is no such file or folder, it is private, or it cannot be read.
    """
    path, folder = Path(location.address), location.folder or Path()
    kind = "package" if location.package else "mirror"
    try:
        if not folder.is_dir():
            raise LocationError(f"the {kind} {folder} does not exist or is not a folder")
        target = path.resolve()
        if not target.is_relative_to(folder.resolve()) and _is_private(target):
            raise LocationError(
                f"is a link out of the {kind} to {target}, which only its owner can read"
            )
        if not path.is_file():
            raise LocationError(f"the file is not in the {kind}", kind="absent")
        stream = path.open("rb")
    except OSError as error:
        raise LocationError(f"cannot be read: {error.strerror}") from error
    except RuntimeError as error:  # a symbolic link that leads to itself
        raise LocationError(f"cannot be read: {error}") from error
    with stream:
        yield FolderFile(stream)


def _is_private(path: Path) -> bool:
    """Whether others may not read a file that exists."""
    return path.is_file() and not path.stat().st_mode & stat.S_IROTH


@contextmanager
def open_file(location: Location) -> Iterator[FolderFile | BucketFile | QueryFile]:
    """Opens the file of a location that is not asked over HTTP.

    Raises:
        LocationError: there is no such file, or it cannot be read.
    """
    if location.query:
        with open_query(location.query, location.address) as rows:
            yield rows
    elif location.folder is None:
        with open_object(location.address) as found:
            yield found
    else:
        with open_in_folder(location) as file:
            yield file


def _copy_whole(location: Location, part: Path) -> None:
    expected = location.expected
    with open_file(location) as reader:
        try:
            copied = copy_stream(reader, part, limit_bytes=expected.limit_bytes)
        except TooLarge as error:
            reason = f"different file: more than {expected.limit_bytes} bytes; expected {expected}"
            raise LocationError(reason, kind="changed") from error
    problem = expected.find_problem(part, copied.sha256)
    if problem is None:
        return
    short = expected.bytes is not None and copied.bytes < expected.bytes
    raise LocationError(
        f"{'corrupt: too short' if short else 'different file'}; {problem}",
        kind="corrupt" if short else "changed",
    )


def _explain_failures(
    source: Source, mirror: str | None, failures: list[tuple[str, LocationError]]
) -> SourceError:
    remote = source.remote
    kinds = {error.kind for _, error in failures}
    verdict = ""
    if "changed" in kinds:
        verdict = "; it has changed upstream"
    elif "corrupt" in kinds:
        verdict = "; the received data was corrupt"
    remedies = []
    if remote.mirror is not None:
        remedies.append(
            f"mirror: set REGROW_MIRROR to a folder or an http(s) URL that has {source.mirror_path}"
            + ("" if mirror else " (currently not set)")
        )
    if source.sample:
        remedies.append("--sample: use the shipped sample instead of real data")
    remedies.append(
        f"--source {source.name}=PATH: use a local {source.file}, or an archive that contains it"
    )
    if source.optional:
        remedies.append(f"--data-version {source.name}={ABSENT}: leave it out; {source.optional}")
    if source.remedy:
        remedies.append(source.remedy)
    if "changed" in kinds and source.refresh:
        remedies.insert(0, f"regrow refresh --source {source.name}: adopt the new version")
    if "changed" in kinds:
        remedies.append(
            f"if the different file is correct, remove REGROW_HOME/sources/{source.name}.jsonl, "
            "which pins the first file"
            if remote.evidence and remote.sha256
            else "if the different file is correct, write its sha256 and size to data/sources.toml"
        )
    return SourceError(
        f"no location provided {remote.name} of the source {source.name}{verdict}",
        received="\n".join(f"{address}: {error.reason}" for address, error in failures)
        or "there is no location to download from: no URL is declared"
        + ("" if mirror else " and REGROW_MIRROR is not set"),
        expected=str(expect(remote))
        if remote.sha256 or remote.is_checked_first
        else f"use your own file: no sha256 of {remote.name} has been published to verify one",
        remedies=remedies,
        transient=any(error.transient for _, error in failures),
        absent=all(error.kind == "absent" for _, error in failures),
        optional=source.optional is not None,
    )
