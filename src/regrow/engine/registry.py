"""The registry: releases as versions of an MLflow model, and the pointer to the champion.

The only file that imports MLflow. A release is made in an order in which every moment may be the
last: the run and its model, then the version (which marks them complete), then the decision as a
tag of the version, then the alias, then the mark that the decision was carried out, then the log.
Releasing again under the same key goes on where it stopped. A rollback that was killed on its way
is ended by the next release or rollback.
"""

from __future__ import annotations

import importlib
import json
import logging
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from regrow.engine.errors import UserError
from regrow.engine.gate import Decision, append_decision, now, parse_decision, read_decisions
from regrow.engine.locks import exclusive
from regrow.engine.secrets import USER_INFO, hide_secrets

CHAMPION, CHALLENGER = "champion", "challenger"
KEY, DECISION, CARRIED_OUT = "regrow.key", "regrow.decision", "regrow.carried_out"
# A rollback that was decided and is not yet both carried out and logged.
ROLLBACK = "regrow.rollback"
MODEL_PATH = "model"

Judge = Callable[[int, int | None, Any | None, str | None], Decision]
"""Called as `judge(version, champion_version, champion_model, trouble)`."""


@dataclass(frozen=True)
class Release:
    """What is to be published.

    Attributes:
        key: the same key is the same release: it gets one version.
        run_name: the name of the MLflow run.
        params: the settings, flat.
        metrics: the final figures.
        curves: per-epoch values by metric name.
        tags: data version, fingerprints and the like.
        model: the .keras file.
        example: an .npz with `inputs` and `outputs`: what the model answers.
        files: files by their folder among the run's artifacts ("" for none).
        pip_requirements: what is needed to load the model; given, since inferring takes half a
            minute.
    """

    key: str
    run_name: str
    params: Mapping[str, Any]
    metrics: Mapping[str, float]
    curves: Mapping[str, Sequence[float]]
    tags: Mapping[str, str]
    model: Path
    example: Path
    pip_requirements: Sequence[str]
    files: Sequence[tuple[Path, str]] = field(default_factory=tuple)


@dataclass(frozen=True)
class Published:
    """A release that is in the registry."""

    version: int
    run_id: str
    run_url: str
    decision: Decision


@contextmanager
def _environment_kept(*names: str) -> Iterator[None]:
    """Takes back what MLflow writes into the environment, from where later runs would read it."""
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


