"""What every pipeline's flow does: stages as task runs, artifacts, and help on failure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect import Flow
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.client.schemas.objects import FlowRun, State
from prefect.runtime import flow_run as current_run
from pydantic import BaseModel

from regrow.engine.config import RunRequest, make_request, read_environment
from regrow.engine.errors import UserError
from regrow.engine.pipeline import Pipeline, Stage, StageRef
from regrow.engine.runs import run_stages
from regrow.models import get_spec
from tasks.elsewhere import choose_pools
from tasks.stages import TASKS


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
        overrides=config.model_dump() if isinstance(config, BaseModel) else config,
        data=parameters.get("data", "real"),
        sources={name: Path(path) for name, path in (parameters.get("sources") or {}).items()},
        versions=parameters.get("versions"),
    )


def run_pipeline(
    request: RunRequest, on: Mapping[Stage, str] | None = None
) -> dict[Stage, StageRef]:
    """Runs one model's stages as Prefect tasks and leaves its summary as artifacts.

    Args:
        request: what is asked for.
        on: the work pool that does a stage; those of the model's `resources` count where this says
            nothing and the server has a deployment for them.
    """
    pipeline = Pipeline(get_spec(request.model), request, read_environment())
    pools = choose_pools(pipeline.spec, on or {})

    def run_one(stage: Stage, inputs: Any) -> StageRef:
        state: Any = TASKS[stage](request, dict(inputs), pools.get(stage), return_state=True)
        ref: StageRef = state.result()
        return ref

    refs = run_stages(pipeline, run_one)
    _show(pipeline, refs["publish"])
    return refs


def _show(pipeline: Pipeline, published: StageRef) -> None:
    """Leaves the run's summary, and links to its report and its MLflow run, as artifacts."""
    entry, name = pipeline.entry(published), pipeline.spec.name
    create_markdown_artifact(
        key=name,
        markdown=entry.file("summary.md").read_text(encoding="utf-8"),
        description=str(entry.facts["decision"]["reason"]),
    )
    create_link_artifact(
        key=f"{name}-report", link=entry.facts["report_url"], link_text=f"Report of {name}"
    )
    create_link_artifact(
        key=f"{name}-mlflow", link=entry.facts["mlflow_url"], link_text=f"MLflow run of {name}"
    )


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
