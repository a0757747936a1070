"""A model's Prefect flow, made from its `ModelSpec`: `make_flow(SPEC)`.

The form that the Prefect UI shows is the flow's signature: the presets as choices, every setting of
the model's settings class, and what all models have in common.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import prefect
from prefect import Flow
from prefect.client.schemas.objects import FlowRun, State
from prefect.runtime import flow_run as current_run
from pydantic import BaseModel

from regrow.base.errors import UserError
from regrow.base.settings import read_environment
from regrow.base.spec import ModelConfig, ModelSpec
from regrow.pipeline.naming import name_request
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.request import DataChoice, RunRequest, make_request
from regrow.pipeline.runs import run_stages
from regrow.pipeline.stages import Stage, StageRef
from regrow.prefect.artifacts import create_failure_artifact, create_run_artifacts
from regrow.prefect.notifications import notify
from regrow.prefect.remote_stage import choose_pools
from regrow.prefect.tasks import DEFAULT_POLICIES, Policies, make_stage_tasks

PARAMETERS = """Downloads, cleans, validates, trains, evaluates and publishes the model.

    Args:
        preset: a named set of settings; `config`, if given, replaces it.
        config: every setting; a setting that is left out has its default.
        data: the real files, the shipped sample, or the sample only if the real files cannot be
            obtained.
        sources: a local file to use for a source, by the source's name.
        versions: the version of a source's data, by the source's name; by default the current one.
        on: by stage, the work pools that run it, in the order in which they are tried ("gpu,here").
    """


def make_flow(
    spec: ModelSpec, policies: Policies = DEFAULT_POLICIES
) -> Flow[..., dict[Stage, StageRef]]:
    """Makes the flow of a model.

    Args:
        spec: the model, as the project's regrow.toml declares it.
        policies: how each stage is tried: retries, time-out, tags, work pools.

    Returns:
        A flow named after the model. Its parameters are `preset`, `config`, `data`, `sources`,
        `versions` and `on`, all by keyword; its result is the reference of each stage.
    """
    tasks = make_stage_tasks(policies)
    preferred = {stage: policy.pools for stage, policy in policies.items()} | dict(spec.resources)

    def run(**parameters: Any) -> dict[Stage, StageRef]:
        pipeline = Pipeline(spec, build_request(spec, parameters), read_environment())
        pools = choose_pools(parameters["on"] or {}, preferred)

        def run_one(stage: Stage, inputs: Mapping[Stage, StageRef]) -> StageRef:
            state: Any = tasks[stage](
                pipeline.request, dict(inputs), pools.get(stage, ()), return_state=True
            )
            ref: StageRef = state.result()
            return ref

        refs = run_stages(pipeline, run_one, notify=notify)
        create_run_artifacts(pipeline, refs)
        return refs

    run.__name__ = run.__qualname__ = spec.name.replace("-", "_")
    run.__doc__ = PARAMETERS
    run.__signature__ = _form(spec)  # type: ignore[attr-defined]
    return prefect.flow(
        name=spec.name,
        description=spec.title,
        flow_run_name=lambda: _name_run(spec),
        on_failure=[_explain_failure],
    )(run)


def build_request(spec: ModelSpec, parameters: Mapping[str, Any]) -> RunRequest:
    """The run request that a flow's parameters describe."""
    config = parameters.get("config")
    return make_request(
        spec,
        preset=parameters.get("preset"),
        config=config.model_dump() if isinstance(config, BaseModel) else config,
        data=parameters.get("data", "real"),
        sources={name: Path(path) for name, path in (parameters.get("sources") or {}).items()},
        versions=parameters.get("versions"),
    )


def _form(spec: ModelSpec) -> inspect.Signature:
    """The signature from which Prefect builds the form and validates parameters."""
    presets = tuple(spec.presets)
    source: Any = Literal[spec.sources] if spec.sources else str
    config: type[ModelConfig] = spec.config
    fields: dict[str, tuple[Any, Any]] = {
        "preset": (Literal[presets], presets[0]),
        "config": (config | None, None),
        "data": (DataChoice, "real"),
        "sources": (dict[source, Path] | None, None),
        "versions": (dict[source, str] | None, None),
        "on": (dict[Stage, str] | None, None),
    }
    return inspect.Signature(
        [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind
            )
            for name, (kind, default) in fields.items()
        ],
        return_annotation=dict[Stage, StageRef],
    )


def _name_run(spec: ModelSpec) -> str:
    """A run's name: the model, its preset, what differs from it, and the version of its data."""
    pipeline = Pipeline(spec, build_request(spec, current_run.parameters), read_environment())
    try:
        new = pipeline.sources.must_ask
        version = "new" if new else pipeline.sources.data_version()
    except UserError:  # the download stage reports it, where a person will look for it
        version = "unknown"
    return f"{name_request(pipeline.request)} data {version}"


def _explain_failure(flow: Flow[..., Any], flow_run: FlowRun, state: State[Any]) -> None:
    error = state.result(raise_on_failure=False)
    create_failure_artifact(flow.name, flow_run.name, error or state.message)
