"""Writes a bundle: champions, the sources of their data, and the list of packages."""

from __future__ import annotations

import importlib.metadata
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regrow.base.digests import digest_file
from regrow.base.errors import SourceError, UserError, explain_refusal
from regrow.base.files import atomic_write
from regrow.base.progress import report
from regrow.base.settings import Settings
from regrow.base.spec import ModelSpec
from regrow.operations.bundle_contents import (
    BUNDLE,
    COMPARED_LIBRARIES,
    LOCK,
    PACKAGES,
    BundledChampion,
    Contents,
)
from regrow.registry.champions import open_registry
from regrow.registry.gate import now
from regrow.registry.names import list_champions
from regrow.registry.publication import decision_on
from regrow.sources.catalog import declared_sources
from regrow.sources.first_sight import obtain_source
from regrow.sources.retries import make_retries
from regrow.sources.versions import Version, current_source, read_versions
from regrow.store.entry import FileInfo
from regrow.store.fingerprint import library_version


@dataclass(frozen=True)
class Planned:
    """What is to be written.

    Attributes:
        describe: makes the list of contents from the digests and sizes of the files.
        files: where each file is now, by its path in the bundle.
        absent: optional sources that no location provided.
    """

    describe: Callable[[dict[str, FileInfo]], Contents]
    files: Mapping[str, Path]
    absent: Sequence[str]


def export_bundle(
    specs: Sequence[ModelSpec], settings: Settings, path: Path, *, sources: bool
) -> dict[str, Any]:
    """Writes a bundle of models, whole or not at all.

    Args:
        specs: the models. Of one without a champion only the sources are written.
        path: the archive.
        sources: whether the source files are included.

    Returns:
        JSON: "path", "bytes", "sha256", "champions", "sources" (names), "absent" (optional sources
        that no location provided), "lock" (whether there was one).

    Raises:
        UserError: the file exists, or there is nothing to bundle.
        SourceError: no location provided a source.
    """
    BUNDLE.check_path(path)
    with (
        explain_refusal("the bundle cannot be written", path),
        atomic_write(path) as temporary,
        tempfile.TemporaryDirectory() as folder,
    ):
        planned = _plan(specs, settings, Path(folder), sources=sources)
        contents = BUNDLE.write(temporary, planned.files, planned.describe)
    return {
        "path": str(path),
        "bytes": path.stat().st_size,
        "sha256": digest_file(path),
        "champions": [f"{one.registered} version {one.version}" for one in contents.champions],
        "sources": list(contents.downloads.values()),
        "absent": list(planned.absent),
        "lock": LOCK in contents.files,
    }


def _plan(
    specs: Sequence[ModelSpec], settings: Settings, folder: Path, *, sources: bool
) -> Planned:
    files: dict[str, Path] = {}
    champions: list[BundledChampion] = []
    downloads: dict[str, str] = {}
    versions: dict[str, Version] = {}
    absent: list[str] = []
    for spec in specs:
        found = list(_find_champions(spec, settings, files))
        champions += found
        # A model that was trained on the sample needs no source: the sample is part of the code.
        if sources and (not found or any(not one.sample for one in found)):
            _find_sources(spec, settings, files, downloads, versions, absent)
    if not champions and not downloads:
        raise UserError(
            "there is nothing to export: no champion exists, and no source was requested",
            where=str(settings.home),
            remedies=["train a model: regrow run air-quality", "choose models with --model"],
        )
    lock = settings.project / LOCK
    if lock.is_file():
        files[LOCK] = lock
    packages = sorted({f"{d.name}=={d.version}" for d in importlib.metadata.distributions()})
    files[PACKAGES] = folder / PACKAGES
    files[PACKAGES].write_text("\n".join(packages) + "\n", encoding="utf-8")

    def describe(written: dict[str, FileInfo]) -> Contents:
        return Contents(
            created_at=now(),
            libraries={name: library_version(name) for name in COMPARED_LIBRARIES},
            downloads=downloads,
            versions=tuple(versions.values()),
            champions=champions,
            files=written,
        )

    return Planned(describe, files, absent)


def _find_sources(
    spec: ModelSpec,
    settings: Settings,
    files: dict[str, Path],
    downloads: dict[str, str],
    versions: dict[str, Version],
    absent: list[str],
) -> None:
    declared = declared_sources(settings)
    for name in spec.sources:
        current = current_source(settings.home, declared[name])
        try:
            got = obtain_source(current, settings, report, make_retries(settings))
        except SourceError:
            if declared[name].optional is None:
                raise
            absent.append(name)
            continue
        if current.version != declared[name].version:
            versions[name] = read_versions(settings.home, name)[-1]
        downloads[got.expected.sha256] = name
        files[f"downloads/{got.expected.sha256}"] = got.path


def _find_champions(
    spec: ModelSpec, settings: Settings, files: dict[str, Path]
) -> Iterator[BundledChampion]:
    for ref in list_champions(settings, spec.name):
        registry = open_registry(ref, settings)
        champion = registry.champion()
        if champion is None:
            continue
        release, decision = registry.release_of(champion), decision_on(champion)
        root = f"champions/{registry.name}"
        files[f"{root}/model.keras"] = release.model
        files[f"{root}/example.npz"] = release.example
        artifacts = {}
        for file, inner in release.files:
            name = f"{inner}/{file.name}" if inner else file.name
            artifacts[name] = f"{root}/files/{name}"
            files[artifacts[name]] = file
        yield BundledChampion(
            model=spec.name,
            scope=ref.scope,
            sample=ref.sample,
            version=int(champion.version),
            key=release.key,
            run_name=release.run_name,
            params=dict(release.params),
            metrics=dict(release.metrics),
            curves={name: list(values) for name, values in release.curves.items()},
            tags=dict(release.tags),
            pip_requirements=list(release.pip_requirements),
            model_file=f"{root}/model.keras",
            example_file=f"{root}/example.npz",
            files=artifacts,
            metric=decision.metric if decision else "",
            value=decision.challenger if decision else None,
        )
