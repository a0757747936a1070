"""Stages' functions called by themselves: on folders, without store and pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from regrow.store.context import StageContext
from regrow.store.entry import Entry, FileInfo, Manifest


def make_entry(folder: Path, **facts: Any) -> Entry:
    """A folder and what is in it as a finished stage's entry; digests are left out."""
    paths = [path for path in folder.rglob("*") if path.is_file()]
    files = {
        path.relative_to(folder).as_posix(): FileInfo(sha256="", bytes=path.stat().st_size)
        for path in paths
    }
    manifest = Manifest(
        model="",
        stage="",
        fingerprint="",
        digest="",
        created_at="",
        seconds=0,
        files=files,
        facts=facts,
        components={"code": {}, "config": {}, "inputs": {}, "libraries": {}},
    )
    return Entry(folder, manifest)


def make_download(folder: Path, origin: str | Path) -> Entry:
    """A folder as the entry of the stage `download`: its files came from one source."""
    files = [path.name for path in folder.iterdir()]
    file = files[0] if len(files) == 1 else "."
    return make_entry(folder, sources=[{"origin": str(origin), "file": file}])


def make_context(
    config: Any, out: Path, *, scratch: Path | None = None, **inputs: Entry
) -> StageContext:
    """What a stage's function is given; its folders are made where they are not there.

    Args:
        config: the settings, of which the function may read all.
        out: where the results go.
        scratch: what a killed stage finds again; by default beside `out`.
        **inputs: the entries of earlier stages.
    """
    scratch = scratch or out.with_name(f"{out.name}-scratch")
    for folder in (out, scratch):
        folder.mkdir(parents=True, exist_ok=True)
    return StageContext(config, inputs, out, scratch, lambda *_: None)
