"""Imports a bundle: all digests are checked and each model is run before anything is stored."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regrow.base.decision import Decision
from regrow.base.digests import digest_file
from regrow.base.errors import DataError, UserError
from regrow.base.files import move_into_place
from regrow.base.home import Home
from regrow.base.layout import ensure_layout
from regrow.base.locks import exclusive
from regrow.base.progress import report
from regrow.base.project import get_spec
from regrow.base.settings import Settings
from regrow.operations.bundle_contents import (
    BUNDLE,
    LOCK,
    PACKAGES,
    UNPACKED,
    BundledChampion,
    Contents,
    import_lock,
    remove_killed_imports,
)
from regrow.registry.champions import open_registry
from regrow.registry.gate import now
from regrow.registry.publication import Champion, publish_release
from regrow.registry.release import Release
from regrow.registry.serving import list_requirements
from regrow.sources.catalog import declared_sources
from regrow.sources.download import Expected
from regrow.sources.first_sight import pin_file
from regrow.sources.locations import cache_path
from regrow.sources.versions import Version, read_versions, record_version
from regrow.store.fingerprint import library_version


def import_bundle(
    path: Path,
    settings: Settings,
    *,
    sha256: str | None = None,
) -> dict[str, Any]:
    """Stores a bundle's sources in the download cache and its champions in the registry.

    An imported champion becomes champion where there is none; elsewhere it is a version that can be
    rolled back to.

    Args:
        sha256: the digest that the archive must have, as stated by whoever exported it.

    Returns:
        JSON: "sources", "champions" (registered, version, action, reason), "lock" (the path of the
        imported requirements.lock, or None), "other_libraries" (those whose versions differ).

    Raises:
        UserError: no such file, too little disk space, an unknown model.
        DataError: not a bundle, damaged, unsafe, or a model does not answer as it did there. Then
            nothing was stored.
    """
    with unpacked(path, settings.home.path, sha256) as (folder, contents):
        releases = [_check_champion(one, folder) for one in contents.champions]
        ensure_layout(settings.home)
        _store_downloads(contents, folder, settings)
        _record_versions(contents.versions, settings)
        champions = []
        for number, (one, release) in enumerate(zip(contents.champions, releases, strict=True)):
            report("registering champions", number, len(releases))
            champions.append(_register(one, release, settings))
        report("registering champions", len(releases), len(releases))
    return {
        "sources": list(contents.downloads.values()),
        "champions": champions,
        "lock": str(settings.home.bundle / LOCK) if LOCK in contents.files else None,
        "other_libraries": _compare_libraries(contents.libraries),
    }


def _compare_libraries(there: Mapping[str, str]) -> dict[str, dict[str, str]]:
    here = {name: library_version(name) for name in there}
    return {
        name: {"there": version, "here": here[name]}
        for name, version in there.items()
        if here[name] != version
    }


def _store_downloads(contents: Contents, folder: Path, settings: Settings) -> None:
    """Moves the source files into the cache, and the package lists into the home."""
    declared = declared_sources(settings)
    for digest, name in contents.downloads.items():
        if name in declared and declared[name].remote.is_checked_first:
            pin_file(declared[name], folder / "downloads" / digest, digest, settings, "a bundle")
    for digest in contents.downloads:
        target = cache_path(settings.home.downloads, Expected(digest))
        target.parent.mkdir(parents=True, exist_ok=True)
        move_into_place(folder / "downloads" / digest, target)
    for name in (LOCK, PACKAGES):
        if name in contents.files:
            settings.home.bundle.mkdir(exist_ok=True)
            move_into_place(folder / name, settings.home.bundle / name)


def _record_versions(versions: Sequence[Version], settings: Settings) -> None:
    """Makes the data in the bundle current where no other version was ever recorded."""
    for version in versions:
        with exclusive(settings.home.source_lock(version.source)):
            if not read_versions(settings.home, version.source):
                record_version(settings.home, version)


@contextmanager
def unpacked(path: Path, home: Path, sha256: str | None) -> Iterator[tuple[Path, Contents]]:
    """A bundle's files in a temporary folder, each compared with its digest."""
    if not path.is_file():
        raise UserError("there is no such bundle", where=str(path), expected="a file")
    if sha256 is not None and (found := digest_file(path)) != sha256.lower():
        raise DataError(
            "the digest of the bundle does not match --sha256; nothing was read",
            where=str(path),
            received=f"sha256 {found}",
            expected=f"sha256 {sha256.lower()}",
            remedies=["copy it again"],
        )
    home.mkdir(parents=True, exist_ok=True)
    with exclusive(import_lock(Home(home))), _make_folder(Home(home)) as folder:
        yield folder, BUNDLE.unpack(path, folder)


@contextmanager
def _make_folder(home: Home) -> Iterator[Path]:
    """A temporary folder in the home; those of imports that were killed are removed."""
    remove_killed_imports(home)
    with tempfile.TemporaryDirectory(prefix=UNPACKED, dir=home.path) as name:
        yield Path(name)


def _check_champion(one: BundledChampion, folder: Path) -> Release:
    """The release of a champion whose model was loaded and answers as it did there."""
    from regrow.training.inference import find_difference, load_model

    serving = get_spec(one.model).serving  # refuses a model that is not declared here
    model = load_model(folder / one.model_file)
    try:
        difference = find_difference(model, folder / one.example_file)
    except Exception as error:  # an example that does not fit its model in any way
        difference = f"{type(error).__name__}: {error}"
    if difference:
        raise DataError(
            f"the champion of {one.registered} does not reproduce its example; nothing was stored",
            where=one.model_file,
            received=difference[:300],
            expected="the predictions that were exported with it",
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
        # It is exported anew, by the code and the libraries here.
        pip_requirements=list_requirements(serving),
        serving=serving,
        files=[(folder / place, name.rpartition("/")[0]) for name, place in one.files.items()],
    )


def _register(one: BundledChampion, release: Release, settings: Settings) -> dict[str, Any]:
    """Registers a champion; the facts that the import reports about it."""

    def judge(version: int, present: Champion | None) -> Decision:
        champion = present.version if present else None
        came = f"version {version} was imported from a bundle, where it was champion {one.version}"
        back = f"regrow rollback {one.model} {version}{one.ref.options}"
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
            reason=f"{came}, and is now the first champion"
            if champion is None
            else f"champion {champion} stays; {came}: {back} makes it the champion",
            data_version=one.tags.get("regrow.data_version", ""),
            key=one.key,
            at=now(),
        )

    published = publish_release(open_registry(one.ref, settings), release, judge)
    return {
        "registered": one.registered,
        "version": published.version,
        "action": published.decision.action,
        "reason": published.decision.reason,
    }
