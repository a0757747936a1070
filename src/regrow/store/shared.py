"""Results beyond this machine: a copy of the store in object storage, for workers without a disk in
common.

Objects are `store/<model>/<stage>/<fingerprint>/<file>`, and `stage-results/<name>` for references.
The manifest goes last and is one object, so an entry is there whole or not at all; whoever fetches
one checks every digest. With REGROW_STORE_KEY, manifests and references are signed. What is kept
for how long is the bucket's own rule: an entry that is gone is made again.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from regrow.base.errors import Unreachable, UserError
from regrow.base.secrets import has_credentials
from regrow.base.settings import Settings
from regrow.store.entry import MANIFEST, Entry, Manifest, find_changes, find_damage
from regrow.store.signatures import NotSigned, Signer

log = logging.getLogger(__name__)

EXAMPLE = "s3://bucket/regrow?region=eu-central-1, gs://bucket/regrow or file:///mnt/regrow"


class SharedStore:
    """A place in object storage, by pyarrow's file systems (S3, Google Cloud, Azure, a folder).

    Args:
        url: see `EXAMPLE`; for a server of one's own `?endpoint_override=HOST:PORT&scheme=http`.
            Credentials come from where that storage's own tools find them (AWS_ACCESS_KEY_ID, ...).
        key: signs what is written and is required of what is read; None for neither.

    Raises:
        UserError: no such place, a URL with credentials in it, or a short key.
    """

    def __init__(self, url: str, key: str | None = None) -> None:
        from pyarrow import fs

        self._signer = Signer(key)
        if has_credentials(url):
            raise UserError(
                "the address contains credentials, but addresses are logged and displayed",
                where="REGROW_SHARED_STORE",
                expected=EXAMPLE,
                remedies=["set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or use a role"],
            )
        try:
            found: Any = fs.FileSystem.from_uri(url)
        except (ValueError, OSError, NotImplementedError) as error:
            raise UserError(
                "the address of the shared store is not valid",
                where="REGROW_SHARED_STORE",
                received=f"{url}: {error}",
                expected=EXAMPLE,
            ) from error
        self.url = url
        self._files, self._root = found

    def fetch(self, model: str, stage: str, fingerprint: str, into: Path) -> Manifest | None:
        """Brings an entry to a folder, whole or not at all; its manifest, or None if there is none.

        A damaged one is taken away, as it would be found again for ever. One that is not signed is
        left to whoever wrote it until this machine replaces it.

        Raises:
            Unreachable: the storage does not answer, or refuses.
        """
        place = f"store/{model}/{stage}/{fingerprint}"
        try:
            content = self.read_signed(f"{place}/{MANIFEST}")
            if content is None:
                return None
            manifest = Manifest.model_validate(content)
            changes = find_changes(manifest, model, stage, fingerprint)
            if changes or any(map(_leads_out, manifest.files)):
                raise ValueError(", ".join(changes) or "a file would be outside its folder")
            shutil.rmtree(into, ignore_errors=True)
            into.mkdir(parents=True)
            (into / MANIFEST).write_text(manifest.model_dump_json(indent=1), encoding="utf-8")
            for name in manifest.files:
                (into / name).parent.mkdir(parents=True, exist_ok=True)
                self._copy_here(f"{place}/{name}", into / name)
            if damaged := find_damage(Entry(into, manifest)):
                raise ValueError(", ".join(damaged))
        except NotSigned as error:
            log.warning("%s (%s): the result will be built again", error.what, error.received)
            return None
        except (ValidationError, ValueError, FileNotFoundError) as error:
            log.warning("removed a damaged entry in the shared store: %s (%s)", place, error)
            shutil.rmtree(into, ignore_errors=True)
            self.remove(f"{place}/{MANIFEST}")
            return None
        return manifest

    def push(self, entry: Entry, *, replace: bool = False) -> None:
        """Copies an entry to the storage, unless it is there already.

        Args:
            replace: whether the entry that is there no longer holds.

        Raises:
            Unreachable: the storage does not answer, or refuses.
        """
        manifest = entry.manifest
        place = f"store/{manifest.model}/{manifest.stage}/{manifest.fingerprint}"
        if not replace and self._has_entry(place):
            return
        for name in manifest.files:
            self.write(f"{place}/{name}", entry.path / name)
        self.write_signed(f"{place}/{MANIFEST}", json.loads(manifest.model_dump_json()))

    def _has_entry(self, place: str) -> bool:
        try:
            return self.read_signed(f"{place}/{MANIFEST}") is not None
        except (NotSigned, ValueError):
            return False

    def read_signed(self, name: str) -> dict[str, Any] | None:
        """The content of a JSON object; None if there is none.

        Raises:
            NotSigned: it was not signed with the key of this machine.
            ValueError: it is no JSON object.
        """
        text = self.read(name)
        return None if text is None else self._signer.open(name, text)

    def write_signed(self, name: str, content: Mapping[str, Any]) -> None:
        """Makes a JSON object, signed if there is a key."""
        self.write(name, self._signer.sign(name, content))

    def read(self, name: str) -> bytes | None:
        """A small object; None if there is none."""
        with self._answering():
            try:
                with self._files.open_input_stream(self._at(name)) as stream:
                    content: bytes = stream.read()
                    return content
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes | Path) -> None:
        """Makes an object of bytes or of a file, whole or not at all."""
        from pyarrow import fs

        target = self._at(name)
        with self._answering():
            if isinstance(self._files, fs.LocalFileSystem):  # object storage has names only
                Path(target).parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Path):
                fs.copy_files(str(content), target, fs.LocalFileSystem(), self._files)
            else:
                with self._files.open_output_stream(target) as stream:
                    stream.write(content)

    def remove(self, name: str) -> None:
        """Takes an object away."""
        with self._answering():
            self._files.delete_file(self._at(name))

    def _copy_here(self, name: str, path: Path) -> None:
        from pyarrow import fs

        with self._answering():
            fs.copy_files(self._at(name), str(path), self._files, fs.LocalFileSystem())

    def _at(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    @contextmanager
    def _answering(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise Unreachable(
                "the shared store does not respond or refuses access",
                where=self.url,
                received=str(error).splitlines()[0],
                remedies=[
                    "check REGROW_SHARED_STORE and the credentials",
                    "run again later: finished stages are kept",
                ],
            ) from error


def open_shared(settings: Settings) -> SharedStore | None:
    """The shared store of this machine, if it has one.

    Raises:
        UserError: its address or key cannot be used.
    """
    if not settings.shared_store:
        return None
    return SharedStore(settings.shared_store, settings.store_key)


def _leads_out(name: str) -> bool:
    """Whether a name in a manifest could be of a file outside its folder."""
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or "\\" in name
