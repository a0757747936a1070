"""The one way for the data: which stages there are, what each needs, and how one is run.

Nothing here knows Prefect: flows call `run_stage` once a stage, in the order of `STAGES`, and hand
on nothing but `StageRef`s.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict

from regrow.base.decision import Hold
from regrow.base.digests import digest_json
from regrow.base.errors import SourceError, UserError
from regrow.base.progress import Progress, report
from regrow.base.project import list_packages
from regrow.base.project_file import PACKAGE_DIR
from regrow.base.settings import Settings
from regrow.base.spec import ModelSpec, StageSpec, load, module_of
from regrow.base.threads import bounded_threads
from regrow.pipeline.origins import naming_origins
from regrow.pipeline.request import RunRequest, find_holds
from regrow.registry.lookup import decision_holds
from regrow.sources import fetch as sources
from regrow.sources.catalog import Source, declared_sources
from regrow.sources.packed import archive_kind
from regrow.sources.refresh import check_source, must_look
from regrow.sources.retries import make_retries
from regrow.sources.versions import current_sources
from regrow.store.code import Codebase
from regrow.store.context import SettingsView, StageContext
from regrow.store.entry import MANIFEST, Entry
from regrow.store.fingerprint import Components, collect
from regrow.store.store import Store, open_store

if TYPE_CHECKING:
    from regrow.checks.expectations import Expectation

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

# The code of regrow that a stage's result depends on, in addition to the model's.
ENGINE_CODE: Mapping[Stage, tuple[str, ...]] = {
    "download": ("regrow.sources.fetch",),
    "validate": ("regrow.checks.validation",),
    "publish": ("regrow.pipeline.publish",),
}


# What a source's declaration says for people; the report and the card print it.
STATED = {"title", "licence", "citation", "homepage", "doi"}


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
    """A reference to a finished stage: all that tasks hand to one another.

    Attributes:
        digest: of the contents of its files.
        manifest_digest: of its facts, among others; "" in records of older runs.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    stage: Stage
    fingerprint: str
    digest: str
    cached: bool
    seconds: float
    manifest_digest: str = ""


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
        for name, path in self.request.sources.items():
            sources.check_local(self._declared[name], path)
            if self.spec.check_file and archive_kind(path) is None:
                load(self.spec.check_file)(path, training=True)

    def find_stage(self, stage: Stage, inputs: Mapping[Stage, StageRef]) -> StageRef | None:
        """What `run_stage` would find; None if it would have to make a result, or to download.

        Imports none of the libraries that make results.

        Raises:
            UserError: a local file cannot be read, or the registry.
        """
        started = time.monotonic()
        unpinned = self._list_unpinned() if self.request.data != "sample" else []
        if any(self._declared[name].remote.path is None for name in unpinned):
            return None  # its version is what it holds now
        digests = {name: ref.digest for name, ref in inputs.items()}
        components = self.components(stage, digests, sample=self.request.data == "sample")
        entry = self.store.find_valid(
            self.spec.name, stage, digest_json(components), partial(self.holds, stage)
        )
        return None if entry is None else _refer(entry, True, started)

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
            UserError: it is gone, damaged, or not the one that was referred to.
        """
        entry = self.store.find(ref.model, ref.stage, ref.fingerprint)
        if entry is None:
            raise UserError(
                f"the result of stage {ref.stage} is no longer in the store",
                where=str(self.settings.home),
                received=f"no whole entry {ref.fingerprint[:12]}",
                remedies=[f"regrow run {ref.model} makes it again"],
            )
        # A decision may have been made again since, for the same fingerprint.
        expected = ref.manifest_digest if ref.stage != "publish" else ""
        if expected and entry.manifest.manifest_digest != expected:
            raise UserError(
                f"the result of stage {ref.stage} is not the one that this run found or made",
                where=str(entry.path / MANIFEST),
                received=f"digest {entry.manifest.manifest_digest}",
                expected=f"digest {expected}",
                remedies=[f"remove {entry.path}; regrow run {ref.model} makes it again"],
            )
        return entry

    def components(
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
            inputs = {name: self._source_version(name, sample) for name in self.sources}
            inputs |= {} if sample else self._find_optional()
        elif stage == "publish":
            roots.append(module_of(self.spec.gate.score))
        loads_models = stage in ("evaluate", "publish")
        codebase = Codebase(list_packages())
        return collect(
            roots,
            codebase=codebase,
            config=self._read_settings(stage),
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

    def _read_settings(self, stage: Stage) -> dict[str, Any]:
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
                "holds": [asdict(hold) for hold in self._holds],
                "tracking": digest_json(self.settings.registry_identity)[:12],
            }
            for name in self.sources:
                stated = self._sources[name].model_dump(include=STATED)
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

    @property
    def _may_fall_back(self) -> bool:
        return self.request.data == "real-or-sample" and not self.request.sources

    def _have_sample(self) -> bool:
        """Whether a sample can stand in; what an installed package brings has none."""
        return any(self._sources[name].sample for name in self.sources)

    @cached_property
    def _holds(self) -> list[Hold]:
        chosen = self._sources  # first, as this records what is new in local files
        current = current_sources(self._declared, self.settings.home)
        older = [
            name
            for name, source in chosen.items()
            if source.version != current[name].version and not source.left_out
        ]
        return find_holds(self.spec, self.request, older)

    @cached_property
    def _declared(self) -> dict[str, Source]:
        catalog = declared_sources(self.settings)
        return {name: catalog[name] for name in self.spec.sources}

    @cached_property
    def _sources(self) -> dict[str, Source]:
        """Read once, so that a refresh in between cannot part a fingerprint from its data."""
        if self.request.data != "sample":
            self._look_at_unpinned()
        return current_sources(self._declared, self.settings.home, self.request.versions)

    def _list_unpinned(self) -> list[str]:
        given = {*self.request.sources, *self.request.versions}
        home = self.settings.home
        return [
            name
            for name in self.sources
            if name not in given and must_look(self._declared[name], home)
        ]

    def _look_at_unpinned(self) -> None:
        """Records what local files hold now, and what sources without a digest hold at first."""
        for name in self._list_unpinned():
            try:
                check_source(name, self.settings, report, allow_older=True)
            except SourceError:
                if not (self._may_fall_back and self._declared[name].sample):
                    raise

    def _source_version(self, name: str, sample: bool) -> str:
        return sources.source_version(
            self._sources[name],
            sample=sample,
            local=self.request.sources.get(name),
            data_dir=self._sources[name].folder,
        )

    def _find_optional(self) -> dict[str, str]:
        """Which sources that may be missing are at hand, so that one that comes later is taken."""
        downloads, mirror = self.settings.home.downloads, self.settings.mirror
        return {
            f"{name} at hand": str(sources.is_at_hand(self._sources[name], downloads, mirror))
            for name in self.sources
            if self._sources[name].optional and not self._sources[name].left_out
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
                    downloads=self.settings.home.downloads,
                    mirror=self.settings.mirror,
                    local=self.request.sources.get(name),
                    sample=sample,
                    data_dir=self._sources[name].folder,
                    progress=progress,
                    # With the sample to fall back to, nobody waits for a network that is not there.
                    retries=make_retries(self.settings, attempts=1 if self._may_fall_back else 4),
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

        @bounded_threads(components["libraries"])
        def make(out: Any, scratch: Any) -> dict[str, Any]:
            entries: dict[str, Entry] = {n: self.entry(inputs[n]) for n in STAGES[stage]}
            context = StageContext(self._settings_of(stage), entries, out, scratch, progress)
            if stage == "validate":
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
                        self._sources,
                        cached,
                        self._holds,
                    )
                )
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
            entry.facts, settings.tracking_uri, settings.home
        )

    def _settings_of(self, stage: Stage) -> Any:
        """The settings as a stage gets them: only those that count in its fingerprint."""
        config = self.spec.config.model_validate(self.request.config)
        if stage == "publish":  # all of them count
            return config
        names = self._read_settings(stage)
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
