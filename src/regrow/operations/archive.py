"""Archives that regrow writes and reads itself: bundles and backups.

An archive is a zip. Its `KIND.json` lists every other file with its SHA-256; `KIND.sha256` is the
digest of that list. No file is used before its digest was compared. A digest detects damage, not
another author.
"""

from __future__ import annotations

import errno
import hashlib
import shutil
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from regrow.base.digests import digest_file
from regrow.base.errors import DataError, UserError
from regrow.base.progress import report
from regrow.sources.archives import CHUNK_BYTES, MemberInfo, extract_members
from regrow.sources.source import RelativePath
from regrow.store.entry import FileInfo

# The listing of so many files is smaller than the limit on its size.
MAX_LISTING_BYTES, MAX_FILES = 64 * 2**20, 200_000


class Listing(BaseModel):
    """What an archive says of itself, with every other file in it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal[1] = 1
    created_at: str
    files: dict[RelativePath, FileInfo]


ListingT = TypeVar("ListingT", bound=Listing)


@dataclass(frozen=True)
class Archive(Generic[ListingT]):
    """A kind of archive.

    Attributes:
        kind: "bundle" or "backup": its name in messages, and of its listing.
        listing: the class of its listing.
        command: the command that writes it.
    """

    kind: str
    listing: type[ListingT]
    command: str

    @property
    def listing_name(self) -> str:
        """The file with the listing."""
        return f"{self.kind}.json"

    @property
    def digest_name(self) -> str:
        """The file with the digest of the listing."""
        return f"{self.kind}.sha256"

    def write(
        self,
        path: Path,
        files: Mapping[str, Path],
        describe: Callable[[dict[str, FileInfo]], ListingT],
    ) -> ListingT:
        """Writes an archive of files, by their paths in it; returns the listing.

        Args:
            describe: makes the listing of the digests and sizes of what was written.

        Raises:
            UserError: there are too many files.
        """
        if len(files) > MAX_FILES:
            raise UserError(
                f"the {self.kind} would have too many files",
                received=f"{len(files):,}",
                expected=f"at most {MAX_FILES:,}",
            )
        written: dict[str, FileInfo] = {}
        with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED, strict_timestamps=False) as archive:
            for number, (name, place) in enumerate(files.items()):
                report(f"writing the {self.kind}", number, len(files))
                written[name] = _add_file(archive, name, place)
            listing = describe(written)
            text = listing.model_dump_json(indent=1).encode()
            archive.writestr(self.listing_name, text)
            archive.writestr(self.digest_name, hashlib.sha256(text).hexdigest())
        report(f"writing the {self.kind}", len(files), len(files))
        return listing

    def check_path(self, path: Path) -> None:
        """Refuses to write over something.

        Raises:
            UserError: there is something at this path.
        """
        if path.exists():
            raise UserError(
                f"the {self.kind} already exists",
                where=str(path),
                remedies=["choose another path, or remove this file"],
            )

    def unpack(self, path: Path, folder: Path) -> ListingT:
        """Writes all files of an archive into an empty folder, each compared with its digest.

        Raises:
            UserError: there is too little room, or the folder cannot be written.
            DataError: it is no archive of this kind, or it is damaged or unsafe.
        """
        try:
            listing = self._read_listing(path, folder)
            members = {
                name: MemberInfo(info.sha256, info.bytes) for name, info in listing.files.items()
            }
            needed = sum(info.bytes for info in listing.files.values())
            if shutil.disk_usage(folder).free < needed:
                raise UserError(
                    f"there is not enough space for the {self.kind}",
                    where=str(folder.parent),
                    expected=f"{needed / 2**20:,.0f} MiB free",
                )
            extract_members(path, members, folder, max_bytes=needed, max_members=MAX_FILES + 2)
        except (OSError, ValueError) as error:
            if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
                raise UserError(
                    f"the {self.kind} cannot be unpacked; nothing was stored",
                    where=str(error.filename or folder),
                    received=error.strerror,
                ) from error
            # From a zip whose structure is invalid.
            raise DataError(
                f"the {self.kind} is damaged; nothing was stored",
                where=str(path),
                received=f"{type(error).__name__}: {error}",
                remedies=["copy it again"],
            ) from error
        return listing

    def _read_listing(self, path: Path, folder: Path) -> ListingT:
        info = MemberInfo(bytes=MAX_LISTING_BYTES)
        wanted = {self.listing_name: info, self.digest_name: info}
        extract_members(path, wanted, folder, max_members=MAX_FILES + 2)
        stated = (folder / self.digest_name).read_text(encoding="ascii", errors="replace").strip()
        found = digest_file(folder / self.listing_name)
        if found != stated:
            raise DataError(
                f"the {self.kind}'s manifest was changed; nothing was stored",
                where=f"{path}, {self.listing_name}",
                received=f"sha256 {found}",
                expected=f"sha256 {stated[:64]}",
                remedies=["copy it again"],
            )
        try:
            return self.listing.model_validate_json((folder / self.listing_name).read_bytes())
        except ValidationError as error:
            raise DataError(
                f"this {self.kind} is not from this version of regrow; nothing was stored",
                where=f"{path}, {self.listing_name}",
                received=str(error)[:500],
                expected=f"format 1, as written by {self.command}",
                remedies=["write it again with this version of regrow"],
            ) from error


def _add_file(archive: zipfile.ZipFile, name: str, place: Path) -> FileInfo:
    """Adds a file; the digest and size of what was read, whatever changes it later."""
    digest, done = hashlib.sha256(), 0
    entry = zipfile.ZipInfo.from_file(place, name, strict_timestamps=False)
    with place.open("rb") as source, archive.open(entry, "w") as target:
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            done += len(chunk)
            target.write(chunk)
    return FileInfo(sha256=digest.hexdigest(), bytes=done)
