"""What a home amounts to, free of times, paths and random names, so that two can be compared."""

from __future__ import annotations

import json
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import takewhile
from pathlib import Path
from typing import Any

from regrow.base.digests import digest_file
from regrow.base.home import Home
from regrow.base.model_digests import TAG
from regrow.store.entry import MANIFEST, Manifest
from tests.support.commands import list_files

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?([+-]\d\d:\d\d|Z)?")
# Names that MLflow draws for runs and models.
DRAWN = re.compile(r"(?<![0-9a-f])(m-)?[0-9a-f]{32}(?![0-9a-f])")
# Facts of a stage that say how its result was made, and not what it is.
PASSING = ("seconds", "origin")
# MLflow writes these with times, or they repeat what is compared by itself.
OTHER_EACH_TIME = ("model.keras", "MLmodel", "decision.json", "report.html", "card.md")
# What is not there when nobody is at work.
LEFTOVERS = (
    ".building-",
    ".removing-",
    ".importing",
    ".writing-",
    ".making",
    ".tmp",
    ".lock",
    ".part",
    "/scratch",
)
# Other than these, `regrow gc` removes once they are an hour (partial downloads: 30 days) old.
REMOVED_LATER = (".writing-", ".tmp")
# The packages that a bundle lists; this lock stays.
LOCKED_PACKAGES = "/bundle/requirements.lock"
# Characters of a difference.
SHOWN = 240
ALIVE = "lifecycle_stage = 'active'"
QUERIES = {
    "registered models": "SELECT name FROM registered_models",
    "aliases": "SELECT name, alias, version FROM registered_model_aliases",
    "model tags": "SELECT name, key, value FROM registered_model_tags",
    "versions": "SELECT name, version, current_stage, status FROM model_versions",
    "version tags": "SELECT name, version, key, value FROM model_version_tags WHERE "
    f"key NOT IN ('{TAG}', 'regrow.git_commit')",
    "runs": f"SELECT name, status FROM runs WHERE {ALIVE}",
    "models": f"SELECT name, status FROM logged_models WHERE {ALIVE}",
    "figures": "SELECT m.key, m.value FROM latest_metrics AS m JOIN runs AS r "
    f"ON r.run_uuid = m.run_uuid WHERE r.{ALIVE}",
    "settings": "SELECT p.key, p.value FROM params AS p JOIN runs AS r "
    f"ON r.run_uuid = p.run_uuid WHERE r.{ALIVE}",
}

Outcome = dict[str, Any]


def read_outcome(home: Home) -> Outcome:
    """Everything that must be the same after a kill and a second attempt."""
    return {
        **{f"stored {name}": entry for name, entry in _read_store(home)},
        **{f"log {name}": lines for name, lines in _read_lines(home, home.decisions)},
        **{f"source {name}": lines for name, lines in _read_lines(home, home.sources)},
        **{f"registry {name}": rows for name, rows in _read_registry(home)},
        "artifacts": _list_artifacts(home),
        "downloads": _list_names(home.downloads),
        "reports": _list_names(home.reports),
        "bundle": sorted(path.name for path in list_files(home.bundle)),
        "layout": home.layout.read_text() if home.layout.exists() else None,
        "last runs": [_read_last_state(folder) for folder in sorted(home.runs.glob("*"))],
        "left over": sorted(name for name in list_leftovers(home) if not _is_removed_later(name)),
    }


def compare(found: Mapping[str, Any], expected: Mapping[str, Any]) -> list[str]:
    """What differs, a line each."""
    return [
        f"{name}:\n    found    {_cut(found.get(name), expected.get(name))}"
        f"\n    expected {_cut(expected.get(name), found.get(name))}"
        for name in sorted({*found, *expected})
        if found.get(name) != expected.get(name)
    ]


def list_leftovers(home: Home) -> list[str]:
    """Locks and temporary files, by their paths below the home."""
    paths = [path for path in home.path.rglob("*") if home.path.exists()]
    names = [f"/{path.relative_to(home.path).as_posix()}" for path in paths]
    return [name for name in names if name != LOCKED_PACKAGES and _is_leftover(name)]


def _is_leftover(name: str) -> bool:
    return any(mark in name for mark in LEFTOVERS)


def _is_removed_later(name: str) -> bool:
    return any(mark in name for mark in REMOVED_LATER)


def _read_store(home: Home) -> Iterator[tuple[str, Any]]:
    for path in sorted(home.store.glob(f"*/*/[!.]*/{MANIFEST}")):
        manifest = Manifest.model_validate_json(path.read_bytes())
        assert manifest.manifest_digest == manifest.compute_digest(), path
        files: dict[str, str] = {}
        for name, info in manifest.files.items():
            assert digest_file(path.parent / name) == info.sha256, path.parent / name
            # Pages and the decision have times in them.
            files[name] = "" if manifest.stage == "publish" else info.sha256
        facts = _without_passing(manifest.facts)
        place = path.parent.relative_to(home.store).as_posix()
        yield place, {"files": files, "facts": json.loads(_scrub(json.dumps(facts), home))}


def _without_passing(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_passing(v) for k, v in value.items() if k not in PASSING}
    return [_without_passing(item) for item in value] if isinstance(value, list) else value


def _read_lines(home: Home, folder: Path) -> Iterator[tuple[str, list[str]]]:
    for path in sorted(folder.rglob("[!.]*")):
        if path.is_file() and not path.name.endswith(".lock"):
            text = _scrub(path.read_text(encoding="utf-8"), home)
            yield path.relative_to(folder).as_posix(), text.splitlines()


def _read_registry(home: Home) -> Iterator[tuple[str, list[str]]]:
    if not home.database.exists():
        return
    with closing(sqlite3.connect(home.database)) as connection:
        for name, query in QUERIES.items():
            yield name, sorted(_scrub(str(row), home) for row in connection.execute(query))


def _list_artifacts(home: Home) -> Mapping[str, int]:
    """How often each file of a version is there, by its path without drawn names and its digest."""
    return Counter(
        f"{DRAWN.sub('ID', path.relative_to(home.artifacts).as_posix())} {_identify(path)}"
        for path in list_files(home.artifacts)
    )


def _identify(path: Path) -> str:
    is_data = path.suffix in (".json", ".npz", ".parquet", ".png")
    return digest_file(path)[:12] if is_data and path.name not in OTHER_EACH_TIME else ""


def _list_names(folder: Path) -> list[str]:
    names = [path.relative_to(folder).as_posix() for path in list_files(folder)]
    return sorted(name for name in names if not _is_leftover(f"/{name}"))


def _read_last_state(folder: Path) -> str:
    records = sorted(folder.glob("[!.]*.json"))
    return str(json.loads(records[-1].read_text())["state"]) if records else "none"


def _scrub(text: str, home: Home) -> str:
    return DRAWN.sub("ID", TIME.sub("TIME", text.replace(str(home), "HOME")))


def _cut(value: Any, other: Any) -> str:
    """The text of a value around its first difference from another one."""
    text, beside = str(value), str(other)
    pairs = zip(text, beside, strict=False)
    same = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
    start = max(same - SHOWN // 3, 0)
    return f"{'...' if start else ''}{text[start : start + SHOWN]}"
