"""What data/sources.toml declares, as frozen models."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from regrow.engine.archives import MemberInfo, explain_unsafe
from regrow.engine.errors import UserError


def _check_relative(path: str) -> str:
    if reason := explain_unsafe(path):
        raise ValueError(f"must stay inside its folder, but is {reason}")
    return path


Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Url = Annotated[str, StringConstraints(pattern=r"^https?://[^/\s]+/\S*$")]
Size = Annotated[int, Field(gt=0)]
RelativePath = Annotated[str, AfterValidator(_check_relative)]


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Member(_Declared):
    """A file inside an archive."""

    path: RelativePath
    sha256: Sha256
    bytes: Size | None = None


class MirrorCopy(_Declared):
    """A mirror's archive of the same members that is not the same bytes as upstream's."""

    path: RelativePath
    sha256: Sha256
    bytes: Size | None = None


class Plain(_Declared):
    """One file that is fetched whole.

    Attributes:
        name: what it is called upstream.
        bundled: its path in an installed package, such as "sklearn/datasets/data/digits.csv.gz".
        mirror: its path below a mirror.
        urls: where it is upstream, asked in this order.
        sha256: None where nobody has published it: then only a file of the user's own is taken.
    """

    name: str
    bundled: RelativePath | None = None
    mirror: RelativePath | MirrorCopy | None = None
    urls: tuple[Url, ...] = ()
    sha256: Sha256 | None = None
    bytes: Size | None = None

    @property
    def digest(self) -> str:
        """Its SHA-256; empty where none is declared."""
        return self.sha256 or ""

    @model_validator(mode="after")
    def _check_places(self) -> Self:
        if self.sha256 is None and (self.urls or self.mirror or self.bundled):
            raise ValueError("what has no sha256 cannot be checked, so it must name no place")
        if self.sha256 and not self.urls and self.mirror is None and self.bundled is None:
            raise ValueError("needs urls, a mirror or a package that it comes with")
        return self


class Archive(Plain):
    """A zip or tar(.gz) and the members that are taken out of it."""

    members: Annotated[tuple[Member, ...], Field(min_length=1)]


class Source(_Declared):
    """One source, as data/sources.toml declares it; that file explains the fields."""

    name: Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    title: str
    homepage: Url
    doi: str | None = None
    licence: str
    citation: str
    sample: RelativePath | None = None
    optional: str | None = None
    remedy: str | None = None
    refresh: bool = False
    file: RelativePath
    archive: Archive | None = None
    plain: Plain | None = None

    @model_validator(mode="after")
    def _check_shape(self) -> Self:
        if (self.archive is None) == (self.plain is None):
            raise ValueError("needs either an archive or a plain file")
        paths = [member.path for member in self.archive.members] if self.archive else [self.file]
        folder = "" if self.file == "." else self.file.rstrip("/") + "/"
        if len(set(paths)) < len(paths):
            raise ValueError("a member is declared twice")
        if self.file not in paths and not all(path.startswith(folder) for path in paths):
            raise ValueError(
                f"file {self.file!r} is neither a member nor the folder of all of them"
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


def load_sources(path: Path) -> dict[str, Source]:
    """Reads sources.toml.

    Raises:
        UserError: it is missing, not TOML, or declares something that cannot be.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(
            "the list of sources cannot be read", where=str(path), received=error.strerror
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(
            "the list of sources is not valid TOML", where=str(path), received=str(error)
        ) from error
    return {name: _parse_source(path, name, table) for name, table in tables.items()}


def _parse_source(path: Path, name: str, table: Any) -> Source:
    try:
        if not isinstance(table, dict):
            raise TypeError(f"expected a table [{name}]")
        return Source(name=name, **table)
    except ValidationError as error:
        problems = [
            f"{'.'.join(map(str, item['loc'])) or name}: {item['msg']}" for item in error.errors()
        ]
    except TypeError as error:
        problems = [str(error)]
    raise UserError(
        f"the source {name} is not declared as it should be",
        where=f"{path}, table [{name}]",
        received="\n".join(problems),
        remedies=["the comment at the top of data/sources.toml lists the fields"],
    )
