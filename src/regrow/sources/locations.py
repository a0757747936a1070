"""The locations of a source's file, in the order in which they are tried: the cache, an installed
package that contains it, the mirror, the source's own URLs.
"""

from __future__ import annotations

import importlib.util
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, urlsplit, urlunsplit

from regrow.base.addresses import read_path
from regrow.base.secrets import hide_secrets
from regrow.sources.buckets import BucketFile, is_bucket, open_object
from regrow.sources.download import Expected
from regrow.sources.queries import QueryFile, open_query
from regrow.sources.retries import LocationError
from regrow.sources.source import MirrorCopy, Plain, Source


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
        where = f"the path of the source {source.name}"
        is_url = "://" in remote.path
        given = read_path(remote.path, where) if is_url else Path(remote.path).expanduser()
        local = source.folder / given
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
    return [expected.sha256 for expected in expect_cached(source)]


def is_cached(source: Source, downloads: Path) -> bool:
    """Whether the cache has the source's file; its content is not checked."""
    return any(cache_path(downloads, expected).exists() for expected in expect_cached(source))


def is_at_hand(source: Source, downloads: Path, mirror: str | None) -> bool:
    """Whether the cache or a folder has the source's file; its content is not checked."""
    return is_cached(source, downloads) or any(
        location.folder is not None and Path(location.address).is_file()
        for location in list_locations(source, mirror)
    )


def expect_cached(source: Source) -> list[Expected]:
    """The files that may stand for a source in the cache: upstream's, and a mirror's own archive of
    its members, even if no mirror is set.
    """
    remote, copy = source.remote, source.remote.mirror
    wanted = [Expected(remote.sha256, remote.bytes)] if remote.sha256 else []
    if isinstance(copy, MirrorCopy):
        wanted.append(Expected(copy.sha256, copy.bytes))
    return wanted


def cache_path(downloads: Path, expected: Expected) -> Path:
    """Where the cache keeps a file, by its digest."""
    return downloads / expected.sha256[:2] / expected.sha256


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
