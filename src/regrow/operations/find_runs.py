"""Runs by the names that people give them: an id, a model's last run, a registered version."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from regrow.base.errors import UserError
from regrow.base.home import Home
from regrow.pipeline.records import RunRecord, list_runs
from regrow.pipeline.stages import Stage, StageRef
from regrow.store.entry import MANIFEST, Entry, Manifest

BACK = re.compile(r"(?P<model>[^~@]+)(~(?P<back>\d+))?")
VERSION = re.compile(r"(?P<registered>[^~@]+)@(?P<version>\d+)")
SHOWN = 5


def find_run(home: Home, name: str) -> RunRecord:
    """The record of a run.

    Args:
        name: the beginning or the end of its id; MODEL for the model's last run, MODEL~1 for the
            one before it; REGISTERED@VERSION for the run that registered a version.

    Raises:
        UserError: there is no such run, or there are several.
    """
    if found := VERSION.fullmatch(name):
        return _find_version(home, name, found["registered"], int(found["version"]))
    found = BACK.fullmatch(name)
    if found and (home.runs / found["model"]).is_dir() and "/" not in name:
        records = list(list_runs(home, found["model"]))
        back = int(found["back"] or 0)
        if back < len(records):
            return records[back]
        raise _unknown(home, name, f"{len(records)} runs of {found['model']}")
    matching = [r for r in _list_all(home) if r.run_id.startswith(name) or r.run_id.endswith(name)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        ids = ", ".join(record.run_id for record in matching[:SHOWN])
        raise UserError(f"{len(matching)} runs match {name!r}", received=name, expected=ids)
    raise _unknown(home, name)


def shorten_id(run_id: str) -> str:
    """The end of a run's id, which is enough to find it."""
    return run_id.rpartition("-")[2]


def read_entry(home: Home, ref: StageRef | None) -> Entry | None:
    """The stored result behind a reference, unchecked; None if it was removed."""
    if ref is None:
        return None
    folder = home.store / ref.model / ref.stage / ref.fingerprint
    try:
        return Entry(folder, Manifest.model_validate_json((folder / MANIFEST).read_bytes()))
    except (OSError, ValueError):
        return None


def read_entries(home: Home, record: RunRecord) -> dict[Stage, Entry]:
    """The stored results of a run that are still there."""
    found = {stage: read_entry(home, ref) for stage, ref in record.stages.items()}
    return {stage: entry for stage, entry in found.items() if entry is not None}


def _find_version(home: Home, name: str, registered: str, version: int) -> RunRecord:
    oldest = None
    for record in list_runs(home, registered.partition(".")[0]):
        entry = read_entry(home, record.stages.get("publish"))
        facts = entry.facts if entry else {}
        if (facts.get("registered_name"), facts.get("version")) == (registered, version):
            oldest = record
    if oldest is None:
        raise _unknown(home, name)
    return oldest


def _list_all(home: Home) -> Iterator[RunRecord]:
    for folder in sorted(path for path in home.runs.glob("*") if path.is_dir()):
        yield from list_runs(home, folder.name)


def _unknown(home: Home, name: str, received: str | None = None) -> UserError:
    newest = sorted(_paths(home), key=lambda path: path.stem, reverse=True)[:SHOWN]
    known = [f"{path.parent.name}: {path.stem}" for path in newest]
    return UserError(
        f"there is no run {name!r}",
        where=str(home.runs),
        received=received or name,
        expected="an id, MODEL, MODEL~1 for the run before the last, or REGISTERED@VERSION"
        + ("; the newest runs:\n" + "\n".join(known) if known else "; there are no runs yet"),
    )


def _paths(home: Home) -> list[Path]:
    return list(home.runs.glob("*/[!.]*.json"))
