"""The one way for the data: which stages there are, what each needs, and how one is run.

Nothing here knows Prefect: flows call `run_stage` once a stage, in the order of `STAGES`, and hand
on nothing but `StageRef`s.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from regrow.engine import sources
from regrow.engine.config import RunRequest, Settings
from regrow.engine.errors import SourceError, UserError
from regrow.engine.fingerprint import PACKAGE_DIR, Components, collect, digest_json
from regrow.engine.shared import open_store
from regrow.engine.source_list import Source
from regrow.engine.spec import ModelSpec, Progress, StageContext, load
from regrow.engine.store import Entry, Store
from regrow.engine.versions import current_sources

Stage = Literal["download", "clean", "validate", "train", "evaluate", "publish"]

# Every stage in order, with the stages whose results it reads. `train` reads the cleaned table and
# not the verdict on it: the order alone makes sure that validation passed, so that a changed
# expectation that still passes does not train again.
STAGES: Mapping[Stage, tuple[Stage, ...]] = {
    "download": (),
    "clean": ("download",),
    "validate": ("download", "clean"),
    "train": ("clean",),
    "evaluate": ("clean", "train"),
    "publish": ("download", "clean", "validate", "train", "evaluate"),
}

# The engine's own code that a stage's result depends on, beside the model's.
ENGINE_CODE: Mapping[Stage, tuple[str, ...]] = {
    "download": ("regrow.engine.sources",),
    "validate": ("regrow.engine.validation",),
    "publish": ("regrow.engine.publish",),
}


def check_stages(on: Mapping[Any, str]) -> None:
    """Makes sure that what is to be sent to work pools are stages.

    Raises:
        UserError: something is none.
    """
    if unknown := [stage for stage in on if stage not in STAGES]:
        raise UserError(
            "there is no such stage to send elsewhere",
            where="--on",
            received=", ".join(unknown),
            expected=", ".join(STAGES),
        )


class StageRef(BaseModel):
    """A reference to a finished stage: all that tasks hand to one another."""

    model_config = ConfigDict(frozen=True)

    model: str
    stage: Stage
    fingerprint: str
    digest: str
    cached: bool
    seconds: float


@dataclass(frozen=True)
class Pipeline:
    """One model's stages for one request on this machine."""

    spec: ModelSpec
    request: RunRequest
    settings: Settings

    @cached_property
    def store(self) -> Store:
        """The store that holds the stages' results."""
        return open_store(self.settings)

    def run_stage(
        self, stage: Stage, inputs: Mapping[Stage, StageRef], progress: Progress
    ) -> StageRef:
        """Makes a stage's entry, or finds it whole under the same fingerprint.

        Raises:
            UserError: bad data, a source that no place gives, a diverged training.
        """
        started = time.monotonic()
        if stage == "download":
            entry, cached = self._download(progress)
        else:
            entry, cached = self._build(stage, inputs, progress)
        return StageRef(
            model=self.spec.name,
            stage=stage,
            fingerprint=entry.manifest.fingerprint,
            digest=entry.digest,
            cached=cached,
            seconds=round(time.monotonic() - started, 3),
        )

    @property
    def sources(self) -> tuple[str, ...]:
        """The sources that this request reads."""
        config = self.spec.config.model_validate(self.request.config)
        return self.spec.needs(config, self.spec.sources)

    def data_version(self) -> str:
        """A short name of the data that this run asks for, known before anything is downloaded."""
        sample = self.request.data == "sample"
        versions = [self._source_version(name, sample) for name in self.sources]
        return ("sample-" if sample else "") + "-".join(version[:8] for version in versions)

    def entry(self, ref: StageRef) -> Entry:
        """The stored entry behind a reference.

        Raises:
            UserError: it is gone or damaged.
        """
        entry = self.store.find(ref.model, ref.stage, ref.fingerprint)
        if entry is None:
            raise UserError(
                f"the result of stage {ref.stage} is no longer in the store",
                where=str(self.settings.home),
                received=f"no whole entry {ref.fingerprint[:12]}",
                remedies=[f"regrow run {ref.model} makes it again"],
            )
        return entry

    def components(
        self, stage: Stage, digests: Mapping[Stage, str], *, sample: bool = False
    ) -> Components:
        """What this stage's result would depend on now; `digests` are those of its inputs."""
        spec = self.spec.stages.get(stage)
        roots = [*ENGINE_CODE.get(stage, ()), *([spec.run.partition(":")[0]] if spec else [])]
        config: dict[str, Any] = (
            {key: self.request.config[key] for key in spec.config} if spec else {}
        )
        files = []
        inputs: dict[str, str] = {name: digests[name] for name in STAGES[stage]}
        if stage == "download":
            inputs = {name: self._source_version(name, sample) for name in self.sources}
            inputs |= {} if sample else self._find_optional()
        elif stage == "publish":
            roots.append(self.spec.gate.score.partition(":")[0])
            config = {
                **self.request.config,
                "preset": self.request.preset,
                "tracking": digest_json(self.settings.tracking_uri)[:12],
                "gate": [self.spec.gate.metric, self.spec.gate.direction, self.spec.gate.margin],
            }
        if stage in ("validate", "publish"):
            files = sorted((PACKAGE_DIR / "engine" / "templates").glob("*.j2"))
        return collect(
            roots, config=config, inputs=inputs, files=files, backend=self.settings.backend
        )

    @property
    def _may_fall_back(self) -> bool:
        return self.request.data == "real-or-sample" and not self.request.sources

    def _have_sample(self) -> bool:
        """Whether a sample can stand in; what an installed package brings has none."""
        return any(self._sources[name].sample for name in self.sources)

    @cached_property
    def _sources(self) -> dict[str, Source]:
        """Read once, so that a refresh in between cannot part a fingerprint from its data."""
        settings = self.settings
        return current_sources(settings.data_dir, settings.home, self.request.versions)

    def _source_version(self, name: str, sample: bool) -> str:
        return sources.source_version(
            self._sources[name],
            sample=sample,
            local=self.request.sources.get(name),
            data_dir=self.settings.data_dir,
        )

    def _find_optional(self) -> dict[str, str]:
        """Which sources that may be missing are at hand, so that one that comes later is taken."""
        downloads, mirror = self.settings.home / "downloads", self.settings.mirror
        return {
            f"{name} at hand": str(sources.is_at_hand(self._sources[name], downloads, mirror))
            for name in self.sources
            if self._sources[name].optional
        }

    def _download(self, progress: Progress) -> tuple[Entry, bool]:
        if self.request.data == "sample":
            return self._fetch(progress, sample=True)
        try:
            return self._fetch(progress, sample=False)
        except SourceError:
            if not (self._may_fall_back and self._have_sample()):
                raise
            return self._fetch(progress, sample=True)

    def _fetch(self, progress: Progress, *, sample: bool) -> tuple[Entry, bool]:
        components = self.components("download", {}, sample=sample)

        def make(out: Any, _scratch: Any) -> dict[str, Any]:
            facts = [
                sources.fetch(
                    self._sources[name],
                    out,
                    downloads=self.settings.home / "downloads",
                    mirror=self.settings.mirror,
                    local=self.request.sources.get(name),
                    sample=sample,
                    data_dir=self.settings.data_dir,
                    progress=progress,
                    # With the sample to fall back to, nobody waits for a network that is not there.
                    retries=sources.Retries(attempts=1 if self._may_fall_back else 4),
                )
                for name in self.sources
            ]
            kinds = {fact["kind"] for fact in facts}
            kind = "sample" if "sample" in kinds else "local" if "local" in kinds else "real"
            return {"kind": kind, "sources": facts}

        fingerprint = digest_json(components)
        return self.store.build(self.spec.name, "download", fingerprint, components, make)

    def _build(
        self, stage: Stage, inputs: Mapping[Stage, StageRef], progress: Progress
    ) -> tuple[Entry, bool]:
        components = self.components(stage, {name: ref.digest for name, ref in inputs.items()})

        def make(out: Any, scratch: Any) -> dict[str, Any]:
            entries: dict[str, Entry] = {n: self.entry(inputs[n]) for n in STAGES[stage]}
            config = self.spec.config.model_validate(self.request.config)
            context = StageContext(config, entries, out, scratch, progress)
            if stage == "validate":
                return self._validate(context)
            if stage == "publish":
                from regrow.engine.publish import PublishRequest, publish

                cached: dict[str, tuple[bool, float]] = {
                    name: (ref.cached, ref.seconds) for name, ref in inputs.items()
                }
                return publish(
                    PublishRequest(self.spec, self.request, self.settings, context, cached)
                )
            facts: dict[str, Any] = load(self.spec.stages[stage].run)(context)
            return facts

        fingerprint = digest_json(components)
        return self.store.build(self.spec.name, stage, fingerprint, components, make)

    def _validate(self, context: StageContext) -> dict[str, Any]:
        from regrow.engine.publish import find_reference
        from regrow.engine.validation import validate_table

        clean = context.inputs["clean"]
        sample = context.inputs["download"].facts["kind"] == "sample"
        return validate_table(
            clean.file("table.parquet"),
            load(self.spec.stages["validate"].run),
            context.out,
            failures=self.settings.home / "failures" / self.spec.name,
            id_column=self.spec.id_column,
            # Read when the data arrives and no part of the fingerprint: drift only warns, and a new
            # champion must not make the validation of unchanged data run again.
            reference=find_reference(
                self.spec,
                self.settings,
                sample=sample,
                scope=self.spec.scope(context.config),
                data_digest=clean.digest,
            ),
        )
