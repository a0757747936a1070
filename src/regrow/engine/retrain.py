"""Which runs retraining everything, and training on one data version after another, consist of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from regrow.engine.config import DataChoice, Settings, make_request
from regrow.engine.errors import UserError
from regrow.engine.jobs import Job
from regrow.engine.places import is_cached
from regrow.engine.source_list import load_sources
from regrow.engine.spec import ModelSpec
from regrow.engine.sweep import set_options
from regrow.engine.versions import at_version, current_sources, read_versions, version_of

SHOWN = 12
One = TypeVar("One")


class BackfillRequest(BaseModel):
    """What is run. Plain JSON, so that it can be a flow's parameters.

    Attributes:
        model: the model's name.
        files: data versions in order: for each, a local file by source name.
        versions: the same of versions that `regrow refresh` has recorded: for each, a digest by
            source name. With neither, all that are recorded and still here.
        preset: the preset of all runs; None for the first.
        overrides: settings of all runs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    files: list[dict[str, Path]] = Field(default_factory=list)
    versions: list[dict[str, str]] = Field(default_factory=list)
    preset: str | None = None
    overrides: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if self.files and self.versions:
            raise ValueError("a backfill goes through files or through recorded versions, not both")
        return self


def list_retraining(
    specs: Sequence[ModelSpec], *, preset: str | None = None, data: DataChoice = "real"
) -> list[Job]:
    """One run for each model.

    Args:
        preset: the preset of all; None for each model's first.

    Raises:
        UserError: a model has no such preset.
    """
    for spec in specs:
        make_request(spec, preset=preset, data=data)
    flags = {"real": [], "sample": ["--sample"], "real-or-sample": ["--or-sample"]}
    options = [*flags[data], *(["--preset", preset] if preset else [])]
    return [Job(name=spec.name, model=spec.name, options=options) for spec in specs]


def list_backfill(spec: ModelSpec, request: BackfillRequest, settings: Settings) -> list[Job]:
    """One run for each data version, in order.

    Raises:
        UserError: an unknown source, version, preset or setting, or a file that is not there.
    """
    options = ["--preset", request.preset] if request.preset else []
    options += set_options(request.overrides)
    jobs = []
    for number, files in enumerate(request.files, 1):
        made = make_request(spec, preset=request.preset, overrides=request.overrides, sources=files)
        for name, path in made.sources.items():
            if not path.is_file():
                raise UserError(
                    f"data version {number} cannot be read; nothing was run",
                    where=f"--source {name}={files[name]}",
                    received="a folder" if path.is_dir() else "nothing there",
                    expected="a file",
                )
        sources = [f"--source={name}={path}" for name, path in made.sources.items()]
        shown = " ".join(path.name for path in made.sources.values())
        jobs.append(Job(name=f"{number}: {shown}", model=spec.name, options=[*options, *sources]))
    if request.files:
        return jobs
    versions = request.versions or list_recorded(spec, settings)
    for number, chosen in enumerate(versions, 1):
        make_request(spec, preset=request.preset, overrides=request.overrides, versions=chosen)
        found = current_sources(settings.data_dir, settings.home, chosen)
        whole = {name: version_of(found[name]) for name in chosen}
        sources = [f"--data-version={name}={version}" for name, version in whole.items()]
        shown = " ".join(version[:SHOWN] for version in whole.values())
        jobs.append(Job(name=f"{number}: {shown}", model=spec.name, options=[*options, *sources]))
    return jobs


def list_recorded(spec: ModelSpec, settings: Settings) -> list[dict[str, str]]:
    """The versions that a model's data have had: what is declared, then what was found since.

    Left out is what `regrow gc` has removed: upstream has no more than the newest.

    Raises:
        UserError: none of its sources is looked at.
    """
    declared = load_sources(settings.data_dir / "sources.toml")
    sources = [declared[name] for name in spec.sources if declared[name].refresh]
    if not sources:
        raise UserError(
            f"nothing is recorded of the data of {spec.name}",
            where="--source",
            received="nothing",
            expected="files of its sources, as none of them is looked at for new versions",
            remedies=["refresh = true in data/sources.toml makes it one that is"],
        )
    now = {source.name: version_of(source) for source in sources}
    states = [dict(now)]
    recorded = [v for source in sources for v in read_versions(settings.home, source.name)]
    for version in sorted(recorded, key=lambda version: version.at):
        now[version.source] = version.version
        source = at_version(declared[version.source], version)
        if is_cached(source, settings.home / "downloads") and now != states[-1]:
            states.append(dict(now))
    return states


def pair_versions(pairs: Sequence[tuple[str, One]], option: str) -> list[dict[str, One]]:
    """Data versions in the order given: the n-th of each source make the n-th version.

    A source that is given once is the same in all versions.

    Args:
        pairs: a source's name, and one of its files or versions.
        option: where they were given.

    Raises:
        UserError: one source has more than another.
    """
    by_source: dict[str, list[One]] = {}
    for name, one in pairs:
        by_source.setdefault(name, []).append(one)
    count = max((len(several) for several in by_source.values()), default=0)
    uneven = {name for name, several in by_source.items() if len(several) not in (1, count)}
    if uneven:
        raise UserError(
            "a backfill needs the same number of versions of each source",
            where=option,
            received=", ".join(f"{len(several)} of {name}" for name, several in by_source.items()),
            expected=f"{count} of each, or one that stays the same",
        )
    return [
        {name: several[number if len(several) > 1 else 0] for name, several in by_source.items()}
        for number in range(count)
    ]
