"""Taking a bundle in: checked whole by digest, each model tried, and only then stored."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from regrow.engine.archives import MemberInfo, extract_members
from regrow.engine.bundle import CONTENTS, CONTENTS_DIGEST, LOCK, PACKAGES, Champion, Contents
from regrow.engine.config import Settings
from regrow.engine.errors import DataError, UserError
from regrow.engine.fingerprint import digest_file, library_version
from regrow.engine.gate import Decision, now
from regrow.engine.progress import report
from regrow.engine.publish import open_registry
from regrow.engine.spec import ModelSpec, load

if TYPE_CHECKING:
    from regrow.engine.registry import Published, Release

MAX_CONTENTS_BYTES = 64 * 2**20


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
    with unpacked(path, settings.home, sha256) as (folder, contents):
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


@contextmanager
def unpacked(path: Path, home: Path, sha256: str | None) -> Iterator[tuple[Path, Contents]]:
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
        tags={**one.tags, "regrow.imported": now()},
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
