"""Cleaning up: what nothing in use needs is found, then removed whole, beside running pipelines.

Kept are the results behind each registered model's champion, challenger and newest versions, those
of each model's last run, the newest result of each stage, all that these were made from, and the
newest recorded versions of each source. The registry itself is not touched, so every version can
still be rolled back to.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from regrow.engine.config import Settings
from regrow.engine.errors import LockTimeout, UserError
from regrow.engine.locks import exclusive
from regrow.engine.places import known_digests
from regrow.engine.runs import is_busy, last_run, list_runs
from regrow.engine.source_list import load_sources
from regrow.engine.store import REMOVED, TEMPORARY, Manifest, Store, remove_empty_parents
from regrow.engine.versions import at_version, current_sources, read_versions

DEFAULT_KEEP = 3
# A training that was cut short can be gone on with for so long.
RESUMABLE = timedelta(days=30)
FINGERPRINT_TAG = "regrow.fingerprint."

Kind = Literal["result", "scratch", "download", "report", "failure"]


@dataclass(frozen=True)
class Garbage:
    """Something that nothing in use needs.

    Attributes:
        model: whose it is; "" for downloads, which models share.
        why: why it is not needed.
    """

    kind: Kind
    path: Path
    bytes: int
    model: str
    why: str


@dataclass
class Survey:
    """What there is: what can go, what stays, and the models whose runs are under way."""

    garbage: list[Garbage] = field(default_factory=list)
    kept: int = 0
    kept_bytes: int = 0
    busy: list[str] = field(default_factory=list)


def collect_garbage(settings: Settings, *, keep: int, dry_run: bool) -> dict[str, Any]:
    """Finds what nothing in use needs and, unless it is a dry run, removes it.

    Args:
        keep: how many of the newest versions of each registered model and source are in use.
        dry_run: whether to look only.

    Returns:
        JSON: "removed" (or what would be; kind, path below the home, bytes, why), "removed_bytes",
        "kept", "kept_bytes", "busy" (models that were left alone as a run of theirs is under way).

    Raises:
        UserError: another clean-up is at work, or the registry cannot be asked.
    """
    try:
        with exclusive(settings.home / "locks" / "gc.lock", timeout_s=0):
            found = survey(settings, keep=keep)
            removed = found.garbage
            if not dry_run:
                _remove_leftovers(settings.home)
                removed = [item for item in found.garbage if _remove(settings, item)]
    except LockTimeout as error:
        raise UserError(
            "another clean-up is at work",
            where=str(settings.home),
            remedies=["run regrow gc again when it has ended"],
        ) from error
    return {
        "dry_run": dry_run,
        "removed": [
            {
                "kind": item.kind,
                "path": item.path.relative_to(settings.home).as_posix(),
                "bytes": item.bytes,
                "why": item.why,
            }
            for item in removed
        ],
        "removed_bytes": sum(item.bytes for item in removed),
        "kept": found.kept,
        "kept_bytes": found.kept_bytes,
        "busy": found.busy,
    }


def survey(settings: Settings, *, keep: int) -> Survey:
    """Looks at everything below the home; changes nothing."""
    home = settings.home
    found = Survey(busy=[model for model in _models(home) if is_busy(home, model)])
    folders = list(Store(home).folders())
    manifests = {path: manifest for path, manifest in folders if manifest is not None}
    in_use, reports = _ask_registry(settings, keep)
    kept = _close(_roots(home, manifests, in_use, reports), manifests)
    for path, manifest in folders:
        model = path.parts[-3]
        if model in found.busy or path in kept:
            found.kept += 1
            found.kept_bytes += _size(path)
        else:
            why = "no version in use and no last run needs it" if manifest else "it is damaged"
            found.garbage.append(Garbage("result", path, _size(path), model, why))
    kept_manifests = [manifests[path] for path in kept]
    found.garbage += _find_scratch(home, manifests)
    found.garbage += _find_downloads(settings, kept_manifests, keep)
    found.garbage += _find_reports(home, kept_manifests, reports)
    found.garbage += _find_failures(home)
    found.garbage = [item for item in found.garbage if item.model not in found.busy]
    return found


def _ask_registry(settings: Settings, keep: int) -> tuple[set[str], set[tuple[str, int]]]:
    """Fingerprints of the results behind the versions in use, and these versions."""
    from regrow.engine.registry import Registry

    uri = settings.tracking_uri
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
        return set(), set()

    def open_one(name: str) -> Registry:
        return Registry(uri, name, home=settings.home, decisions=settings.home / "decisions")

    fingerprints: set[str] = set()
    versions: set[tuple[str, int]] = set()
    try:
        for name in open_one("").names():
            for version in open_one(name).in_use(keep):
                versions.add((name, int(version.version)))
                tags = version.tags.items()
                fingerprints |= {v for key, v in tags if key.startswith(FINGERPRINT_TAG)}
    except ConnectionError as error:
        raise UserError(
            "the registry cannot be asked what is in use, so nothing was removed",
            received=str(error).splitlines()[0],
            remedies=["start the MLflow server, or set MLFLOW_TRACKING_URI to where it is"],
        ) from error
    return fingerprints, versions


def _roots(
    home: Path,
    manifests: dict[Path, Manifest],
    in_use: set[str],
    versions: set[tuple[str, int]],
) -> set[Path]:
    """The entries that are needed for their own sake."""
    wanted = set(in_use)
    for model in _models(home):
        records = list(list_runs(home, model))
        resumable = [r for r in records if r.state != "completed" and _is_recent(r.started_at)]
        has_scratch = any((home / "scratch" / model).glob("*/*"))
        for record in [*records[:1], *(resumable if has_scratch else [])]:
            wanted |= {ref.fingerprint for ref in record.stages.values()}
    newest: dict[tuple[str, str], Path] = {}
    for path, manifest in manifests.items():
        place = (manifest.model, manifest.stage)
        if place not in newest or manifest.created_at > manifests[newest[place]].created_at:
            newest[place] = path
        published = (manifest.facts.get("registered_name"), manifest.facts.get("version"))
        if manifest.stage == "publish" and published in versions:
            wanted.add(manifest.fingerprint)
    return {p for p, m in manifests.items() if m.fingerprint in wanted} | set(newest.values())


def _close(roots: set[Path], manifests: dict[Path, Manifest]) -> set[Path]:
    """The roots and everything that they were made from, by the digests of their inputs."""
    by_digest: dict[tuple[str, str, str], Path] = {}
    for path, manifest in sorted(manifests.items(), key=lambda item: item[1].created_at):
        by_digest[manifest.model, manifest.stage, manifest.digest] = path
    kept, open_ends = set(roots), list(roots)
    while open_ends:
        manifest = manifests[open_ends.pop()]
        for stage, digest in manifest.components["inputs"].items():
            source = by_digest.get((manifest.model, stage, digest))
            if source is not None and source not in kept:
                kept.add(source)
                open_ends.append(source)
    return kept


def _find_scratch(home: Path, manifests: dict[Path, Manifest]) -> Iterator[Garbage]:
    finished = {manifest.fingerprint for manifest in manifests.values()}
    for path in sorted(home.glob("scratch/*/*/*")):
        if path.name.startswith(REMOVED):
            continue
        last = max(found.stat().st_mtime for found in (path, *path.rglob("*")))
        if path.name in finished:
            why = "its stage is finished"
        elif not _is_recent(datetime.fromtimestamp(last, UTC).isoformat()):
            why = f"nothing was done here for {RESUMABLE.days} days"
        else:
            continue
        yield Garbage("scratch", path, _size(path), path.parts[-3], why)


def _find_downloads(settings: Settings, kept: list[Manifest], keep: int) -> Iterator[Garbage]:
    downloads = settings.home / "downloads"
    declared = load_sources(settings.data_dir / "sources.toml")
    sources = [*declared.values(), *current_sources(settings.data_dir, settings.home).values()]
    for source in declared.values():  # upstream has the newest only
        recorded = read_versions(settings.home, source.name) if source.refresh else []
        newest = recorded[max(0, len(recorded) - keep) :]
        sources += [at_version(source, version) for version in newest]
    needed = {digest for source in sources for digest in known_digests(source)}
    for manifest in kept:
        for source in manifest.facts.get("sources", ()) if manifest.stage == "download" else ():
            needed |= {source["sha256"], source.get("archive", source)["sha256"]}
    for path in sorted(downloads.glob("??/*")):
        if path.name not in needed:
            why = "neither a version of a source that is kept nor a result comes from it"
            yield Garbage("download", path, path.stat().st_size, "", why)
    for path in sorted(downloads.glob(".tmp-*")):
        last = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat()
        if not _is_recent(last):
            yield Garbage("download", path, path.stat().st_size, "", "it was never finished")


def _find_reports(
    home: Path, kept: list[Manifest], versions: set[tuple[str, int]]
) -> Iterator[Garbage]:
    named = [m.facts for m in kept if m.stage == "publish"]
    needed = {f"{name}-v{number}.html" for name, number in versions}
    needed |= {f"{f.get('registered_name')}-v{f.get('version')}.html" for f in named}
    for path in sorted(home.glob("reports/*-v*.html")):
        if path.name not in needed:
            model = path.name.rpartition("-v")[0].partition(".")[0]
            why = "its version is not in use; the registry has a copy"
            yield Garbage("report", path, path.stat().st_size, model, why)
    for path in sorted(home.glob("drift/*/*")):
        written = datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat()
        if not _is_recent(written):
            why = f"a comparison of more than {RESUMABLE.days} days ago"
            yield Garbage("report", path, path.stat().st_size, "", why)


def _find_failures(home: Path) -> Iterator[Garbage]:
    for path in sorted(home.glob("failures/*")):
        model, record = path.name, last_run(home, path.name)
        if not model.startswith(".") and (record is None or record.state == "completed"):
            yield Garbage("failure", path, _size(path), model, "the last run did not fail")


def _remove(settings: Settings, item: Garbage) -> bool:
    """Removes one thing whole, unless a run began since it was found; whether it did."""
    home = settings.home

    def is_needed() -> bool:
        # A run writes its record before it looks for its first result, and looks under the lock
        # that is held here: either it is seen, or it finds nothing and builds again.
        concerned = [item.model] if item.model else _models(home)
        return any(is_busy(home, model) for model in concerned)

    try:
        if item.kind in ("result", "scratch"):
            return Store(home).discard(item.path, is_needed)
        if is_needed():
            return False
        if item.path.is_dir():
            removed = item.path.with_name(f"{REMOVED}{item.path.name}")
            item.path.rename(removed)
            shutil.rmtree(removed, ignore_errors=True)
        else:
            item.path.unlink()
            remove_empty_parents(item.path, home)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise UserError(
            "something that is not needed could not be removed",
            where=str(item.path),
            received=error.strerror or str(error),
            remedies=["allow writing there and run regrow gc again: it goes on"],
        ) from error
    return True


def _remove_leftovers(home: Path) -> None:
    """What killed clean-ups had renamed away, and what killed runs had half built."""
    for place in ("store/*/*", "scratch/*/*", "failures"):
        for path in home.glob(f"{place}/{REMOVED}*"):
            shutil.rmtree(path, ignore_errors=True)
    for path in home.glob(".importing-*"):
        if not _is_recent(datetime.fromtimestamp(path.stat().st_mtime, UTC).isoformat()):
            shutil.rmtree(path, ignore_errors=True)
    for model in {path.parts[-3] for path in home.glob(f"store/*/*/{TEMPORARY}*")}:
        Store(home).sweep(model)


def _models(home: Path) -> list[str]:
    """Every model that has left something here, also those whose code is gone."""
    folders = [*home.glob("store/*"), *home.glob("runs/*"), *home.glob("scratch/*")]
    return sorted({path.name for path in folders if path.is_dir()})


def _is_recent(at: str) -> bool:
    return datetime.now(UTC) - datetime.fromisoformat(at) < RESUMABLE


def _size(path: Path) -> int:
    return sum(found.stat().st_size for found in path.rglob("*") if found.is_file())
