"""Makes a home of a backup: `regrow restore`."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regrow.base.addresses import reroot_database
from regrow.base.digests import digest_json
from regrow.base.errors import UserError
from regrow.base.files import sync_folder
from regrow.base.home import Home
from regrow.base.layout import LAYOUT
from regrow.base.locks import exclusive
from regrow.operations.backup import BACKUP, BackupContents


def restore_backup(path: Path, home: Home) -> dict[str, Any]:
    """Unpacks a backup beside the home, compares every digest, and renames it to the home.

    Returns:
        JSON: "home", "created_at" (of the backup), "files", "versions", "champions".

    Raises:
        UserError: there is no such backup, the home is not empty or cannot be written, or a newer
            version of regrow wrote the backup.
        DataError: the backup is damaged.
    """
    if not path.is_file():
        raise UserError("there is no such backup", where=str(path), expected="a file")
    try:
        with _folder_beside(home) as folder:
            contents = BACKUP.unpack(path, folder)
            _check_layout(contents, path)
            for name in (BACKUP.listing_name, BACKUP.digest_name):
                (folder / name).unlink()
            sync_folder(folder)  # before the home is there
            _check_empty(home)
            folder.rename(home.path)
    except OSError as error:
        raise UserError(
            "the home cannot be written",
            where=str(home),
            received=error.strerror or str(error),
            expected="a folder that does not exist or is empty, and is not a mount point",
            remedies=["set REGROW_HOME to another folder"],
        ) from error
    reroot_database(home)
    return {
        "home": str(home),
        "created_at": contents.created_at,
        "files": len(contents.files),
        "versions": contents.versions,
        "champions": contents.champions,
    }


@contextmanager
def _folder_beside(home: Home) -> Iterator[Path]:
    """A folder in the file system of the home; what a killed restore left there is removed."""
    folder = home.path.with_name(f".restoring-{digest_json(str(home))[:8]}")
    _check_empty(home)
    with exclusive(folder.with_name(f"{folder.name}.lock")):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _check_empty(home: Home) -> None:
    found = sorted(path.name for path in home.path.iterdir()) if home.path.exists() else []
    if found:
        raise UserError(
            "the home is not empty, and restoring does not overwrite files",
            where=str(home),
            received=", ".join(found[:5]) + ", ..." * (len(found) > 5),
            expected="a folder that does not exist or is empty",
            remedies=["set REGROW_HOME to another folder", "move this folder away"],
        )


def _check_layout(contents: BackupContents, path: Path) -> None:
    if contents.layout > LAYOUT:
        raise UserError(
            "this backup was written by a newer version of regrow",
            where=str(path),
            received=f"layout {contents.layout}",
            expected=f"layout {LAYOUT} or older",
            remedies=["install the newer version of regrow"],
        )
