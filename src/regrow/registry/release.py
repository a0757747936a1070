"""What is published: the content of one version of a registered model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from regrow.base.decision import Decision


@dataclass(frozen=True)
class Release:
    """The content of one version.

    Attributes:
        key: identifies the release: it is registered once.
        run_name: the name of the MLflow run.
        params: the settings, flat.
        metrics: the final figures.
        curves: values per epoch by training and metric name: "all-sensors/seed-0/loss".
        tags: data version, fingerprints and the like.
        model: the .keras file.
        example: an .npz with `inputs` and `outputs`: what the model answers.
        files: files with their folders among the run's artifacts ("" for none).
        pip_requirements: the packages that loading the model needs. They are given because MLflow
            needs half a minute to infer them.
        title: of the model, in a line.
        description: of the run, as Markdown.
    """

    key: str
    run_name: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    curves: Mapping[str, Sequence[float]]
    tags: Mapping[str, str]
    model: Path
    example: Path
    pip_requirements: Sequence[str]
    files: Sequence[tuple[Path, str]] = field(default_factory=tuple)
    title: str = ""
    description: str = ""


@dataclass(frozen=True)
class Published:
    """A release that is in the registry."""

    version: int
    run_id: str
    run_url: str
    decision: Decision
