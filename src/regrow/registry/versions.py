"""The versions of one registered model: finding, loading, registering and marking them.

`publication.py` and `reviews.py` say in which order versions, tags and aliases are written.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from regrow.base.addresses import database_path, is_own_database, reroot, reroot_database
from regrow.base.dashboards import Dashboards, find_dashboards, link_mlflow
from regrow.base.decision import Decision
from regrow.base.errors import DataError
from regrow.base.home import Home
from regrow.base.locks import exclusive
from regrow.base.model_digests import (
    MODEL,
    TAG,
    digest_models,
    digest_version,
    report_recorded,
)
from regrow.registry.gate import append_decision, retire_log
from regrow.registry.logs import claim_log, decision_log
from regrow.registry.lookup import no_such_run, no_such_version
from regrow.registry.mlflow import (
    add_artifacts,
    delete_artifacts,
    fetch_artifacts,
    get_or_none,
    open_client,
    read_curves,
    sync_artifacts,
    write_run,
)
from regrow.registry.names import CHAMPION, FROZEN, ChampionRef
from regrow.registry.release import Release

log = logging.getLogger(__name__)

CHALLENGER = "challenger"
KEY = "regrow.key"
# The tag of an experiment by which its page opens on trainings, and not on traces of chats.
KIND, TRAININGS = "mlflow.experimentKind", "custom_model_development"
# The decision on a version, and the key of the decision that was carried out.
DECISION, CARRIED_OUT = "regrow.decision", "regrow.carried_out"


class Registry:
    """One registered model.

    Args:
        tracking_uri: MLflow's database or server.
        name: the name of the registered model and of its experiment.
        home: where locks, decisions and, for a database, artifacts are.

    Raises:
        Unreachable: no server answers.
        UserError: the database cannot be opened.
    """

    def __init__(self, tracking_uri: str, name: str, home: Home) -> None:
        self.tracking_uri = tracking_uri
        self.name = name
        self.home = home
        self.decisions = decision_log(home, tracking_uri, name)
        self.lock = home.registry_lock(name)
        self.client = open_client(tracking_uri, home)
        self._artifacts = home.artifacts / name
        self._is_own = is_own_database(tracking_uri, home)

    def log_decision(self, decision: Decision) -> None:
        """Adds a decision to the log, once a key."""
        claim_log(self.home, self.tracking_uri)
        append_decision(self.decisions, decision)

    def champion(self) -> Any | None:
        """The champion's model version, or None."""
        return self.by_alias(CHAMPION)

    def by_alias(self, alias: str) -> Any | None:
        """The version that an alias points to, or None."""
        return get_or_none(self.client.get_model_version_by_alias, self.name, alias)

    def find(self, version: int | None) -> Any:
        """A version, or the champion for None.

        Raises:
            UserError: there is no such version, or no champion.
        """
        if version is None:
            found = self.champion()
        else:
            found = get_or_none(self.client.get_model_version, self.name, str(version))
        if found is None:
            known = [int(v.version) for v in self.versions()]
            raise no_such_version(self.name, version, known, self.tracking_uri)
        return found

    def versions(self) -> list[Any]:
        """All versions, the newest first."""
        found = self.client.search_model_versions(f"name='{self.name}'")
        return sorted(found, key=lambda version: -int(version.version))

    def in_use(self, newest: int) -> list[Any]:
        """The champion, the challenger and the `newest` versions."""
        aliased = [self.champion(), self.by_alias(CHALLENGER)]
        found = {v.version: v for v in (*aliased, *self.versions()[:newest]) if v is not None}
        return list(found.values())

    def load(self, version: int) -> Any:
        """The Keras model of a version, from its `.keras` file and no other of its artifacts.

        Raises:
            DataError: its file is not the one that was registered, or is not allowed to be loaded.
        """
        from regrow.training.inference import load_model

        return load_model(self.model_file(self.find(version)))

    def model_file(self, version: Any, folder: Path | None = None) -> Path:
        """The `.keras` file of a version, on this machine, after its digest was compared.

        Args:
            folder: where the version's files are, if they were downloaded already.

        Raises:
            DataError: it is not the one that was registered.
        """
        folder = folder or self.files(version)
        found = digest_models(folder)
        stated = version.tags.get(TAG)
        if stated is None and found:
            self._record(version, found)
        expected: dict[str, str] = json.loads(stated) if stated else found
        name, ref = next(iter(expected), MODEL), ChampionRef.parse(self.name)
        if found.get(name) is None or found[name] != expected[name]:
            raise DataError(
                f"the model of {self.name} version {version.version} differs from the registered "
                "model and was not loaded",
                where=str(folder / name),
                received=f"sha256 {found[name]}" if name in found else "no such file",
                expected=f"sha256 {expected[name]}" if expected else "a model",
                remedies=[
                    "restore the file from a backup",
                    f"go back to another version: regrow rollback {ref.arguments} VERSION",
                    f"retrain it: regrow run {ref.model}",
                ],
            )
        return folder / name

    def _record(self, version: Any, digests: dict[str, str]) -> None:
        """Adds the digests that a version lacks; who may only read can use it all the same."""
        try:
            self.set_tag(version.version, TAG, json.dumps(digests))
        except Exception as error:  # MLflow's servers and databases refuse in many ways
            log.warning("%s: cannot record the digest of its model: %s", self.name, error)
        else:
            report_recorded(self.name, version.version, digests)

    def files(self, version: Any) -> Path:
        """The folder of a version's files, on this machine."""
        place = self.client.get_model_version_download_uri(self.name, str(version.version))
        return fetch_artifacts(self._present(place))

    def artifact(self, version: Any, name: str) -> Path:
        """A file of the run that made a version, on this machine; "" for all of them."""
        return fetch_artifacts(self._run_address(version.run_id), name)

    def read_text(self, version: Any, name: str) -> str:
        """A text file of the run behind a version; "" if it has none of that name."""
        folder = self.artifact(version, "")
        path = folder / name
        return path.read_text(encoding="utf-8") if path.is_file() else ""

    def release_of(self, version: Any) -> Release:
        """The release that a version was made from, its files on this machine."""
        run = self._run(version.run_id)
        folder = self.artifact(version, "")
        logged = self.files(version)
        curves = read_curves(self.client, run)
        own = {name: value for name, value in run.data.tags.items() if name.startswith("regrow.")}
        example = folder / "example.npz"
        return Release(
            key=own.pop(KEY),
            run_name=run.info.run_name,
            params=run.data.params,
            metrics={name: v for name, v in run.data.metrics.items() if name not in curves},
            curves=curves,
            tags=own,
            model=self.model_file(version, logged),
            example=example,
            pip_requirements=(logged / "requirements.txt").read_text().split(),
            files=[
                (path, path.parent.relative_to(folder).as_posix().removeprefix("."))
                for path in sorted(folder.rglob("*"))
                if path.is_file() and path != example
            ],
        )

    def register(self, release: Release) -> Any:
        """Writes the run and its model, and then the version, which marks them as complete."""
        self._reroot()
        if not self._is_registered():
            retire_log(self.decisions)
        tags = {KEY: release.key, **release.tags}
        logged = write_run(self.client, self._experiment(), release, tags)
        if not self._is_registered():
            self.client.create_registered_model(self.name, description=release.title or None)
        place = self.client.get_logged_model(logged.model_id).artifact_location
        # A power cut must not leave a version without its files.
        sync_artifacts(self._run_address(logged.run_id))
        sync_artifacts(place)
        return self.client.create_model_version(
            self.name,
            source=logged.model_uri,
            run_id=logged.run_id,
            model_id=logged.model_id,
            description=release.description or None,
            tags={**tags, TAG: json.dumps(digest_version(fetch_artifacts(place)))},
        )

    def remove_runs(self, key: str) -> None:
        """Deletes the runs of a release, with their models and artifacts."""
        self._reroot()
        experiments = [self._experiment()]
        for run in self.client.search_runs(experiments, f"tags.`{KEY}` = '{key}'"):
            query = f"source_run_id='{run.info.run_id}'"
            for model in self.client.search_logged_models(experiments, query):
                delete_artifacts(model.artifact_location)
                self.client.delete_logged_model(model.model_id)
            delete_artifacts(run.info.artifact_uri)
            self.client.delete_run(run.info.run_id)

    def attach(self, run_id: str, files: Sequence[tuple[Path, str]]) -> None:
        """Adds files to a run's artifacts, each with its folder there ("" for none)."""
        with exclusive(self.lock):  # a backup must not copy half a file
            add_artifacts(self._run_address(run_id), files)

    def set_tag(self, version: int, name: str, value: str) -> None:
        """Sets a tag of a version."""
        self.client.set_model_version_tag(self.name, str(version), name, value)

    def delete_tag(self, version: int, name: str) -> None:
        """Deletes a tag of a version."""
        self.client.delete_model_version_tag(self.name, str(version), name)

    def set_alias(self, alias: str, version: int) -> None:
        """Lets an alias point to a version."""
        self.client.set_registered_model_alias(self.name, alias, str(version))

    def delete_alias(self, alias: str) -> None:
        """Deletes an alias."""
        self.client.delete_registered_model_alias(self.name, alias)

    def frozen(self) -> str | None:
        """By whom and why the champion is frozen; None if it is not."""
        found = get_or_none(self.client.get_registered_model, self.name)
        return found.tags.get(FROZEN) if found else None

    def freeze(self, why: str | None) -> None:
        """Marks the champion as frozen; None ends that."""
        if why is not None:
            self.client.set_registered_model_tag(self.name, FROZEN, why)
        elif self.frozen() is not None:
            self.client.delete_registered_model_tag(self.name, FROZEN)

    def end_challenge(self, version: int) -> None:
        """Takes the challenger's alias from a version that has become champion."""
        challenger = self.by_alias(CHALLENGER)
        if challenger is not None and int(challenger.version) == version:
            self.delete_alias(CHALLENGER)

    def run_url(self, run_id: str) -> str:
        """Where a person sees a run: on the server, or on the one that `make ui` starts."""
        own = self.tracking_uri
        if not own.startswith("http"):
            own = (find_dashboards(self.home) or Dashboards()).mlflow
        experiment = self._run(run_id).info.experiment_id
        return link_mlflow(own, f"experiments/{experiment}/runs/{run_id}")

    def _is_registered(self) -> bool:
        return bool(self.client.search_registered_models(f"name='{self.name}'"))

    def _run_address(self, run_id: str) -> str:
        return self._present(self._run(run_id).info.artifact_uri)

    def _run(self, run_id: str) -> Any:
        """MLflow's run behind a version; a DataError if it was deleted for good."""
        found = get_or_none(self.client.get_run, run_id)
        if found is None:
            raise no_such_run(self.name, run_id, self.tracking_uri)
        return found

    def _present(self, address: str) -> str:
        """Where an artifact is now, if the home was moved since it was written."""
        return reroot(address, self.name, self.home) if self._is_own else address

    def _reroot(self) -> None:
        if self._is_own:
            reroot_database(self.home)

    def _experiment(self) -> str:
        found = self.client.get_experiment_by_name(self.name)
        if found is not None:
            if found.lifecycle_stage != "active":  # a person deleted it; MLflow keeps the name
                self.client.restore_experiment(found.experiment_id)
            if KIND not in found.tags:
                self.client.set_experiment_tag(found.experiment_id, KIND, TRAININGS)
            return str(found.experiment_id)
        uri = self._artifacts.as_uri() if database_path(self.tracking_uri) else None
        made = self.client.create_experiment(
            self.name, artifact_location=uri, tags={KIND: TRAININGS}
        )
        return str(made)
