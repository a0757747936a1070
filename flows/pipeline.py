"""What every pipeline's flow does: stages as task runs, artifacts, and help on failure."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import Flow
from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
)
from prefect.client.schemas.objects import FlowRun, State
from prefect.runtime import flow_run as current_run
from prefect.variables import Variable
from pydantic import BaseModel

from flows.notices import notify
from regrow.engine.config import RunRequest, decisions_path, make_request, read_environment
from regrow.engine.errors import UserError
from regrow.engine.gate import read_decisions
from regrow.engine.pipeline import Pipeline, Stage, StageRef
from regrow.engine.runs import run_stages
from regrow.engine.store import Entry
from regrow.models import get_spec
from tasks.elsewhere import choose_pools
from tasks.stages import TASKS

MAX_PICTURES = 2
MAX_PICTURE_BYTES = 300_000


def name_run() -> str:
    """A run's name: the model, its preset and the version of its data."""
    parameters = current_run.parameters
    model = current_run.flow_name
    pipeline = Pipeline(get_spec(model), request_of(model, parameters), read_environment())
    try:
        version = pipeline.data_version()
    except UserError:  # said by the download stage, where a person will look for it
        version = "unknown"
    return f"{model} {pipeline.request.preset} data {version}"


def request_of(model: str, parameters: Mapping[str, Any]) -> RunRequest:
    """The request behind a flow's parameters."""
    config = parameters.get("config")
    return make_request(
        get_spec(model),
        preset=parameters.get("preset"),
        config=config.model_dump() if isinstance(config, BaseModel) else config,
        data=parameters.get("data", "real"),
        sources={name: Path(path) for name, path in (parameters.get("sources") or {}).items()},
        versions=parameters.get("versions"),
    )


def run_model(
    model: str, on: Mapping[Stage, str] | None, **parameters: Any
) -> dict[Stage, StageRef]:
    """Runs a model's stages for its flow's parameters; see `run_pipeline`."""
    return run_pipeline(request_of(model, parameters), on)


def run_pipeline(
    request: RunRequest, on: Mapping[Stage, str] | None = None
) -> dict[Stage, StageRef]:
    """Runs one model's stages as Prefect tasks and leaves its summary as artifacts.

    Args:
        request: what is asked for.
        on: the work pools that do a stage, in the order to try them in ("gpu,here"); those of the
            model's `resources` count where this says nothing and the server has deployments for
            them.
    """
    pipeline = Pipeline(get_spec(request.model), request, read_environment())
    pools = choose_pools(pipeline.spec, on or {})

    def run_one(stage: Stage, inputs: Any) -> StageRef:
        state: Any = TASKS[stage](request, dict(inputs), pools.get(stage, ()), return_state=True)
        ref: StageRef = state.result()
        return ref

    refs = run_stages(pipeline, run_one, notify=notify)
    _show(pipeline, refs)
    return refs


def _show(pipeline: Pipeline, refs: Mapping[Stage, StageRef]) -> None:
    """Leaves the run's summary with its pictures, links to its report and its MLflow run as
    artifacts, and the champion as a variable.
    """
    entry, name = pipeline.entry(refs["publish"]), pipeline.spec.name
    pictures = list_pictures(pipeline.entry(refs["evaluate"]))
    summary = entry.file("summary.md").read_text(encoding="utf-8")
    figures, mark, data = summary.partition("\n### Data\n")
    shown = "".join(f"\n![{title}]({url})\n" for title, url in pictures)
    create_markdown_artifact(
        key=name,
        markdown=f"{figures}{shown}{mark}{data}",
        description=str(entry.facts["decision"]["reason"]),
    )
    for title, url in pictures[:1]:
        create_image_artifact(key=f"{name}-picture", image_url=url, description=title)
    create_link_artifact(
        key=f"{name}-report", link=entry.facts["report_url"], link_text=f"Report of {name}"
    )
    create_link_artifact(
        key=f"{name}-mlflow", link=entry.facts["mlflow_url"], link_text=f"MLflow run of {name}"
    )
    registered = str(entry.facts["registered_name"])
    # The log and not this run's decision, which may be an old one that was found in the store.
    for last in read_decisions(decisions_path(pipeline.settings.home, registered))[-1:]:
        champion = {"version": last.champion_after, "decision": last.action, "at": last.at}
        variable = f"{registered.replace('-', '_').replace('.', '_')}_champion"
        Variable.set(variable, champion, tags=["regrow"], overwrite=True)


def list_pictures(evaluated: Entry) -> list[tuple[str, str]]:
    """Titles and data URLs of the first figures: a page may not open files of this machine."""
    evaluation = json.loads(evaluated.file("evaluation.json").read_text(encoding="utf-8"))
    pictures = []
    for figure in evaluation.get("figures", [])[:MAX_PICTURES]:
        content = evaluated.file(figure["file"]).read_bytes()
        if len(content) <= MAX_PICTURE_BYTES:
            url = f"data:image/png;base64,{base64.b64encode(content).decode()}"
            pictures.append((str(figure["title"]), url))
    return pictures


def explain_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    """Leaves an artifact that says what failed and how to go on."""
    error = state.result(raise_on_failure=False)
    advice = (
        "Put right what is said above, then run again"
        if isinstance(error, UserError)
        else "Run again: finished stages are found in the store, a killed training resumes"
    )
    create_markdown_artifact(
        key=f"{flow.name}-failure",
        markdown=(
            f"# {flow_run.name} failed\n\n```text\n{error or state.message}\n```\n\n"
            f"{advice}:\n\n```shell\nregrow run {flow.name}\nregrow status {flow.name}\n```\n"
        ),
        description=f"Why {flow_run.name} failed and how to go on",
    )
