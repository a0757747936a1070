"""Obtains a source's file: from the cache, or from the first of its locations that provides it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from regrow.base.digests import digest_file
from regrow.base.errors import SourceError, explain_refusal
from regrow.base.files import move_into_place
from regrow.base.locks import exclusive
from regrow.base.progress import Progress
from regrow.sources.archives import TooLarge, copy_stream
from regrow.sources.download import Expected, discard_part, download
from regrow.sources.locations import (
    Location,
    cache_path,
    expect,
    expect_cached,
    list_locations,
    open_file,
)
from regrow.sources.remote_zip import download_member
from regrow.sources.retries import LocationError, Retries
from regrow.sources.source import ABSENT, Source

# Where this process has fetched files of the cache from: a run may find them there later.
_fetched: dict[Path, str] = {}


@dataclass(frozen=True)
class Obtained:
    """A whole file in the cache, and the location that this process read it from."""

    path: Path
    origin: str
    expected: Expected


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
    remedies = ["free up space or allow writing there", "set REGROW_HOME to another folder"]
    with (
        explain_refusal("the download cache cannot be used", downloads, remedies=remedies),
        exclusive(downloads / f".lock-{source.remote.digest or source.name}"),
    ):
        for expected in expect_cached(source):
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
    raise _explain_failures(source, mirror, failures)


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
    return SourceError(
        f"no location provided {remote.name} of the source {source.name}{verdict}",
        received="\n".join(f"{address}: {error.reason}" for address, error in failures)
        or "there is no location to download from: no URL is declared"
        + ("" if mirror else " and REGROW_MIRROR is not set"),
        expected=str(expect(remote))
        if remote.sha256 or remote.is_checked_first
        else f"use your own file: no sha256 of {remote.name} has been published to verify one",
        remedies=list(_list_remedies(source, mirror, is_changed="changed" in kinds)),
        transient=any(error.transient for _, error in failures),
        absent=all(error.kind == "absent" for _, error in failures),
        optional=source.optional is not None,
    )


def _list_remedies(source: Source, mirror: str | None, *, is_changed: bool) -> Iterator[str]:
    """What to do where no location has a source's file, the likeliest first."""
    remote = source.remote
    if is_changed and source.refresh:
        yield f"regrow refresh --source {source.name}: adopt the new version"
    if remote.mirror is not None:
        now = "" if mirror else " (currently not set)"
        has = f"a folder or an http(s) URL that has {source.mirror_path}"
        yield f"mirror: set REGROW_MIRROR to {has}{now}"
    if source.sample:
        yield "--sample: use the shipped sample instead of real data"
    yield f"--source {source.name}=PATH: use a local {source.file}, or an archive that contains it"
    if source.optional:
        yield f"--data-version {source.name}={ABSENT}: leave it out; {source.optional}"
    if source.remedy:
        yield source.remedy
    if is_changed and remote.evidence and remote.sha256:
        pinned = f"REGROW_HOME/sources/{source.name}.jsonl, which pins the first file"
        yield f"if the different file is correct, remove {pinned}"
    elif is_changed:
        yield "if the different file is correct, write its sha256 and size to data/sources.toml"
