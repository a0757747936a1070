"""Which runs retraining everything, and training on one data version after another, consist of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from regrow.engine.config import DataChoice, make_request
from regrow.engine.errors import UserError
from regrow.engine.jobs import Job
from regrow.engine.spec import ModelSpec
from regrow.engine.sweep import set_options


class BackfillRequest(BaseModel):
    """What is run. Plain JSON, so that it can be a flow's parameters.

    Attributes:
        model: the model's name.
        versions: the data versions in order: for each, a local file by source name.
        preset: the preset of all runs; None for the first.
        overrides: settings of all runs.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    versions: list[dict[str, Path]] = Field(min_length=1)
    preset: str | None = None
    overrides: dict[str, Any] = Field(default_factory=dict)


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


def list_backfill(spec: ModelSpec, request: BackfillRequest) -> list[Job]:
    """One run for each data version, in order.

    Raises:
        UserError: an unknown source, preset or setting, or a file that is not there.
    """
    options = ["--preset", request.preset] if request.preset else []
    options += set_options(request.overrides)
    jobs = []
    for number, files in enumerate(request.versions, 1):
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
    return jobs


def pair_versions(sources: Sequence[tuple[str, Path]]) -> list[dict[str, Path]]:
    """Data versions from files in the order given: the n-th of each source make the n-th version.

    A source that is given once is the same in all versions.

    Raises:
        UserError: one source has more files than another.
    """
    files: dict[str, list[Path]] = {}
    for name, path in sources:
        files.setdefault(name, []).append(path)
    count = max((len(paths) for paths in files.values()), default=0)
    uneven = {name: len(paths) for name, paths in files.items() if len(paths) not in (1, count)}
    if uneven or not count:
        raise UserError(
            "a backfill needs the same number of files of each source, at least one",
            where="--source",
            received=_count(files) or "no --source",
            expected=f"{count} of each, or one that stays the same"
            if count
            else "for example --source air-quality=2004.csv --source air-quality=2005.csv",
        )
    return [
        {name: paths[number if len(paths) > 1 else 0] for name, paths in files.items()}
        for number in range(count)
    ]


def _count(files: Mapping[str, Sequence[Path]]) -> str:
    return ", ".join(f"{len(paths)} of {name}" for name, paths in files.items())
