"""Bundles: one archive with what a machine without a network needs to predict and to train.

A bundle is a zip whose `bundle.json` lists every other file with its SHA-256; `bundle.sha256` holds
that of the list. Nothing in it is read before its digest was compared, and nothing is stored before
all of it was.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from regrow.engine.archives import MemberInfo, extract_members
from regrow.engine.config import Settings, list_scopes, registered_name
from regrow.engine.download import DEFAULT_RETRIES
from regrow.engine.errors import DataError, SourceError, UserError
from regrow.engine.fingerprint import digest_file, library_version
from regrow.engine.gate import Decision, now
from regrow.engine.places import obtain
from regrow.engine.progress import report
from regrow.engine.publish import open_registry
from regrow.engine.source_list import RelativePath, Sha256, load_sources
from regrow.engine.spec import ModelSpec, load
from regrow.engine.store import FileInfo

if TYPE_CHECKING:
    from regrow.engine.registry import Published, Release

CONTENTS, CONTENTS_DIGEST = "bundle.json", "bundle.sha256"
LOCK, PACKAGES = "requirements.lock", "packages.txt"
MAX_CONTENTS_BYTES = 64 * 2**20
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


def import_bundle(
    path: Path,
    settings: Settings,
    get_spec: Callable[[str], ModelSpec],
    *,
    sha256: str | None = None,
) -> dict[str, Any]:
    """Takes a bundle's sources into the download cache and its champions into the registry.

    A champion takes its place where there is none; elsewhere it is a version to roll back to.

    Args:
        get_spec: finds a model by name.
        sha256: what the archive's digest must be, told by whoever made it.

    Returns:
        JSON: "sources", "champions" (registered, version, action, reason), "lock" (where the list
        of wheels is, or None), "other_libraries" (those of another version than there).

    Raises:
        UserError: no such file, too little room, an unknown model.
        DataError: it is no bundle, damaged, unsafe, or a model does not answer as it did there.
            Nothing was stored then.
    """
    with _unpacked(path, settings.home, sha256) as (folder, contents):
        releases = [_check_champion(one, get_spec(one.model), folder) for one in contents.champions]
        for digest in contents.downloads:
            target = settings.home / "downloads" / digest[:2] / digest
            target.parent.mkdir(parents=True, exist_ok=True)
            (folder / "downloads" / digest).replace(target)
        champions = []
        for number, (one, release) in enumerate(zip(contents.champions, releases, strict=True)):
            report("registering champions", number, len(releases))
            published = _register(one, release, get_spec(one.model), settings)
            champions.append(
                {
                    "registered": one.registered,
                    "version": published.version,
                    "action": published.decision.action,
                    "reason": published.decision.reason,
                }
            )
        report("registering champions", len(releases), len(releases))
        kept = settings.home / "bundle"
        for name in (LOCK, PACKAGES):
            if name in contents.files:
                kept.mkdir(exist_ok=True)
                (folder / name).replace(kept / name)
    there = contents.libraries.items()
    return {
        "sources": list(contents.downloads.values()),
        "champions": champions,
        "lock": str(kept / LOCK) if LOCK in contents.files else None,
        "other_libraries": {
            name: {"there": version, "here": library_version(name)}
            for name, version in there
            if library_version(name) != version
        },
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
    import hashlib

    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(CONTENTS, text)
        archive.writestr(CONTENTS_DIGEST, hashlib.sha256(text).hexdigest())
        for number, (name, place) in enumerate(planned.places.items()):
            report("writing the bundle", number, len(planned.places))
            archive.write(place, name)
    report("writing the bundle", len(planned.places), len(planned.places))
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


@contextmanager
def _unpacked(path: Path, home: Path, sha256: str | None) -> Iterator[tuple[Path, Contents]]:
    """A bundle's files in a folder that is there for a while, each compared with its digest."""
    if not path.is_file():
        raise UserError("there is no such bundle", where=str(path), expected="a file")
    if sha256 is not None and (found := digest_file(path)) != sha256.lower():
        raise DataError(
            "this is not the bundle that was announced; nothing was read of it",
            where=str(path),
            received=f"sha256 {found}",
            expected=f"sha256 {sha256.lower()}",
            remedies=["fetch it again"],
        )
    home.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".importing-", dir=home) as name:
        folder = Path(name)
        try:
            contents = _read_contents(path, folder)
            members = {
                name: MemberInfo(info.sha256, info.bytes) for name, info in contents.files.items()
            }
            needed = sum(info.bytes for info in contents.files.values())
            if shutil.disk_usage(home).free < needed:
                raise UserError(
                    "there is too little room for the bundle",
                    where=str(home),
                    expected=f"{needed / 2**20:,.0f} MiB free",
                )
            extract_members(path, members, folder, max_bytes=needed)
        except (OSError, ValueError) as error:  # of the zip's structure, which may be anything
            raise DataError(
                "the bundle is damaged; nothing was stored",
                where=str(path),
                received=f"{type(error).__name__}: {error}",
                remedies=["copy it again"],
            ) from error
        yield folder, contents


