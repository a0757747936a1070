"""Bundles: one archive with what a machine without a network needs to predict and to train.

A bundle is a zip whose `bundle.json` lists every other file with its SHA-256; `bundle.sha256` holds
that of the list. Nothing in it is read before its digest was compared, and nothing is stored before
all of it was.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints

from regrow.engine.config import Settings, list_scopes, registered_name
from regrow.engine.download import DEFAULT_RETRIES
from regrow.engine.errors import SourceError, UserError
from regrow.engine.fingerprint import digest_file, library_version
from regrow.engine.gate import now
from regrow.engine.places import obtain
from regrow.engine.progress import report
from regrow.engine.publish import open_registry
from regrow.engine.source_list import RelativePath, Sha256, load_sources
from regrow.engine.spec import ModelSpec
from regrow.engine.store import FileInfo

CONTENTS, CONTENTS_DIGEST = "bundle.json", "bundle.sha256"
LOCK, PACKAGES = "requirements.lock", "packages.txt"
# With other versions of these a model may answer otherwise; that is found before it is stored.
LIBRARIES = ("keras", "numpy", "tensorflow")
Name = Annotated[str, StringConstraints(pattern=r"^[\w.-]*$", max_length=100)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Champion(_Strict):
    """A registered model's champion, with all that a registry of another machine needs of it.

    Attributes:
        files: its files' paths in the bundle, by their paths among the run's artifacts.
        model_file: the .keras file's path in the bundle.
        example_file: the path of its example's inputs and outputs.
        metric: what the gate went by, with its value there.
    """

    model: Name
    scope: Name
    sample: bool
    version: int
    key: Name
    run_name: str
    params: dict[str, str]
    metrics: dict[str, float]
    curves: dict[str, list[float]]
    tags: dict[str, str]
    pip_requirements: list[str]
    model_file: RelativePath
    example_file: RelativePath
    files: dict[RelativePath, RelativePath]
    metric: str
    value: float | None

    @property
    def registered(self) -> str:
        """Its name in the registry."""
        return registered_name(self.model, self.scope, sample=self.sample)


class Contents(_Strict):
    """What a bundle holds: `bundle.json`."""

    format: Literal[1] = 1
    created_at: str
    libraries: dict[str, str]
    downloads: dict[Sha256, str]
    champions: list[Champion]
    files: dict[RelativePath, FileInfo]


@dataclass(frozen=True)
class Planned:
    """What is to be written: the contents, and where each file is now."""

    contents: Contents
    places: Mapping[str, Path]
    absent: Sequence[str]


def export_bundle(
    specs: Sequence[ModelSpec], settings: Settings, path: Path, *, sources: bool
) -> dict[str, Any]:
    """Writes a bundle of models, whole or not at all.

    Args:
        specs: the models. One without a champion gives its sources, to be trained elsewhere.
        path: the archive.
        sources: whether the source files go along.

    Returns:
        JSON: "path", "bytes", "sha256", "champions", "sources" (names), "absent" (optional sources
        that no place gave), "lock" (whether there was one).

    Raises:
        UserError: the file is there already, or there is nothing to bundle.
        SourceError: no place gave a source.
    """
    if path.exists():
        raise UserError(
            "there is something at the bundle's place already",
            where=str(path),
            remedies=["name another file, or remove this one"],
        )
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".bundle-", dir=path.parent) as folder:
            planned = _plan(specs, settings, Path(folder), sources=sources)
            _write(planned, temporary)
        temporary.replace(path)
    except OSError as error:
        raise UserError(
            "the bundle cannot be written",
            where=str(error.filename or path),
            received=error.strerror or str(error),
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    contents = planned.contents
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
    places: dict[str, Path] = {}
    champions: list[Champion] = []
    downloads: dict[str, str] = {}
    absent: list[str] = []
    for spec in specs:
        found = list(_find_champions(spec, settings, places))
        champions += found
        # What the sample trained needs no source: the sample comes with the code.
        if sources and (not found or any(not one.sample for one in found)):
            _find_sources(spec, settings, places, downloads, absent)
    if not champions and not downloads:
        raise UserError(
            "there is nothing to bundle: no champion, and no source was asked for",
            where=str(settings.home),
            remedies=["train a model: regrow run air-quality", "name models by --model"],
        )
    lock = settings.project / LOCK
    if lock.is_file():
        places[LOCK] = lock
    packages = sorted({f"{d.name}=={d.version}" for d in importlib.metadata.distributions()})
    places[PACKAGES] = folder / PACKAGES
    places[PACKAGES].write_text("\n".join(packages) + "\n", encoding="utf-8")
    contents = Contents(
        created_at=now(),
        libraries={name: library_version(name) for name in LIBRARIES},
        downloads=downloads,
        champions=champions,
        files={
            name: FileInfo(sha256=digest_file(place), bytes=place.stat().st_size)
            for name, place in places.items()
        },
    )
    return Planned(contents, places, absent)


def _find_sources(
    spec: ModelSpec,
    settings: Settings,
    places: dict[str, Path],
    downloads: dict[str, str],
    absent: list[str],
) -> None:
    declared = load_sources(settings.data_dir / "sources.toml")
    for name in spec.sources:
        try:
            got = obtain(
                declared[name],
                settings.home / "downloads",
                settings.mirror,
                report,
                DEFAULT_RETRIES,
            )
        except SourceError:
            if declared[name].optional is None:
                raise
            absent.append(name)
            continue
        downloads[got.expected.sha256] = name
        places[f"downloads/{got.expected.sha256}"] = got.path


def _find_champions(
    spec: ModelSpec, settings: Settings, places: dict[str, Path]
) -> Iterator[Champion]:
    for sample in (False, True):
        for scope in list_scopes(settings.home, spec.name, sample=sample):
            registry = open_registry(spec, settings, sample=sample, scope=scope)
            champion = registry.champion()
            if champion is None:
                continue
            release, decision = registry.release_of(champion)
            root = f"champions/{registry.name}"
            places[f"{root}/model.keras"] = release.model
            places[f"{root}/example.npz"] = release.example
            files = {}
            for file, inner in release.files:
                name = f"{inner}/{file.name}" if inner else file.name
                files[name] = f"{root}/files/{name}"
                places[files[name]] = file
            yield Champion(
                model=spec.name,
                scope=scope,
                sample=sample,
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
                files=files,
                metric=decision.metric if decision else "",
                value=decision.challenger if decision else None,
            )


def _write(planned: Planned, path: Path) -> None:
    text = planned.contents.model_dump_json(indent=1).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(CONTENTS, text)
        archive.writestr(CONTENTS_DIGEST, hashlib.sha256(text).hexdigest())
        for number, (name, place) in enumerate(planned.places.items()):
            report("writing the bundle", number, len(planned.places))
            archive.write(place, name)
    report("writing the bundle", len(planned.places), len(planned.places))
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
