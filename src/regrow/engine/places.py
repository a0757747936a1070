"""Where a source's file may be, asked in order: the cache, an installed package that brings it, the
mirror, the source's own URLs.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit, urlunsplit

from regrow.engine.archives import TooLarge, copy_stream
from regrow.engine.download import Expected, PlaceError, Retries, discard_part, download
from regrow.engine.errors import SourceError, UserError
from regrow.engine.fingerprint import digest_file
from regrow.engine.locks import exclusive
from regrow.engine.remote_zip import download_member
from regrow.engine.source_list import MirrorCopy, Source
from regrow.engine.spec import Progress


@dataclass(frozen=True)
class Place:
    """Where a file may be: an http(s) URL, or a file in the folder of a mirror or a package."""

    address: str
    expected: Expected
    folder: Path | None = None
    package: str = ""

    @property
    def shown(self) -> str:
        """The address without a user's name and password."""
        if self.package:
            return f"the installed package {self.package}"
        if self.folder is not None:
            return self.address
        parts = urlsplit(self.address)
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


@dataclass(frozen=True)
class Obtained:
    """A whole file in the cache, and where it was read from just now."""

    path: Path
    origin: str
    expected: Expected


def list_places(source: Source, mirror: str | None) -> Iterator[Place]:
    """The places to ask: a package, the mirror, if there is one, and then each URL."""
    remote = source.remote
    expected = Expected(remote.digest, remote.bytes)
    if remote.bundled:
        package, _, path = remote.bundled.partition("/")
        found = importlib.util.find_spec(package)  # finds a package without importing it
        for name in (found and found.submodule_search_locations) or ():
            yield Place(str(Path(name) / path), expected, Path(name), package)
    if mirror and remote.mirror is not None:
        path, there = source.mirror_path, expected
        if isinstance(remote.mirror, MirrorCopy):
            there = Expected(remote.mirror.sha256, remote.mirror.bytes)
        if mirror.lower().startswith(("http://", "https://")):
            yield Place(f"{mirror.rstrip('/')}/{quote(path)}", there)
        else:
            folder = Path(mirror).expanduser()
            yield Place(str(folder / path), there, folder)
    for url in remote.urls:
        yield Place(url, expected)


def known_digests(source: Source) -> list[str]:
    """The SHA-256 of every file that may stand for the source in the cache."""
    return [expected.sha256 for expected in _wanted(source)]


def is_cached(source: Source, downloads: Path) -> bool:
    """Whether the cache has the source's file; what is in it is not looked at."""
    return any(cache_path(downloads, expected).exists() for expected in _wanted(source))


def is_at_hand(source: Source, downloads: Path, mirror: str | None) -> bool:
    """Whether the cache or a folder has the source's file; what is in it is not looked at."""
    return is_cached(source, downloads) or any(
        place.folder is not None and Path(place.address).is_file()
        for place in list_places(source, mirror)
    )


def obtain(
    source: Source, downloads: Path, mirror: str | None, progress: Progress, retries: Retries
) -> Obtained:
    """Finds the source's file whole in the cache, or fetches it from the first place that has it.

    Two processes at once fetch it once. A kill leaves at most a partial file, which the next
    attempt takes up; nothing but the file stays after success.

    Raises:
        SourceError: no place gave it.
        UserError: the cache cannot be written.
    """
    places = list(list_places(source, mirror))
    failures: list[tuple[str, PlaceError]] = []
    if source.remote.sha256 is None:
        raise _no_place(source, mirror, failures)
    try:
        with exclusive(downloads / f".lock-{source.remote.digest}"):
            for expected in _wanted(source):
                cached = cache_path(downloads, expected)
                if not cached.exists():
                    continue
                if digest_file(cached) == expected.sha256:
                    return Obtained(cached, f"{source.remote.name} in the cache", expected)
                cached.unlink()
                failures.append((str(cached), PlaceError("corrupt, so it was dropped")))
            for place in places:
                try:
                    return _fetch(source, place, downloads, progress, retries)
                except PlaceError as error:
                    failures.append((place.shown, error))
    except OSError as error:
        raise UserError(
            "the download cache cannot be used",
            where=str(error.filename or downloads),
            received=error.strerror or str(error),
            remedies=["make room or allow writing there", "set REGROW_HOME to another folder"],
        ) from error
    raise _no_place(source, mirror, failures)


