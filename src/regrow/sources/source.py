"""A source: what a project declares of data, and where it says that they are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from regrow.base.digests import digest_json
from regrow.base.placeholders import names_a_secret
from regrow.sources.archives import MemberInfo, explain_unsafe


def _check_relative(path: str) -> str:
    if reason := explain_unsafe(path):
        raise ValueError(f"must stay inside its folder, but is {reason}")
    return path


Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Md5 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
# Of a source whose digest nobody has declared, until it is looked at for the first time.
UNPINNED = "unpinned"
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^/\s]+/\S*$")]
Address = Annotated[str, StringConstraints(pattern=r"^(https?|s3|gs|gcs|abfss?)://[^/\s]+/\S*$")]
SizeBytes = Annotated[int, Field(gt=0)]
# The version of an optional source that is not there.
ABSENT = "absent"
RelativePath = Annotated[str, AfterValidator(_check_relative)]


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Member(_Declared):
    """A file inside an archive."""

    path: RelativePath
    sha256: Sha256
    bytes: SizeBytes | None = None


class MirrorCopy(_Declared):
    """A mirror's archive of the same members that is not the same bytes as upstream's."""

    path: RelativePath
    sha256: Sha256
    bytes: SizeBytes | None = None


class Plain(_Declared):
    """One file that is fetched whole.

    Attributes:
        name: what it is called upstream.
        bundled: its path in an installed package, such as "sklearn/datasets/data/digits.csv.gz".
        mirror: its path below a mirror.
        urls: where it is upstream, asked in this order.
        headers: sent to these urls, over https only; `${NAME}` is an environment variable, and
            `${block:NAME}` a Secret block of Prefect.
        query: SQL whose rows are the file, as Parquet.
        database: the SQLAlchemy URL that the query is sent to, with secrets as in `headers`.
        path: a local file, relative to the folder of the project; each run reads it as it is.
        sha256: None where nobody has published it: then what is found first is pinned, with
            `refresh` or after a check by what follows; else only a file of the user's own is taken.
        md5: what its publisher states where there is no SHA-256; it needs `bytes`.
        check: the dotted path of a function that takes the file's path and raises a DataError if
            its structure is another, where no digest at all is published.
    """

    name: str
    bundled: RelativePath | None = None
    mirror: RelativePath | MirrorCopy | None = None
    urls: tuple[Address, ...] = ()
    headers: dict[str, str] = {}
    query: str | None = None
    database: str | None = None
    path: str | None = None
    sha256: Sha256 | None = None
    bytes: SizeBytes | None = None
    md5: Md5 | None = None
    check: str | None = None

    @property
    def is_checked_first(self) -> bool:
        """Whether its first download is checked by less than a SHA-256, and then pinned."""
        return self.sha256 is None and bool(self.md5 or self.check)

    @property
    def evidence(self) -> str:
        """What vouches for its content where nobody has published a SHA-256; else empty."""
        if self.md5:
            return "published MD5 and length; SHA-256 pinned at the first download"
        if self.check:
            return "its structure only (no published digest); SHA-256 pinned at the first download"
        return ""

    @property
    def has_places(self) -> bool:
        """Whether it says where it is."""
        return bool(self.urls or self.path or self.mirror or self.bundled or self.query)

    @property
    def digest(self) -> str:
        """Its SHA-256; empty where none is declared."""
        return self.sha256 or ""

    @model_validator(mode="after")
    def _check_places(self) -> Self:
        if self.sha256 and not self.has_places:
            raise ValueError("requires urls, a path, a mirror or a package that contains the file")
        if (self.query is None) != (self.database is None):
            raise ValueError("a query requires a database, and a database requires a query")
        if self.database and urlsplit(self.database).password and not names_a_secret(self.database):
            raise ValueError(
                "database: do not write a password here; use ${NAME} for an environment "
                "variable that contains the URL or the password"
            )
        if self.headers and not all(_may_have_headers(url) for url in self.urls):
            raise ValueError("headers are only sent over https")
        if self.md5 and self.bytes is None:
            raise ValueError("md5 also requires the length in bytes")
        return self


def _may_have_headers(url: str) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in ("127.0.0.1", "localhost", "::1")


class Archive(Plain):
    """A zip or tar(.gz) and the members that are taken out of it."""

    members: Annotated[tuple[Member, ...], Field(min_length=1)]


class Source(_Declared):
    """One source, as data/sources.toml declares it; that file explains the fields.

    Attributes:
        folder: what its sample and its path are relative to.
        left_out: whether a run does without it on request; it must be optional.
    """

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: str
    folder: Path = Path()
    homepage: Url | None = None
    doi: str | None = None
    licence: str = "not stated"
    citation: str = ""
    sample: RelativePath | None = None
    optional: str | None = None
    remedy: str | None = None
    refresh: bool = False
    left_out: bool = False
    file: RelativePath
    archive: Archive | None = None
    plain: Plain | None = None

    @model_validator(mode="after")
    def _check_shape(self) -> Self:
        if (self.archive is None) == (self.plain is None):
            raise ValueError("requires either an archive or a plain file")
        unchecked = self.remote.sha256 is None and not self.remote.is_checked_first
        if unchecked and self.remote.has_places and not self.refresh:
            raise ValueError(
                "a source without sha256 must not declare an address, unless its first download "
                "is pinned by refresh = true, or by md5 and bytes"
            )
        if self.remote.is_checked_first and (self.archive or self.refresh):
            raise ValueError("md5 and check are only valid for a plain file without refresh")
        paths = [member.path for member in self.archive.members] if self.archive else [self.file]
        folder = "" if self.file == "." else self.file.rstrip("/") + "/"
        if len(set(paths)) < len(paths):
            raise ValueError("a member is declared twice")
        if self.file not in paths and not all(path.startswith(folder) for path in paths):
            raise ValueError(
                f"file {self.file!r} is neither a member nor the folder of all members"
            )
        return self

    @property
    def remote(self) -> Plain:
        """What is fetched: the archive or the plain file."""
        return self.archive or self.plain  # type: ignore[return-value]

    @property
    def mirror_path(self) -> str:
        """Its path below a mirror; empty if no mirror is meant to have it."""
        copy = self.remote.mirror
        return copy.path if isinstance(copy, MirrorCopy) else copy or ""

    @property
    def pinned(self) -> dict[str, MemberInfo]:
        """The files that the pipeline gets, by path, with their declared digests and sizes."""
        if self.archive is None:
            return {self.file: MemberInfo(self.remote.sha256, self.remote.bytes)}
        return {item.path: MemberInfo(item.sha256, item.bytes) for item in self.archive.members}

    @property
    def version(self) -> str:
        """The version that the declared digests stand for."""
        if self.left_out:
            return ABSENT
        if self.archive is None and self.remote.sha256 is None:
            return UNPINNED
        return digest_files({path: info.sha256 for path, info in self.pinned.items()})


def digest_files(digests: Mapping[str, Any]) -> str:
    """The version of a source: the digest of its one file, or of all files' digests by path."""
    if len(digests) == 1:
        return str(next(iter(digests.values())))
    return digest_json(dict(digests))