class Registry:
    """One registered model.

    Args:
        tracking_uri: MLflow's database or server.
        name: the registered model's name, also the experiment's.
        home: where locks and, for a database of our own, artifacts are.
        decisions: the append-only log.
    """

    def __init__(
        self,
        tracking_uri: str,
        name: str,
        *,
        home: Path,
        decisions: Path,
        modules: Sequence[str] = (),
    ) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("DO_NOT_TRACK", "1")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        # Its default of seven tries keeps a person waiting for minutes on an absent server.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
        for chatty in ("mlflow", "alembic"):
            logging.getLogger(chatty).setLevel(logging.ERROR)
        import mlflow

        home.mkdir(parents=True, exist_ok=True)
        self.name = name
        self.tracking_uri = tracking_uri
        self.home = home
        self.decisions = decisions
        self.modules = modules
        with _environment_kept("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
            mlflow.set_tracking_uri(tracking_uri)
            mlflow.set_registry_uri(tracking_uri)
        # The libraries' own set-up of their logs comes with the import.
        for chatty in ("mlflow", "alembic"):
            logging.getLogger(chatty).setLevel(logging.ERROR)
        try:
            self._make_database()
            self.client = mlflow.MlflowClient()
            self.client.search_registered_models(max_results=1)
        except Exception as error:
            if tracking_uri.startswith("http"):
                raise ConnectionError(
                    hide_secrets(f"no MLflow server answers at {tracking_uri}: {error}")
                ) from error
            raise UserError(
                "MLflow's database cannot be opened",
                where=tracking_uri,
                received=str(error).splitlines()[0],
                remedies=[
                    "restore it from a backup, or move it away: a new one is made",
                    "name another by MLFLOW_TRACKING_URI",
                ],
            ) from error

    def _make_database(self) -> None:
        """A new SQLite file, made beside its place: MLflow cannot go on with a half-made one."""
        import mlflow

        path = Path(self.tracking_uri.removeprefix("sqlite:///"))
        if not self.tracking_uri.startswith("sqlite:///") or path.exists():
            return
        with exclusive(self.home / "locks" / "mlflow-database.lock"):
            if path.exists():
                return
            # A folder, as a killed attempt leaves SQLite's journal beside the file.
            making = path.with_name(f".{path.name}.making")
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir(parents=True)
            uri = f"sqlite:///{making / path.name}"
            mlflow.MlflowClient(uri, uri).search_registered_models(max_results=1)
            (making / path.name).replace(path)
            making.rmdir()

    def champion(self) -> Any | None:
        """The champion's model version, or None."""
        return self._by_alias(CHAMPION)

    def load(self, version: int) -> Any:
        """The Keras model of a version.

        Raises:
            DataError: its file holds code, or layers that are not known.
        """
        import mlflow

        from regrow.engine.inference import explain_unloadable

        self._import_layers()
        uri = f"models:/{self.name}/{version}"
        options = {"safe_mode": True, "compile": False}
        try:
            return mlflow.keras.load_model(uri, load_model_kwargs=options)
        except (ValueError, TypeError, KeyError) as error:
            raise explain_unloadable(error, uri) from error

    def _import_layers(self) -> None:
        """A model's own layers are registered with Keras when its module is imported."""
        for module in self.modules:
            importlib.import_module(module)

    def find(self, version: int | None) -> Any:
        """A version, or the champion for None.

        Raises:
            UserError: there is no such version, or no champion.
        """
        found = self.champion() if version is None else self._get(version)
        if found is None:
            wanted = "champion" if version is None else f"version {version}"
            known = ", ".join(str(v.version) for v in self.versions()) or "none"
            raise UserError(
                f"{self.name} has no {wanted}",
                where=self.tracking_uri,
                expected=f"one of the versions: {known}",
                remedies=[f"regrow run {self.name.partition('.')[0]} trains and publishes one"],
            )
        return found

    def versions(self) -> list[Any]:
        """All versions, the newest first."""
        found = self.client.search_model_versions(f"name='{self.name}'")
        return sorted(found, key=lambda version: -int(version.version))

    def names(self) -> list[str]:
        """Every registered model of this database or server."""
        names: list[str] = []
        token: str | None = None
        while True:
            page = self.client.search_registered_models(page_token=token)
            names += [found.name for found in page]
            token = page.token
            if not token:
                return names

    def in_use(self, newest: int) -> list[Any]:
        """The versions that people still ask for: champion, challenger and so many newest."""
        aliased = [self._by_alias(CHAMPION), self._by_alias(CHALLENGER)]
        found = {v.version: v for v in (*aliased, *self.versions()[:newest]) if v is not None}
        return list(found.values())

    def artifact(self, version: Any, name: str) -> Path:
        """A file of the run that made a version, on this machine."""
        import mlflow

        return Path(mlflow.artifacts.download_artifacts(run_id=version.run_id, artifact_path=name))

    def release_of(self, version: Any) -> tuple[Release, Decision | None]:
        """A version as the release that it was made from, its files on this machine.

        Returns:
            The release, and the decision that was taken on it.
        """
        import mlflow

        run = self.client.get_run(version.run_id)
        folder = self.artifact(version, "")
        uri = f"models:/{self.name}/{version.version}"
        logged = Path(mlflow.artifacts.download_artifacts(uri))
        curves, metrics = {}, {}
        for name in run.data.metrics:
            points = self.client.get_metric_history(version.run_id, name)
            if len(points) > 1:
                curves[name] = [point.value for point in sorted(points, key=lambda p: p.step)]
            else:
                metrics[name] = run.data.metrics[name]
        own = {name: value for name, value in run.data.tags.items() if name.startswith("regrow.")}
        release = Release(
            key=own.pop(KEY),
            run_name=run.info.run_name,
            params=run.data.params,
            metrics=metrics,
            curves=curves,
            tags=own,
            model=next(logged.rglob("model.keras")),
            example=folder / "example.npz",
            pip_requirements=(logged / "requirements.txt").read_text().split(),
            files=[
                (path, path.parent.relative_to(folder).as_posix().removeprefix("."))
                for path in sorted(folder.rglob("*"))
                if path.is_file() and path != folder / "example.npz"
            ],
        )
        taken = version.tags.get(DECISION)
        return release, parse_decision(json.loads(taken)) if taken else None

    def publish(self, release: Release, judge: Judge) -> Published:
        """Registers a release, once a key, and lets the gate decide on the champion."""
        with exclusive(self.home / "locks" / f"{self.name}-registry.lock"):
            self._end_rollbacks()
            version = self._find_key(release.key)
            if version is None:
                self._remove_half_written(release.key)
                version = self._register(release)
            decision = self._decide(version, judge)
        append_decision(self.decisions, decision)
        url = self._run_url(version.run_id)
        return Published(int(version.version), version.run_id, url, decision)

    def attach(self, run_id: str, files: Sequence[tuple[Path, str]]) -> None:
        """Adds files to a run's artifacts, each with its folder there ("" for none)."""
        for path, folder in files:
            self.client.log_artifact(run_id, str(path), folder or None)

    def rollback(self, version: int | None = None) -> Decision:
        """Makes an earlier version the champion again, after it was loaded and run.

        Args:
            version: which; None for the champion before the present one.

        Raises:
            UserError: no such version, or it no longer answers as it did. Nothing moves then.
        """
        with exclusive(self.home / "locks" / f"{self.name}-registry.lock"):
            self._end_rollbacks()
            present = self.champion()
            before = int(present.version) if present else None
            target = self.find(version if version is not None else self._previous(before))
            number = int(target.version)
            if number == before:
                raise UserError(
                    f"version {number} of {self.name} is the champion already",
                    expected="an earlier version",
                    remedies=[f"regrow log {self.name.partition('.')[0]} shows them"],
                )
            self._prove(target)
            decision = Decision(
                model=self.name,
                action="rolled-back",
                version=number,
                champion_before=before,
                champion_after=number,
                metric="",
                challenger=None,
                champion=None,
                margin=0.0,
                reason=f"rolled back from version {before} to version {number}, "
                "which was loaded and answers as it did",
                data_version=target.tags.get("regrow.data_version", ""),
                key=f"rollback-{number}-{now()}",
                at=now(),
            )
            self._tag(number, ROLLBACK, json.dumps(asdict(decision)))
            self._end_rollbacks()
        return decision

    def _end_rollbacks(self) -> None:
        """Carries out and logs what was decided: just now, or by a process that was killed."""
        for version in self.versions():
            if ROLLBACK in version.tags:
                decision = parse_decision(json.loads(version.tags[ROLLBACK]))
                self.client.set_registered_model_alias(self.name, CHAMPION, str(version.version))
                append_decision(self.decisions, decision)
                self.client.delete_model_version_tag(self.name, str(version.version), ROLLBACK)

    def _previous(self, champion: int | None) -> int:
        """The champion before the present one, as the log has it."""
        for decision in reversed(read_decisions(self.decisions)):
            before = decision.champion_before
            if decision.champion_after == champion and before is not None and before != champion:
                return before
        raise UserError(
            f"{self.name} has had no other champion",
            where=str(self.decisions),
            remedies=["name a version: regrow rollback MODEL VERSION"],
        )

    def _prove(self, version: Any) -> None:
        """Loads a version and compares its answers with those it was published with."""
        from regrow.engine.inference import find_difference

        try:
            model = self.load(int(version.version))
            difference = find_difference(model, self.artifact(version, "example.npz"))
        except Exception as error:
            received = getattr(error, "received", None) or f"{type(error).__name__}: {error}"
            raise self._broken(version, received) from error
        if difference:
            raise self._broken(version, difference)

    def _broken(self, version: Any, received: str) -> UserError:
        return UserError(
            f"version {version.version} of {self.name} cannot be used; the champion stays",
            where=self.tracking_uri,
            received=received.splitlines()[0][:200],
            expected="the answers that it was published with",
            remedies=["name another version", "train again: regrow run"],
        )

    def _register(self, release: Release) -> Any:
        import mlflow
        from mlflow.models import infer_signature

        from regrow.engine.inference import load_example, load_model

        self._import_layers()
        model = load_model(release.model)
        signature = infer_signature(*load_example(release.example))
        experiment = self._experiment()
        with mlflow.start_run(
            experiment_id=experiment,
            run_name=release.run_name,
            tags={KEY: release.key, **release.tags},
        ) as run:
            mlflow.log_params({name: str(value)[:500] for name, value in release.params.items()})
            self._log_curves(run.info.run_id, release)
            self.attach(run.info.run_id, [*release.files, (release.example, "")])
            logged = mlflow.keras.log_model(
                model,
                name=MODEL_PATH,
                signature=signature,
                pip_requirements=list(release.pip_requirements),
            )
        if not self.client.search_registered_models(f"name='{self.name}'"):
            self.client.create_registered_model(self.name)
        version = self.client.create_model_version(
            self.name,
            source=logged.model_uri,
            run_id=run.info.run_id,
            model_id=logged.model_id,
            tags={KEY: release.key, **release.tags},
        )
        self.client.set_registered_model_alias(self.name, CHALLENGER, version.version)
        return version

    def _decide(self, version: Any, judge: Judge) -> Decision:
        """The decision on a version: a new one, or the one that was taken and perhaps cut short."""
        number = int(version.version)
        tags = self.client.get_model_version(self.name, str(number)).tags
        if DECISION in tags:
            decision = parse_decision(json.loads(tags[DECISION]))
        else:
            decision = self._judge(number, judge)
            self._tag(number, DECISION, json.dumps(asdict(decision)))
        if CARRIED_OUT not in tags:
            if decision.moves_alias:
                self.client.set_registered_model_alias(self.name, CHAMPION, str(number))
                self._drop_challenger(number)
            self._tag(number, CARRIED_OUT, now())
        return decision

    def _judge(self, number: int, judge: Judge) -> Decision:
        champion = self.champion()
        if champion is None:
            return judge(number, None, None, None)
        try:
            model, trouble = self.load(int(champion.version)), None
        except Exception as error:  # whatever is wrong with it, it cannot defend its place
            model, trouble = None, f"{type(error).__name__}: {error}".splitlines()[0]
        return judge(number, int(champion.version), model, trouble)

    def _drop_challenger(self, number: int) -> None:
        challenger = self._by_alias(CHALLENGER)
        if challenger is not None and int(challenger.version) == number:
            self.client.delete_registered_model_alias(self.name, CHALLENGER)

    def _tag(self, number: int, key: str, value: str) -> None:
        self.client.set_model_version_tag(self.name, str(number), key, value)

    def _find_key(self, key: str) -> Any | None:
        return next((v for v in self.versions() if v.tags.get(KEY) == key), None)

    def _remove_half_written(self, key: str) -> None:
        """Deletes what a killed attempt left: a run without a version."""
        import mlflow
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        experiment = self._experiment()

        def delete(place: str) -> None:
            get_artifact_repository(place).delete_artifacts()  # type: ignore[no-untyped-call]

        for run in self.client.search_runs([experiment], f"tags.`{KEY}` = '{key}'"):
            models = mlflow.search_logged_models(
                [experiment], f"source_run_id='{run.info.run_id}'", output_format="list"
            )
            for model in models:
                delete(model.artifact_location)
                self.client.delete_logged_model(model.model_id)
            delete(run.info.artifact_uri)
            self.client.delete_run(run.info.run_id)

    def _experiment(self) -> str:
        found = self.client.get_experiment_by_name(self.name)
        if found is not None:
            return str(found.experiment_id)
        own = self.tracking_uri.startswith("sqlite:")
        place = (self.home / "mlartifacts" / self.name).as_uri() if own else None
        return str(self.client.create_experiment(self.name, artifact_location=place))

    def _log_curves(self, run_id: str, release: Release) -> None:
        from mlflow.entities import Metric

        metrics = [
            Metric(name, value, 0, step)
            for name, values in release.curves.items()
            for step, value in enumerate(values)
            if math.isfinite(value)
        ]
        metrics += [Metric(n, v, 0, 0) for n, v in release.metrics.items() if math.isfinite(v)]
        # MLflow takes at most a thousand at once.
        for start in range(0, len(metrics), 1000):
            self.client.log_batch(run_id, metrics=metrics[start : start + 1000])

    def _by_alias(self, alias: str) -> Any | None:
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_model_version_by_alias(self.name, alias)
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise

    def _get(self, version: int) -> Any | None:
        from mlflow.exceptions import MlflowException

        try:
            return self.client.get_model_version(self.name, str(version))
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def _run_url(self, run_id: str) -> str:
        """Where a person sees the run: on the server, or on the one that `make ui` starts."""
        base = (
            self.tracking_uri if self.tracking_uri.startswith("http") else "http://127.0.0.1:5000"
        )
        experiment = self.client.get_run(run_id).info.experiment_id
        base = USER_INFO.sub("", base)  # a person opens it under a name of their own
        return f"{base.rstrip('/')}/#/experiments/{experiment}/runs/{run_id}"
