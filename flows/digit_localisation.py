"""Pipeline digit-localisation: which digit a picture shows, and where it is."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from prefect import flow

from flows.pipeline import explain_failure, name_run, run_model
from regrow.engine.config import DataChoice
from regrow.engine.pipeline import Stage, StageRef
from regrow.models.digit_localisation.spec import SPEC, DigitLocalisationConfig


@flow(name=SPEC.name, description=SPEC.title, flow_run_name=name_run, on_failure=[explain_failure])
def digit_localisation(
    preset: Literal["best", "quick"] = "best",
    config: DigitLocalisationConfig | None = None,
    data: DataChoice = "real",
    sources: dict[str, Path] | None = None,
    versions: dict[str, str] | None = None,
    on: dict[Stage, str] | None = None,
) -> dict[Stage, StageRef]:
    """Downloads, cleans, validates, trains, evaluates and publishes the digit-localisation model.

    Args:
        preset: a named set of settings; `config`, where given, is used in its place.
        config: every setting.
        data: the real digits; there is no sample, as they come with scikit-learn.
        sources: a local file to use for a source, by the source's name.
        versions: the version of a source's data, by the source's name; else the current one.
        on: by stage, the work pools that do it, in the order to try them ("gpu,here").
    """
    return run_model(
        SPEC.name, on, preset=preset, config=config, data=data, sources=sources, versions=versions
    )
