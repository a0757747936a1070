"""Pipeline air-quality: benzene from the other sensors of a gas multisensor device."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from prefect import flow

from flows.pipeline import explain_failure, name_run, run_model
from regrow.engine.config import DataChoice
from regrow.engine.pipeline import Stage, StageRef
from regrow.models.air_quality.spec import SPEC, AirQualityConfig


@flow(name=SPEC.name, description=SPEC.title, flow_run_name=name_run, on_failure=[explain_failure])
def air_quality(
    preset: Literal["best", "book", "quick"] = "best",
    config: AirQualityConfig | None = None,
    data: DataChoice = "real",
    sources: dict[str, Path] | None = None,
    versions: dict[str, str] | None = None,
    on: dict[Stage, str] | None = None,
) -> dict[Stage, StageRef]:
    """Downloads, cleans, validates, trains, evaluates and publishes the air-quality model.

    Args:
        preset: a named set of settings; `config`, where given, is used in its place.
        config: every setting.
        data: the real file, the shipped sample, or the sample only if nothing has the real file.
        sources: a local file to use for a source, by the source's name.
        versions: the version of a source's data, by the source's name; else the current one.
        on: by stage, the work pools that do it, in the order to try them ("gpu,here").
    """
    return run_model(
        SPEC.name, on, preset=preset, config=config, data=data, sources=sources, versions=versions
    )
