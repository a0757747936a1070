"""A model's pipeline: how each stage is run, or found in the store.

Nothing here knows Prefect: flows call `Pipeline.run_stage` once a stage, in the order of `STAGES`,
and hand on nothing but `StageRef`s.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.base.digests import digest_json
from regrow.base.errors import SourceError, UserError
from regrow.base.progress import Progress
from regrow.base.settings import Settings
from regrow.base.spec import ModelSpec, StageSpec, load
from regrow.base.threads import bounded_threads
from regrow.pipeline.components import StageComponents
from regrow.pipeline.disk import check_room
from regrow.pipeline.origins import naming_origins
from regrow.pipeline.request import RunRequest
from regrow.pipeline.request_sources import RequestSources
from regrow.pipeline.stages import STAGES, Stage, StageRef
from regrow.registry.lookup import decision_holds
from regrow.registry.release import PublishFacts
from regrow.store.context import SettingsView, StageContext
from regrow.store.entry import MANIFEST, Entry
from regrow.store.fingerprint import Components
from regrow.store.store import Store, open_store

if TYPE_CHECKING:
    from regrow.checks.expectations import Expectation


def _refer(entry: Entry, cached: bool, started: float) -> StageRef:
    manifest = entry.manifest
    stage: Any = manifest.stage
    return StageRef(
        model=manifest.model,
        stage=stage,
        fingerprint=manifest.fingerprint,
        digest=entry.digest,
        cached=cached,
        seconds=round(time.monotonic() - started, 3),
        manifest_digest=manifest.manifest_digest,
    )


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

    @cached_property
    def sources(self) -> RequestSources:
        """The sources that this request reads."""
        return RequestSources(self.spec, self.request, self.settings)

    def components(
        self, stage: Stage, digests: Mapping[Stage, str], *, sample: bool = False
    ) -> Components:
        """What a stage's result would depend on now; see `StageComponents.collect`."""
        return self._dependencies.collect(stage, digests, sample=sample)

    @cached_property
    def _dependencies(self) -> StageComponents:
        return StageComponents(self.spec, self.request, self.settings, self.sources)

    def run_stage(
        self, stage: Stage, inputs: Mapping[Stage, StageRef], progress: Progress
    ) -> StageRef:
        """Makes a stage's entry, or finds it whole under the same fingerprint.

        Raises:
            UserError: bad data, a source that no place gives, a diverged training.
        """
        started = time.monotonic()
        self.settings.keras.apply()
        if stage == "download":
            entry, cached = self._download(progress)
        else:
            entry, cached = self._build(stage, inputs, progress)
        return _refer(entry, cached, started)

    def check(self) -> None:
        """Finds mistakes that are known before anything is imported, downloaded or started.

        Raises:
            UserError: Keras's backend is not installed, or a local file is none.
            DataError: a local file is not what the model reads.
        """
        self.settings.keras.check_backend()
        self.sources.check_files()

    def find_stage(self, stage: Stage, inputs: Mapping[Stage, StageRef]) -> StageRef | None:
        """What `run_stage` would find; None if it would have to make a result, or to download.

        Imports none of the libraries that make results.

        Raises:
            UserError: a local file cannot be read, or the registry.
        """
        started = time.monotonic()
        if self.sources.must_ask:
            return None
        digests = {name: ref.digest for name, ref in inputs.items()}
        components = self.components(stage, digests, sample=self.sources.is_sample)
        entry = self.store.find_valid(
            self.spec.name, stage, digest_json(components), partial(self.holds, stage)
        )
        return None if entry is None else _refer(entry, True, started)

    def entry(self, ref: StageRef) -> Entry:
        """The stored entry behind a reference.

        Raises:
            UserError: it is gone, damaged, or not the one that was referred to.
        """
        entry = self.store.find(ref.model, ref.stage, ref.fingerprint)
        if entry is None:
            raise UserError(
                f"the result of stage {ref.stage} is no longer in the store",
                where=str(self.settings.home),
                received=f"no complete entry {ref.fingerprint[:12]}",
                remedies=[f"regrow run {ref.model} builds it again"],
            )
        # A decision may have been made again since, for the same fingerprint.
        expected = ref.manifest_digest if ref.stage != "publish" else ""
        if expected and entry.manifest.manifest_digest != expected:
            raise UserError(
                f"the result of stage {ref.stage} has changed since this run found or built it",
                where=str(entry.path / MANIFEST),
                received=f"digest {entry.manifest.manifest_digest}",
                expected=f"digest {expected}",
                remedies=[f"remove {entry.path}; regrow run {ref.model} builds it again"],
            )
        return entry

    def _download(self, progress: Progress) -> tuple[Entry, bool]:
        if self.sources.is_sample:
            return self._fetch(progress, sample=True)
        try:
            return self._fetch(progress, sample=False)
        except SourceError:
            if not self.sources.may_fall_back:
                raise
            return self._fetch(progress, sample=True)

    def _fetch(self, progress: Progress, *, sample: bool) -> tuple[Entry, bool]:
        components = self.components("download", {}, sample=sample)

        def make(out: Path, _scratch: Path) -> dict[str, Any]:
            if not sample:
                check_room(self.spec.name, "download", self.settings, self.sources.fetched)
            return self.sources.fetch(out, progress, sample=sample)

        fingerprint = digest_json(components)
        return self.store.build(self.spec.name, "download", fingerprint, components, make)

    def _build(
        self, stage: Stage, inputs: Mapping[Stage, StageRef], progress: Progress
    ) -> tuple[Entry, bool]:
        components = self.components(stage, {name: ref.digest for name, ref in inputs.items()})

        @bounded_threads(components["libraries"])
        def make(out: Any, scratch: Any) -> dict[str, Any]:
            check_room(self.spec.name, stage, self.settings)
            entries: dict[str, Entry] = {n: self.entry(inputs[n]) for n in STAGES[stage]}
            context = StageContext(self._settings_of(stage), entries, out, scratch, progress)
            if stage == "validate":
                table = entries["clean"].file("table.parquet")
                with naming_origins(entries["download"], table):
                    return self._validate(context)
            if stage == "publish":
                from regrow.pipeline.publish import publish
                from regrow.pipeline.release import PublishRequest

                cached: dict[str, tuple[bool, float]] = {
                    name: (ref.cached, ref.seconds) for name, ref in inputs.items()
                }
                return publish(
                    PublishRequest(
                        self.spec,
                        self.request,
                        self.settings,
                        context,
                        self.sources.chosen,
                        cached,
                        self.sources.holds,
                    )
                ).to_json()
            with naming_origins(entries.get("download")):
                facts: dict[str, Any] = load(self.spec.stages[stage].run)(context)
            return facts

        fingerprint = digest_json(components)
        holds = partial(self.holds, stage)
        return self.store.build(self.spec.name, stage, fingerprint, components, make, holds)

    def holds(self, stage: Stage, entry: Entry) -> bool:
        """Whether a stored result still holds. A decision on the champion may not: the registry
        can have changed since.

        Raises:
            UserError: the registry cannot be read.
        """
        settings = self.settings
        return stage != "publish" or decision_holds(
            PublishFacts.read(entry).decision, settings.tracking_uri, settings.home
        )

    def _settings_of(self, stage: Stage) -> Any:
        """The settings as a stage gets them: only those that count in its fingerprint."""
        config = self.spec.config.model_validate(self.request.config)
        if stage == "publish":  # all of them count
            return config
        names = self._dependencies.read_settings(stage)
        return SettingsView(config, names, f"stage {stage} of {self.spec.name}")

    def _validate(self, context: StageContext) -> dict[str, Any]:
        from regrow.checks.validation import validate_table
        from regrow.registry.champions import find_reference
        from regrow.registry.names import ChampionRef

        clean = context.inputs["clean"]
        sample = context.inputs["download"].facts["kind"] == "sample"
        scope = self.spec.scope(self.spec.config.model_validate(self.request.config))
        return validate_table(
            clean.file("table.parquet"),
            list_expectations(self.spec.stages["validate"]),
            context.out,
            failures=self.settings.home.failures / self.spec.name,
            id_column=self.spec.id_column,
            # Read when the data arrives and no part of the fingerprint: drift only warns, and a new
            # champion must not make the validation of unchanged data run again.
            reference=find_reference(
                ChampionRef(self.spec.name, scope, sample), self.settings, data_digest=clean.digest
            ),
        )


def list_expectations(stage: StageSpec) -> Sequence[Expectation]:
    """The expectations that a dotted path names, or those that the function there returns."""
    found: Any = load(stage.run)
    return found() if callable(found) else found  # type: ignore[no-any-return]