def _read_contents(path: Path, folder: Path) -> Contents:
    info = MemberInfo(bytes=MAX_CONTENTS_BYTES)
    extract_members(path, {CONTENTS: info, CONTENTS_DIGEST: info}, folder)
    listed = (folder / CONTENTS_DIGEST).read_text(encoding="ascii", errors="replace").strip()
    if digest_file(folder / CONTENTS) != listed:
        raise DataError(
            "the bundle's list of contents was changed; nothing was stored",
            where=f"{path}, {CONTENTS}",
            received=f"sha256 {digest_file(folder / CONTENTS)}",
            expected=f"sha256 {listed[:64]}",
            remedies=["copy it again"],
        )
    try:
        raw = json.loads((folder / CONTENTS).read_bytes())
        contents = Contents.model_validate(raw)
        needed = {f"downloads/{digest}": digest for digest in contents.downloads}
        for one in contents.champions:
            needed |= dict.fromkeys((one.model_file, one.example_file, *one.files.values()), "")
        for name, digest in needed.items():
            if name not in contents.files:
                raise ValueError(f"{name} is used and not listed")
            if digest and contents.files[name].sha256 != digest:
                raise ValueError(f"{name} is listed with another digest")
    except (ValidationError, ValueError, TypeError) as error:
        raise DataError(
            "this is no bundle of this version of regrow; nothing was stored",
            where=f"{path}, {CONTENTS}",
            received=str(error)[:500],
            expected="format 1, as regrow bundle export writes it",
            remedies=["export it again with the version of regrow that is here"],
        ) from error
    return contents


def _check_champion(one: Champion, spec: ModelSpec, folder: Path) -> Release:
    """The release behind a champion, whose model was loaded and answers as it did there."""
    from regrow.engine.inference import find_difference, load_model
    from regrow.engine.registry import Release

    load(spec.gate.score)  # a model's own layers are registered when its modules are imported
    load(spec.predict)
    model = load_model(folder / one.model_file)
    try:
        difference = find_difference(model, folder / one.example_file)
    except Exception as error:  # an example that does not fit its model, in whichever way
        difference = f"{type(error).__name__}: {error}"
    if difference:
        raise DataError(
            f"the champion of {one.registered} does not answer as it did; nothing was stored",
            where=one.model_file,
            received=difference[:300],
            expected="the answers that were exported with it",
            remedies=["install the versions in the bundle's requirements.lock"],
        )
    return Release(
        key=one.key,
        run_name=one.run_name,
        params=one.params,
        metrics=one.metrics,
        curves=one.curves,
        tags={**one.tags, "regrow.imported": datetime.now(UTC).isoformat(timespec="seconds")},
        model=folder / one.model_file,
        example=folder / one.example_file,
        pip_requirements=one.pip_requirements,
        files=[(folder / place, name.rpartition("/")[0]) for name, place in one.files.items()],
    )


def _register(one: Champion, release: Release, spec: ModelSpec, settings: Settings) -> Published:
    def judge(version: int, champion: int | None, _model: Any, _trouble: str | None) -> Decision:
        came = f"version {version} came in a bundle, where it was champion {one.version}"
        back = f"regrow rollback {one.model} {version}"
        back += f" --scope {one.scope}" if one.scope else ""
        back += " --sample" if one.sample else ""
        return Decision(
            model=one.registered,
            action="first" if champion is None else "kept",
            version=version,
            champion_before=champion,
            champion_after=version if champion is None else champion,
            metric=one.metric,
            challenger=one.value,
            champion=None,
            margin=0.0,
            reason=f"{came}, and is the first champion here"
            if champion is None
            else f"champion {champion} stays; {came}: {back} makes it the champion",
            data_version=one.tags.get("regrow.data_version", ""),
            key=one.key,
            at=now(),
        )

    registry = open_registry(spec, settings, sample=one.sample, scope=one.scope)
    return registry.publish(release, judge)
