"""What is published: the request to publish, and its stages' results as a release."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regrow.base.decision import Hold
from regrow.base.digests import digest_json
from regrow.base.settings import Settings
from regrow.base.spec import ModelSpec
from regrow.pipeline.naming import describe_command, list_overrides, name_request
from regrow.pipeline.request import RunRequest, flatten
from regrow.registry.names import LIBRARIES, ChampionRef
from regrow.registry.release import DataKind, Release
from regrow.registry.serving import list_requirements
from regrow.report.evaluation import FILE, Evaluation, Headline
from regrow.report.history import FILE as HISTORY
from regrow.report.history import History
from regrow.store.context import StageContext

if TYPE_CHECKING:
    from regrow.sources.source import Source


@dataclass(frozen=True)
class PublishRequest:
    """What is published, and for whom.

    Attributes:
        context: the stage's context; its inputs are all earlier stages.
        sources: what sources.toml declares now, by name: reports take titles and licences from it.
        cached: by stage, whether its result was found rather than made, and in how many seconds.
        holds: what the request itself gives as a reason to wait for approval.
    """

    spec: ModelSpec
    request: RunRequest
    settings: Settings
    context: StageContext
    sources: Mapping[str, Source]
    cached: Mapping[str, tuple[bool, float]]
    holds: Sequence[Hold] = ()

    @property
    def data_kind(self) -> DataKind:
        """What the model was trained on."""
        kind: DataKind = self.context.inputs["download"].facts["kind"]
        return kind

    @property
    def registered(self) -> str:
        """The model's name in the registry."""
        return self.champion.registered

    @property
    def champion(self) -> ChampionRef:
        """The champion that this release competes with."""
        scope = self.spec.scope(self.context.config)
        return ChampionRef(self.spec.name, scope, self.data_kind == "sample")

    def find_holds(self) -> list[Hold]:
        """Why the model must not become champion without a person's approval."""
        import pandas as pd

        from regrow.checks.drift import severe_columns
        from regrow.checks.validation import compare_to_reference
        from regrow.registry.champions import find_reference

        clean = self.context.inputs["clean"]
        holds = [*self.holds, *self._find_approval()]
        # Compared again, as the champion may be another than when the data was validated.
        reference = find_reference(self.champion, self.settings, data_digest=clean.digest)
        if reference is None:
            return holds
        frame = pd.read_parquet(clean.file("table.parquet"))
        severe = severe_columns(compare_to_reference(frame, reference))
        changed = f"the data has changed drastically in {', '.join(severe)}"
        return [*holds, *([Hold("drift", changed)] if severe else [])]

    def _find_approval(self) -> list[Hold]:
        """Whether every version of this model, or of this deployment, needs a person's approval."""
        if self.spec.gate.approve:
            return [Hold("approval", "every version of this model needs one")]
        if self.settings.require_approval:
            return [Hold("approval", "REGROW_REQUIRE_APPROVAL asks for one")]
        return []

    def find_weakness(self, headline: Headline, score: Mapping[str, float]) -> list[Hold]:
        """Why the model must not become the first champion without a person's approval.

        A champion on the shipped sample is there to try things out, however good it is.
        """
        gate, simplest = self.spec.gate, headline.simplest
        measured_alike = (headline.metric, headline.direction) == (gate.metric, gate.direction)
        if simplest is None or not measured_alike or self.data_kind == "sample":
            return []
        value = score.get(gate.metric, math.nan)
        is_better = (
            value < simplest.value if gate.direction == "minimize" else value > simplest.value
        )
        if is_better:
            return []
        return [
            Hold(
                "baseline",
                f"it is not better than the simplest baseline, {simplest.name}: {gate.metric} "
                f"{value:.5g} against {simplest.value:.5g}",
            )
        ]

    @property
    def data_version(self) -> str:
        """A short name of the data."""
        return "-".join(
            source["sha256"][:8] for source in self.context.inputs["download"].facts["sources"]
        )


def describe_release(request: PublishRequest, evaluation: Evaluation) -> Release:
    """The release as the registry takes it."""
    inputs = request.context.inputs
    train, evaluate = inputs["train"], inputs["evaluate"]
    history = History.read(train.file(HISTORY))
    figures = [name for name in evaluate.manifest.files if name.startswith("figures/")]
    return Release(
        # The model and its figures make a release; another report on them does not.
        key=digest_json([train.digest, evaluate.digest]),
        run_name=f"{name_request(request.request)} data {request.data_version}",
        title=request.spec.title,
        description=_describe(request),
        params=flatten({"preset": request.request.preset, **request.request.config}),
        metrics=evaluation.metrics,
        curves={
            f"{run.run}/{name}": values
            for run in history.runs
            for name, values in run.curves.items()
        },
        tags=_tag(request),
        model=train.file("model.keras"),
        example=train.file("example.npz"),
        pip_requirements=list_requirements(request.spec.serving),
        serving=request.spec.serving,
        files=[
            (train.file("profile.json"), ""),
            (train.file(HISTORY), ""),
            (evaluate.file(FILE), ""),
            (inputs["validate"].file("validation.html"), ""),
            *((evaluate.file(name), str(Path(name).parent)) for name in figures),
        ],
    )


def _describe(request: PublishRequest) -> str:
    """What the run's page says of it, as Markdown."""
    changes = [f"{n} = {v}" for n, v in list_overrides(request.request).items()]
    settings = f"preset {request.request.preset}, {', '.join(changes) or 'unchanged'}"
    return (
        f"**{request.spec.name}**: {request.spec.title}\n\n"
        f"- settings: {settings}\n"
        f"- data: {request.data_kind}, version {request.data_version}\n"
        f"- command: `{describe_command(request.request)}`\n"
    )


def ask_git(folder: Path, *arguments: str) -> str | None:
    """What git says of the checkout; None where there is no git or no checkout."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _tag(request: PublishRequest) -> dict[str, str]:
    inputs = request.context.inputs
    return {
        "regrow.data_kind": request.data_kind,
        "regrow.data_version": request.data_version,
        "regrow.data_digest": inputs["clean"].digest,
        LIBRARIES: json.dumps(inputs["train"].manifest.components["libraries"]),
        "regrow.git_commit": ask_git(request.settings.project, "rev-parse", "HEAD") or "unknown",
        **{f"regrow.fingerprint.{k}": e.manifest.fingerprint for k, e in inputs.items()},
    }
