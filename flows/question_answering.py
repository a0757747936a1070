"""Pipeline question-answering: questions about short stories."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from prefect import flow

from flows.pipeline import explain_failure, name_run, run_model
from regrow.engine.config import DataChoice
from regrow.engine.pipeline import Stage, StageRef
from regrow.models.question_answering.spec import SPEC, QuestionAnsweringConfig


@flow(name=SPEC.name, description=SPEC.title, flow_run_name=name_run, on_failure=[explain_failure])
def question_answering(
    preset: Literal[
        "best",
        "compare",
        "memory",
        "joint",
        "paper",
        "book",
        "book-longer",
        "book-as-read",
        "quick",
    ] = "best",
    config: QuestionAnsweringConfig | None = None,
    data: DataChoice = "real",
    sources: dict[str, Path] | None = None,
    versions: dict[str, str] | None = None,
    on: dict[Stage, str] | None = None,
) -> dict[Stage, StageRef]:
    """Downloads, cleans, validates, trains, evaluates and publishes the question-answering model.

    Args:
        preset: a named set of settings; `config`, where given, is used in its place.
        config: every setting.
        data: the real files, or the shipped sample, which has tasks 1 to 3 only.
        sources: a local file to use for a source, by the source's name.
        versions: the version of a source's data, by the source's name; else the current one.
        on: by stage, the work pools that do it, in the order to try them ("gpu,here").
    """
    return run_model(
        SPEC.name, on, preset=preset, config=config, data=data, sources=sources, versions=versions
    )
