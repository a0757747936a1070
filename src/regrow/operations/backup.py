"""A consistent copy of what cannot be made again: `regrow backup`.

That is the registry with the artifacts of its versions, the logs of decisions, and the recorded
versions of sources with their files. Publications wait while they are copied; trainings go on.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regrow.base.addresses import database_path, is_own_database, local_path
from regrow.base.errors import LockTimeout, UserError, explain_refusal
from regrow.base.files import atomic_write, find_paths, make_folder, write_json
from regrow.base.home import Home
from regrow.base.layout import LAYOUT, ensure_layout
from regrow.base.locks import exclusive
from regrow.base.secrets import hide_secrets
from regrow.base.settings import Settings
from regrow.operations.archive import Archive, Listing
from regrow.registry.gate import now
from regrow.registry.snapshot import StoredVersion, list_versions, registry_at_rest
from regrow.sources.download import Expected
from regrow.sources.locations import cache_path
from regrow.sources.versions import read_versions
from regrow.store.entry import FileInfo


class BackupContents(Listing):
    """The content of a backup.

    Attributes:
        layout: the layout version of the home.
        versions: how many registered versions there are.
        champions: the champions' versions, by registered model.
    """

    layout: int
    versions: int
    champions: dict[str, int]


BACKUP = Archive("backup", BackupContents, "regrow backup")


@dataclass(frozen=True)
class LeftOut:
    """Something that a backup does not contain, and how it is backed up."""

    what: str
    how: str


def write_backup(path: Path, settings: Settings) -> dict[str, Any]:
    """Writes a backup of the home, whole or not at all.

    Returns:
        JSON: "path", "bytes", "files", "versions", "champions", "left_out" (what, how), "damaged"
        (models that are not those that were registered).

    Raises:
        UserError: the file exists, there is nothing to back up, or another backup is being written.
    """
    home = settings.home
    BACKUP.check_path(path)
    _check_not_empty(home)
    ensure_layout(home)
    try:
        with (
            explain_refusal("the backup cannot be written", path),
            exclusive(home.lock("backup"), timeout_s=0),
        ):
            contents, versions = _write(path, home)
            last = {"at": contents.created_at, "path": str(path.resolve())}
            write_json(home.last_backup, last)
    except LockTimeout as error:
        raise UserError(
            "another backup is being written, or a publication is taking too long",
            where=str(home),
            received=str(error),
            remedies=["run regrow backup again when it has finished"],
        ) from error
    return {
        "path": last["path"],
        "bytes": path.stat().st_size,
        "files": len(contents.files),
        "versions": contents.versions,
        "champions": contents.champions,
        "left_out": [vars(each) for each in _list_left_out(settings, versions)],
        "damaged": list(_find_damage(home, versions, contents.files)),
    }


def _check_not_empty(home: Home) -> None:
    if not any(place.exists() for place in (home.database, home.decisions, home.sources)):
        raise UserError(
            "there is nothing to back up: no registry, no decisions, no recorded versions",
            where=str(home),
            remedies=["set REGROW_HOME to the home to back up"],
        )


def _write(path: Path, home: Home) -> tuple[BackupContents, list[StoredVersion]]:
    with tempfile.TemporaryDirectory() as folder, exclusive(home.lock("gc")):
        copy = Home(Path(folder))
        with registry_at_rest(home, copy.database), atomic_write(path) as temporary:
            at = now()
            _copy_records(home, copy)
            versions = list_versions(copy.database, home)
            files = _name_files(copy, _list_files(copy.path))
            files |= _name_files(home, _list_artifacts(home, versions))
            files |= _name_files(home, _list_downloads(home, copy))

            def describe(written: dict[str, FileInfo]) -> BackupContents:
                return BackupContents(
                    created_at=at,
                    layout=LAYOUT,
                    versions=len(versions),
                    champions={each.name: each.number for each in versions if each.is_champion},
                    files=written,
                )

            return BACKUP.write(temporary, files, describe), versions


def _copy_records(home: Home, copy: Home) -> None:
    """Copies what others may be adding lines to."""
    for folder in (home.decisions, home.sources):
        for path in find_paths(folder, "**/[!.]*"):
            if path.is_file() and path.suffix != ".lock":
                target = copy.path / path.relative_to(home.path)
                make_folder(target.parent)
                shutil.copyfile(path, target)
    shutil.copyfile(home.layout, copy.layout)


def _list_artifacts(home: Home, versions: list[StoredVersion]) -> Iterator[Path]:
    for version in versions:
        for address in version.addresses:
            folder = local_path(address)
            if folder is not None and folder.is_relative_to(home.artifacts):
                yield from _list_files(folder)


def _list_downloads(home: Home, copy: Home) -> Iterator[Path]:
    """The files of recorded versions: upstream has only the newest."""
    for log in find_paths(copy.sources, "*.jsonl"):
        for version in read_versions(copy, log.stem):
            path = cache_path(home.downloads, Expected(version.file.sha256))
            if path.is_file():
                yield path


def _name_files(home: Home, places: Iterable[Path]) -> dict[str, Path]:
    """Files by their paths in a home."""
    return {place.relative_to(home.path).as_posix(): place for place in places}


def _list_files(folder: Path) -> list[Path]:
    return [path for path in find_paths(folder, "**/*") if path.is_file()]


def _list_left_out(settings: Settings, versions: list[StoredVersion]) -> Iterator[LeftOut]:
    home, address = settings.home, settings.tracking_uri
    if not is_own_database(address, home):
        database = database_path(address)
        how = (
            f"sqlite3 '{database}' \".backup 'COPY'\", and then copy the folder {home.artifacts}"
            if database
            else "back up its database (PostgreSQL: pg_dump), and then the folder or bucket of its "
            "artifacts, in this order, because the files of a version are written first"
        )
        yield LeftOut(f"the registry at {hide_secrets(address)}", how)
    for version in versions:
        for each in version.addresses:
            folder = local_path(each)
            if folder is None or not folder.is_relative_to(home.artifacts):
                where = hide_secrets(each)
                yield LeftOut(f"files of {version}", f"they are outside the home; copy {where}")


def _find_damage(
    home: Home, versions: list[StoredVersion], written: dict[str, FileInfo]
) -> Iterator[str]:
    for version in versions:
        folder = local_path(version.addresses[0]) if version.addresses else None
        if folder is None or not folder.is_relative_to(home.artifacts):
            continue
        for name, digest in version.digests.items():
            info = written.get((folder / name).relative_to(home.path).as_posix())
            if info is None or info.sha256 != digest:
                found = "is missing" if info is None else "differs from the registered file"
                yield f"{version}: {name} {found}"
