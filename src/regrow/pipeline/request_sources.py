"""The sources of one request: which version of each is read, and how they are obtained."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from regrow.base.decision import Hold
from regrow.base.errors import SourceError
from regrow.base.progress import Progress, report
from regrow.base.settings import Settings
from regrow.base.spec import ModelSpec, load
from regrow.pipeline.request import RunRequest, find_holds
from regrow.sources import fetch
from regrow.sources.catalog import declared_sources
from regrow.sources.packed import archive_kind
from regrow.sources.refresh import check_source, must_look
from regrow.sources.retries import make_retries
from regrow.sources.source import Source
from regrow.sources.versions import current_sources


@dataclass(frozen=True)
class RequestSources:
    """The sources that a request reads, chosen once and then kept for the whole run."""

    spec: ModelSpec
    request: RunRequest
    settings: Settings

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The sources that this request reads."""
        return self.spec.needs(
            self.spec.config.model_validate(self.request.config), self.spec.sources
        )

    @cached_property
    def chosen(self) -> dict[str, Source]:
        """Read once, so that a refresh in between cannot part a fingerprint from its data."""
        if self.request.data != "sample":
            self._look_at_unpinned()
        return current_sources(self._declared, self.settings.home, self.request.versions)

    @property
    def fetched(self) -> list[Source]:
        """Those of the chosen sources that no local file replaces."""
        return [self.chosen[name] for name in self.names if name not in self.request.sources]

    @cached_property
    def holds(self) -> list[Hold]:
        """Why a version of this request is not promoted by itself."""
        chosen = self.chosen  # first, as this records what is new in local files
        current = current_sources(self._declared, self.settings.home)
        older = [
            name
            for name, source in chosen.items()
            if source.version != current[name].version and not source.left_out
        ]
        return find_holds(self.spec, self.request, older)

    @property
    def is_sample(self) -> bool:
        """Whether the sample was asked for, and not only allowed."""
        return self.request.data == "sample"

    @property
    def must_ask(self) -> bool:
        """Whether a source has no digest yet: its version is what it holds when it is asked."""
        return not self.is_sample and any(
            self._declared[name].remote.path is None for name in self._list_unpinned()
        )

    @property
    def may_fall_back(self) -> bool:
        """Whether the sample stands in where a source cannot be had, and is allowed to.

        What an installed package brings has no sample.
        """
        return self._allows_sample and any(self.chosen[name].sample for name in self.names)

    def check_files(self) -> None:
        """Finds mistakes in local files that are known before anything is imported.

        Raises:
            UserError: a local file is none.
            DataError: a local file is not what the model reads.
        """
        for name, path in self.request.sources.items():
            fetch.check_local(self._declared[name], path)
            if self.spec.check_file and archive_kind(path) is None:
                load(self.spec.check_file)(path, training=True)

    def data_version(self) -> str:
        """A short name of the data that this run asks for, known before anything is downloaded."""
        versions = [self._version(name, self.is_sample) for name in self.names]
        prefix = "sample-" if self.is_sample else ""
        return prefix + "-".join(version[:8] for version in versions)

    def list_versions(self, *, sample: bool) -> dict[str, str]:
        """The version of each source, and which of those that may be missing are at hand, so that
        one that comes later is taken.
        """
        versions = {name: self._version(name, sample) for name in self.names}
        if sample:
            return versions
        downloads, mirror = self.settings.home.downloads, self.settings.mirror
        return versions | {
            f"{name} at hand": str(fetch.is_at_hand(self.chosen[name], downloads, mirror))
            for name in self.names
            if self.chosen[name].optional and not self.chosen[name].left_out
        }

    def fetch(self, out: Path, progress: Progress, *, sample: bool) -> dict[str, Any]:
        """Puts every source's file into the folder `out`.

        Returns:
            Facts: kind ("real", "local" or "sample") and sources (those of each).

        Raises:
            SourceError: no place gives a source.
        """
        facts = [
            fetch.fetch(
                self.chosen[name],
                out,
                downloads=self.settings.home.downloads,
                mirror=self.settings.mirror,
                local=self.request.sources.get(name),
                sample=sample,
                data_dir=self.chosen[name].folder,
                progress=progress,
                # With the sample to fall back to, nobody waits for a network that is not there.
                retries=make_retries(self.settings, attempts=1 if self.may_fall_back else 4),
            )
            for name in self.names
        ]
        kinds = {fact["kind"] for fact in facts}
        kind = "sample" if "sample" in kinds else "local" if "local" in kinds else "real"
        return {"kind": kind, "sources": facts}

    @cached_property
    def _declared(self) -> dict[str, Source]:
        catalog = declared_sources(self.settings)
        return {name: catalog[name] for name in self.spec.sources}

    @property
    def _allows_sample(self) -> bool:
        return self.request.data == "real-or-sample" and not self.request.sources

    def _list_unpinned(self) -> list[str]:
        given = {*self.request.sources, *self.request.versions}
        home = self.settings.home
        return [
            name
            for name in self.names
            if name not in given and must_look(self._declared[name], home)
        ]

    def _look_at_unpinned(self) -> None:
        """Records what local files hold now, and what sources without a digest hold at first."""
        for name in self._list_unpinned():
            try:
                check_source(name, self.settings, report, allow_older=True)
            except SourceError:
                if not (self._allows_sample and self._declared[name].sample):
                    raise

    def _version(self, name: str, sample: bool) -> str:
        return fetch.source_version(
            self.chosen[name],
            sample=sample,
            local=self.request.sources.get(name),
            data_dir=self.chosen[name].folder,
        )
