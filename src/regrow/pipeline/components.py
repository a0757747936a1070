"""What the result of each stage depends on, for one request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from regrow.base.digests import digest_json
from regrow.base.project import list_packages
from regrow.base.project_file import PACKAGE_DIR
from regrow.base.settings import Settings
from regrow.base.spec import ModelSpec, load, module_of
from regrow.pipeline.request import RunRequest
from regrow.pipeline.request_sources import RequestSources
from regrow.pipeline.stages import STAGES, Stage
from regrow.store.code import Codebase
from regrow.store.fingerprint import Components, collect

# The code of regrow that a stage's result depends on, in addition to the model's.
ENGINE_CODE: Mapping[Stage, tuple[str, ...]] = {
    "download": ("regrow.sources.fetch",),
    "validate": ("regrow.checks.validation",),
    "publish": ("regrow.pipeline.publish",),
}

# What a source's declaration says for people; the report and the card print it.
STATED = {"title", "licence", "citation", "homepage", "doi"}


@dataclass(frozen=True)
class StageComponents:
    """Collects the parts of a stage's fingerprint."""

    spec: ModelSpec
    request: RunRequest
    settings: Settings
    sources: RequestSources

    def collect(
        self, stage: Stage, digests: Mapping[Stage, str], *, sample: bool = False
    ) -> Components:
        """What this stage's result would depend on now; `digests` are those of its inputs.

        Raises:
            UserError: code of the stage is in no declared package, or cannot be followed.
        """
        spec = self.spec.stages.get(stage)
        roots = [*ENGINE_CODE.get(stage, ()), *(spec.code if spec else ())]
        inputs: dict[str, str] = {name: digests[name] for name in STAGES[stage]}
        if stage == "download":
            inputs = self.sources.list_versions(sample=sample)
        elif stage == "publish":
            roots.append(module_of(self.spec.gate.score))
        loads_models = stage in ("evaluate", "publish")
        codebase = Codebase(list_packages())
        return collect(
            roots,
            codebase=codebase,
            config=self.read_settings(stage),
            inputs=inputs,
            specification=self._specification(stage),
            settings=self.spec.config,
            files=self._files(stage, codebase),
            members=(load(spec.run.rpartition(".")[0]), spec.members)
            if spec and spec.members
            else None,
            declared=bool(self.spec.files),
            trained_by=[module_of(self.spec.stages["train"].run)] if loads_models else [],
            keras=self.settings.keras,
        )

    def read_settings(self, stage: Stage) -> dict[str, Any]:
        """The settings that a stage reads; the gate may read all."""
        if stage == "publish":
            return dict(self.request.config)
        spec = self.spec.stages.get(stage)
        return {name: self.request.config[name] for name in spec.config} if spec else {}

    def _specification(self, stage: Stage) -> dict[str, Any]:
        """What the model's specification says of a stage, by value."""
        found: dict[str, Any] = {}
        if stage in self.spec.stages:
            found["function"] = self.spec.stages[stage].run
        if stage in ("validate", "publish"):
            found["id_column"] = self.spec.id_column
        if stage == "publish":
            found |= {
                "gate": asdict(self.spec.gate),
                "scope": self.spec.scope(self.spec.config.model_validate(self.request.config)),
                "text": digest_json([self.spec.name, self.spec.title, self.spec.description]),
                "card": self.spec.card and digest_json(asdict(self.spec.card))[:12],
                "preset": self.request.preset,
                "holds": [asdict(hold) for hold in self.sources.holds],
                "tracking": digest_json(self.settings.registry_identity)[:12],
            }
            for name in self.sources.names:
                stated = self.sources.chosen[name].model_dump(include=STATED)
                found[f"source {name}"] = digest_json(stated)[:12]
        return found

    def _files(self, stage: Stage, codebase: Codebase) -> dict[str, Path]:
        """The files that count as code: templates of pages, and what the model declares."""
        files = {}
        if stage in ("validate", "publish"):
            for path in sorted((PACKAGE_DIR / "report" / "templates").glob("*.j2")):
                files[f"regrow/report/templates/{path.name}"] = path
        if stage in self.spec.stages or stage == "publish":
            files |= {name: codebase.locate(name) for name in self.spec.files}
        return files
