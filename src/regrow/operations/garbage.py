"""Finds what nothing in use needs below the home.

In use are the results behind each registered model's champion, challenger and newest versions,
those of each model's last run, the newest result of each stage, all that these were made from, and
the newest recorded versions of each source.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from regrow.base.errors import Unreachable, UserError
from regrow.base.files import find_paths, list_stats
from regrow.base.home import Home
from regrow.base.settings import Settings
from regrow.pipeline.disk import measure_folder
from regrow.pipeline.records import RunRecord, is_busy, last_run, list_runs
from regrow.registry.mlflow import is_absent, list_registered_names
from regrow.registry.versions import Registry
from regrow.sources.catalog import declared_sources
from regrow.sources.locations import known_digests
from regrow.sources.source import Source
from regrow.sources.versions import at_version, current_sources, read_versions
from regrow.store.entry import Manifest
from regrow.store.store import REMOVED, Store

# How long an interrupted training can be resumed.
RESUMABLE = timedelta(days=30)
FINGERPRINT_TAG = "regrow.fingerprint."

GarbageKind = Literal["result", "scratch", "download", "report", "failure"]


@dataclass(frozen=True)
class Garbage:
    """A file or folder that nothing in use needs.

    Attributes:
        model: the model that it belongs to; "" for downloads, which models share.
        why: why it is not needed.
    """

    kind: GarbageKind
    path: Path
    bytes: int
    model: str
    why: str


@dataclass
class Survey:
    """What can be removed, what stays, and the models with a run under way."""

    garbage: list[Garbage] = field(default_factory=list)
    kept: int = 0
    kept_bytes: int = 0
    busy: list[str] = field(default_factory=list)


def survey(settings: Settings, *, keep: int) -> Survey:
    """Surveys everything below the home; changes nothing.

    Args:
        keep: how many of the newest versions of each registered model and source are in use.

    Raises:
        UserError: the registry does not answer.
    """
    home = settings.home
    found = Survey(busy=[model for model in list_present_models(home) if is_busy(home, model)])
    folders = list(Store(home).folders())
    manifests = {path: manifest for path, manifest in folders if manifest is not None}
    in_use, reports = _ask_registry(settings, keep)
    kept = _add_inputs(_roots(home, manifests, in_use, reports), manifests)
    for path, manifest in folders:
        model = path.parts[-3]
        if model in found.busy or path in kept:
            found.kept += 1
            found.kept_bytes += measure_folder(path)
        else:
            why = "no version in use and no last run needs it" if manifest else "it is damaged"
            found.garbage.append(Garbage("result", path, measure_folder(path), model, why))
    kept_manifests = [manifests[path] for path in kept]
    found.garbage += _find_scratch(home, manifests)
    found.garbage += _find_downloads(settings, kept_manifests, keep)
    found.garbage += _find_reports(home, kept_manifests, reports)
    found.garbage += _find_failures(home)
    found.garbage = [item for item in found.garbage if item.model not in found.busy]
    return found


def _ask_registry(settings: Settings, keep: int) -> tuple[set[str], set[tuple[str, int]]]:
    """Fingerprints of the results behind the versions in use, and these versions."""
    if is_absent(settings.tracking_uri):
        return set(), set()
    fingerprints: set[str] = set()
    versions: set[tuple[str, int]] = set()
    try:
        for name in list_registered_names(settings.tracking_uri, settings.home):
            for version in Registry(settings.tracking_uri, name, settings.home).in_use(keep):
                versions.add((name, int(version.version)))
                tags = version.tags.items()
                fingerprints |= {v for key, v in tags if key.startswith(FINGERPRINT_TAG)}
    except Unreachable as error:
        raise UserError(
            "the registry is not available, so nothing was removed",
            where=error.where,
            received=error.received,
            remedies=["start the MLflow server, or set MLFLOW_TRACKING_URI to its address"],
        ) from error
    return fingerprints, versions


def _roots(
    home: Home, manifests: dict[Path, Manifest], in_use: set[str], versions: set[tuple[str, int]]
) -> set[Path]:
    """The entries that are in use themselves."""
    wanted = set(in_use)
    for model in list_present_models(home):
        records = list(list_runs(home, model))
        resumable = filter(_is_resumable, records)
        has_scratch = bool(find_paths(home.scratch / model, "*/*"))
        newest_run = [record for record in records if not record.request.trial][:1]
        for record in [*newest_run, *(resumable if has_scratch else [])]:
            wanted |= {ref.fingerprint for ref in record.stages.values()}
    newest: dict[tuple[str, str], Path] = {}
    for path, manifest in manifests.items():
        key = (manifest.model, manifest.stage)
        if key not in newest or manifest.created_at > manifests[newest[key]].created_at:
            newest[key] = path
        published = (manifest.facts.get("registered_name"), manifest.facts.get("version"))
        if manifest.stage == "publish" and published in versions:
            wanted.add(manifest.fingerprint)
    return {p for p, m in manifests.items() if m.fingerprint in wanted} | set(newest.values())


def _is_resumable(run: RunRecord) -> bool:
    started_at = datetime.fromisoformat(run.started_at)
    return run.state != "completed" and is_recent(started_at.timestamp())


def _add_inputs(roots: set[Path], manifests: dict[Path, Manifest]) -> set[Path]:
    """The roots and the entries that they were made from, by the digests of their inputs."""
    by_digest: dict[tuple[str, str, str], Path] = {}
    for path, manifest in sorted(manifests.items(), key=lambda item: item[1].created_at):
        by_digest[manifest.model, manifest.stage, manifest.digest] = path
    kept, pending = set(roots), list(roots)
    while pending:
        manifest = manifests[pending.pop()]
        for stage, digest in manifest.components["inputs"].items():
            source = by_digest.get((manifest.model, stage, digest))
            if source is not None and source not in kept:
                kept.add(source)
                pending.append(source)
    return kept


def _find_scratch(home: Home, manifests: dict[Path, Manifest]) -> Iterator[Garbage]:
    finished = {manifest.fingerprint for manifest in manifests.values()}
    for path in find_paths(home.scratch, "*/*/*"):
        if path.name.startswith(REMOVED):
            continue
        if path.name in finished:
            why = "its stage is finished"
        elif not is_recent(_modified_s(path)):
            why = f"no activity for {RESUMABLE.days} days"
        else:
            continue
        yield Garbage("scratch", path, measure_folder(path), path.parts[-3], why)


def is_needed_download(path: Path, settings: Settings, keep: int) -> bool:
    """Whether a downloaded file belongs to a version of a source that is kept."""
    return path.name in _list_needed_digests(declared_sources(settings), settings, keep)


def _list_needed_digests(declared: Mapping[str, Source], settings: Settings, keep: int) -> set[str]:
    sources = [*declared.values(), *current_sources(declared, settings.home).values()]
    for source in declared.values():  # upstream has only the newest
        recorded = read_versions(settings.home, source.name) if source.refresh else []
        newest = recorded[max(0, len(recorded) - keep) :]
        sources += [at_version(source, version) for version in newest]
    return {digest for source in sources for digest in known_digests(source)}


def _find_downloads(settings: Settings, kept: list[Manifest], keep: int) -> Iterator[Garbage]:
    downloads = settings.home.downloads
    declared = declared_sources(settings)
    if declared.errors:  # which files these sources need is not known
        return
    needed = _list_needed_digests(declared, settings, keep)
    for manifest in kept:
        for source in manifest.facts.get("sources", ()) if manifest.stage == "download" else ():
            needed |= {source["sha256"], source.get("archive", source)["sha256"]}
    for path in find_paths(downloads, "??/*"):
        if path.name not in needed:
            why = "no kept source version and no result uses it"
            yield Garbage("download", path, measure_folder(path), "", why)
    for path in find_paths(downloads, ".tmp-*"):
        if not is_recent(_modified_s(path)):
            yield Garbage("download", path, measure_folder(path), "", "it is incomplete")


def _find_reports(
    home: Home, kept: list[Manifest], versions: set[tuple[str, int]]
) -> Iterator[Garbage]:
    named = [m.facts for m in kept if m.stage == "publish"]
    needed = {f"{name}-v{number}.html" for name, number in versions}
    needed |= {f"{f.get('registered_name')}-v{f.get('version')}.html" for f in named}
    for path in find_paths(home.reports, "[!.]*-v*.html"):
        if path.name not in needed:
            model = path.name.rpartition("-v")[0].partition(".")[0]
            why = "its version is not in use; the registry has a copy"
            yield Garbage("report", path, measure_folder(path), model, why)
    for path in find_paths(home.drift, "*/*"):
        if not is_recent(_modified_s(path)):
            why = f"a comparison of more than {RESUMABLE.days} days ago"
            yield Garbage("report", path, measure_folder(path), "", why)


def _find_failures(home: Home) -> Iterator[Garbage]:
    for path in find_paths(home.failures, "*"):
        model, record = path.name, last_run(home, path.name)
        if not model.startswith(".") and (record is None or record.state == "completed"):
            yield Garbage("failure", path, measure_folder(path), model, "the last run did not fail")


def list_present_models(home: Home) -> list[str]:
    """Every model that has something below the home, also those whose code is gone."""
    folders = [
        *find_paths(home.store, "*"),
        *find_paths(home.runs, "*"),
        *find_paths(home.scratch, "*"),
    ]
    return sorted({path.name for path in folders if path.is_dir()})


def is_recent(timestamp_s: float) -> bool:
    """Whether work of that time (seconds since the epoch) can still be resumed."""
    return time.time() - timestamp_s < RESUMABLE.total_seconds()


def _modified_s(path: Path) -> float:
    """When a file or anything in a folder was changed last; now, if it has just been removed."""
    stats = list_stats(path)
    with suppress(FileNotFoundError):
        stats.append(path.stat())
    return max((found.st_mtime for found in stats), default=time.time())