def _wanted(source: Source) -> list[Expected]:
    """Upstream's file, and the mirror's own packing of it, also where no mirror is set any more."""
    remote, copy = source.remote, source.remote.mirror
    wanted = [Expected(remote.sha256, remote.bytes)] if remote.sha256 else []
    if isinstance(copy, MirrorCopy):
        wanted.append(Expected(copy.sha256, copy.bytes))
    return wanted


def cache_path(downloads: Path, expected: Expected) -> Path:
    """Where the cache keeps a file, by its digest."""
    return downloads / expected.sha256[:2] / expected.sha256


def _fetch(
    source: Source, place: Place, downloads: Path, progress: Progress, retries: Retries
) -> Obtained:
    # One partial file for each place: two places may serve different bytes.
    stem = f".tmp-{source.remote.digest[:16]}-"
    name = hashlib.sha256(place.address.encode()).hexdigest()[:8]
    part = downloads / f"{stem}{name}.part"
    report = partial(progress, f"downloading {source.remote.name}")
    if place.folder is None:
        get = download_member if "#" in place.address else download
        get(place.address, part, place.expected, report=report, retries=retries)
    else:
        try:
            _copy_from_folder(place, place.folder, part)
        except PlaceError:
            discard_part(part)
            raise
    with part.open("rb") as stream:
        os.fsync(stream.fileno())
    target = cache_path(downloads, place.expected)
    target.parent.mkdir(exist_ok=True)
    part.replace(target)
    for left in downloads.glob(f"{stem}*"):
        left.unlink()
    return Obtained(target, place.shown, place.expected)


def _copy_from_folder(place: Place, folder: Path, part: Path) -> None:
    path, expected = Path(place.address), place.expected
    kind = "package" if place.package else "mirror"
    if not folder.is_dir():
        raise PlaceError(f"the {kind} {folder} is not a folder that exists")
    if not path.resolve().is_relative_to(folder.resolve()):
        raise PlaceError(f"leads out of the {kind} to {path.resolve()}")
    if not path.is_file():
        raise PlaceError(f"the {kind} has no such file")
    try:
        reader = path.open("rb")
    except OSError as error:
        raise PlaceError(f"cannot be read: {error.strerror}") from error
    with reader:
        try:
            copied = copy_stream(reader, part, limit_bytes=expected.limit_bytes)
        except TooLarge as error:
            reason = f"another file: more than {expected.limit_bytes} bytes; expected {expected}"
            raise PlaceError(reason, kind="changed") from error
    if copied.sha256 == expected.sha256:
        return
    short = expected.bytes is not None and copied.bytes < expected.bytes
    raise PlaceError(
        f"{'corrupt: too short' if short else 'another file'}; received sha256 {copied.sha256} "
        f"({copied.bytes} bytes), expected {expected}",
        kind="corrupt" if short else "changed",
    )


def _no_place(
    source: Source, mirror: str | None, failures: list[tuple[str, PlaceError]]
) -> SourceError:
    remote = source.remote
    kinds = {error.kind for _, error in failures}
    verdict = ""
    if "changed" in kinds:
        verdict = "; it has changed upstream"
    elif "corrupt" in kinds:
        verdict = "; what came was corrupt"
    remedies = []
    if remote.mirror is not None:
        remedies.append(
            f"mirror: set REGROW_MIRROR to a folder or an http(s) URL that has {source.mirror_path}"
            + ("" if mirror else " (it is not set now)")
        )
    if source.sample:
        remedies.append("--sample: use the shipped sample, which is not real data")
    remedies.append(
        f"--source {source.name}=PATH: use a local file, {source.file} or an archive that holds it"
    )
    if source.remedy:
        remedies.append(source.remedy)
    if "changed" in kinds:
        remedies.append(
            "if the other file is right, put its sha256 and size into data/sources.toml"
        )
    return SourceError(
        f"no place gave {remote.name} of the source {source.name}{verdict}",
        received="\n".join(f"{address}: {error.reason}" for address, error in failures)
        or "there is no place to ask: no URL is declared"
        + ("" if mirror else " and REGROW_MIRROR is not set"),
        expected=str(Expected(remote.sha256, remote.bytes))
        if remote.sha256
        else f"a file of your own: nobody has published a sha256 of {remote.name} to check one by",
        remedies=remedies,
        transient=any(error.transient for _, error in failures),
    )
