"""The runs of retraining all models, and of training on one data version after another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from regrow.base.errors import UserError
from regrow.base.settings import Settings
from regrow.base.spec import ModelSpec
from regrow.operations.jobs import Job
from regrow.pipeline.request import DataChoice, ModelName, RunRequest, make_request
from regrow.sources.catalog import declared_sources
from regrow.sources.locations import is_cached
from regrow.sources.versions import at_version, current_sources, read_versions

LABEL_DIGITS = 12
One = TypeVar("One")


class BackfillRequest(BaseModel):
    """What a backfill runs: the parameters of its flow.

    Attributes:
        model: the model's name.
        files: the data versions in order, each as local files by source name.
        versions: the data versions in order, each as digests by source name that `regrow refresh`
            has recorded. Without files and versions: all that are recorded and still cached.
        preset: the preset of all runs; None for the model's first preset.
        overrides: settings that are changed in all runs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: ModelName
    files: list[dict[str, Path]] = Field(default_factory=list)
    versions: list[dict[str, str]] = Field(default_factory=list)
    preset: str | None = None
    overrides: dict[str, Any] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if self.files and self.versions:
            raise ValueError("a backfill uses either files or recorded versions")
        return self


def list_retraining(
    specs: Sequence[ModelSpec], *, preset: str | None = None, data: DataChoice = "real"
) -> list[Job]:
    """One run for each model.

    Args:
        preset: the preset of all models; None for each model's first preset.

    Raises:
        UserError: a model has no such preset.
    """
    return [
        Job(name=spec.name, request=make_request(spec, preset=preset, data=data)) for spec in specs
    ]


def list_backfill(spec: ModelSpec, request: BackfillRequest, settings: Settings) -> list[Job]:
    """One run for each data version, in order.

    Raises:
        UserError: an unknown source, version, preset or setting, or a file that does not exist.
    """
    make = partial(make_request, spec, preset=request.preset, overrides=request.overrides)
    if request.files:
        runs = [make(sources=files) for files in request.files]
        _check_files(runs)
        labels = [[path.name for path in run.sources.values()] for run in runs]
    else:
        chosen = request.versions or list_recorded(spec, settings)
        runs = [_with_whole_digests(make(versions=versions), settings) for versions in chosen]
        labels = [[version[:LABEL_DIGITS] for version in run.versions.values()] for run in runs]
    return [
        Job(name=f"{number}: {' '.join(label)}", request=run)
        for number, (label, run) in enumerate(zip(labels, runs, strict=True), 1)
    ]


def list_recorded(spec: ModelSpec, settings: Settings) -> list[dict[str, str]]:
    """The versions of a model's data: the declared one, then those that refresh has recorded.

    Versions that `regrow gc` has removed are left out, because upstream has the newest only.

    Raises:
        UserError: none of the model's sources is checked for new versions.
    """
    declared = declared_sources(settings)
    sources = [declared[name] for name in spec.sources if declared[name].refresh]
    if not sources:
        raise UserError(
            f"no data versions are recorded for {spec.name}",
            where="--source",
            received="nothing",
            expected="files for its sources, because none of them is checked for new versions",
            remedies=[
                "to have regrow refresh check a source, set refresh = true in data/sources.toml"
            ],
        )
    now = {source.name: source.version for source in sources}
    states = [dict(now)]
    recorded = [v for source in sources for v in read_versions(settings.home, source.name)]
    for version in sorted(recorded, key=lambda version: version.at):
        now[version.source] = version.version
        source = at_version(declared[version.source], version)
        if is_cached(source, settings.home.downloads) and now != states[-1]:
            states.append(dict(now))
    return states


def _check_files(runs: Sequence[RunRequest]) -> None:
    for number, run in enumerate(runs, 1):
        for name, path in run.sources.items():
            if not path.is_file():
                raise UserError(
                    f"data version {number} cannot be read; nothing was run",
                    where=f"--source {name}={path}",
                    received="a folder" if path.is_dir() else "no such file",
                    expected="a file",
                )


def _with_whole_digests(run: RunRequest, settings: Settings) -> RunRequest:
    """The request with whole digests for its versions, which may be given by their first digits."""
    catalog = declared_sources(settings)
    declared = {name: catalog[name] for name in run.versions}
    found = current_sources(declared, settings.home, run.versions)
    whole = {name: found[name].version for name in run.versions}
    return run.model_copy(update={"versions": whole})


def pair_versions(pairs: Sequence[tuple[str, One]], option: str) -> list[dict[str, One]]:
    """Data versions in the given order: the n-th value of every source makes the n-th version.

    A source that is given once has the same value in all versions.

    Args:
        pairs: a source's name, and one of its files or versions.
        option: the option that they come from.

    Raises:
        UserError: one source is given more often than another.
    """
    by_source: dict[str, list[One]] = {}
    for name, one in pairs:
        by_source.setdefault(name, []).append(one)
    count = max((len(several) for several in by_source.values()), default=0)
    uneven = {name for name, several in by_source.items() if len(several) not in (1, count)}
    if uneven:
        raise UserError(
            "a backfill requires the same number of versions for each source",
            where=option,
            received=", ".join(f"{len(several)} of {name}" for name, several in by_source.items()),
            expected=f"{count} of each, or one that is used throughout",
        )
    return [
        {name: several[number if len(several) > 1 else 0] for name, several in by_source.items()}
        for number in range(count)
    ]
