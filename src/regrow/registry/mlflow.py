"""MLflow: opening its server or database, and what its client alone cannot do.

MLflow is imported inside of functions: the import takes seconds.
"""

from __future__ import annotations

import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from regrow.base.addresses import database_address, database_path, local_path
from regrow.base.errors import Unreachable, UserError
from regrow.base.files import move_into_place, sync_folder
from regrow.base.home import Home
from regrow.base.locks import exclusive
from regrow.base.secrets import hide_secrets
from regrow.base.system_errors import explain
from regrow.base.variables import keep_variables
from regrow.registry.release import Release
from regrow.registry.schema import made_beside, match_schema
from regrow.registry.serving import export_release

MODEL_PATH, MODEL_FILE = "model", "MLmodel"
# The tag by which MLflow puts a run below another one.
PARENT = "mlflow.parentRunId"
# The tag of a run whose model answers in regrow only: why.
NOT_SERVED = "regrow.not_served"
# MLflow takes at most this many metrics in one request.
METRICS_PER_REQUEST = 1000
# By which MLflow would continue another run, log to another model, or log later.
RUN_VARIABLES = (
    "MLFLOW_RUN_ID",
    "MLFLOW_ACTIVE_MODEL_ID",
    "_MLFLOW_ACTIVE_MODEL_ID",
    "MLFLOW_ENABLE_ASYNC_LOGGING",
)


def is_absent(tracking_uri: str) -> bool:
    """Whether the tracking database is a file that does not exist yet: nothing is registered."""
    path = database_path(tracking_uri)
    return path is not None and not path.exists()


def list_registered_names(tracking_uri: str, home: Home) -> list[str]:
    """The names of all registered models.

    Raises:
        Unreachable: no server answers.
        UserError: the database cannot be opened.
    """
    client = open_client(tracking_uri, home)
    names: list[str] = []
    token: str | None = None
    while True:
        page = client.search_registered_models(page_token=token)
        names += [found.name for found in page]
        token = page.token
        if not token:
            return names


def open_client(tracking_uri: str, home: Home) -> Any:
    """An MLflow client of a server or of a database, which is created if it does not exist.

    Raises:
        Unreachable: no server answers.
        UserError: the database cannot be opened.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("DO_NOT_TRACK", "1")
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # With MLflow's default of seven attempts, an absent server is noticed after minutes.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    _silence_logs()
    with _environment_kept(*RUN_VARIABLES, unset=True):  # some are read at the import
        import mlflow

    with _environment_kept("MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"):
        mlflow.set_tracking_uri(tracking_uri)
        mlflow.set_registry_uri(tracking_uri)
    _silence_logs()  # the import configures the logs again
    try:
        path = database_path(tracking_uri)
        if path is not None and not path.exists():
            _create_database(path, home)
        elif path is not None:
            _match_schema(path, home)
        client = mlflow.MlflowClient()
        client.search_registered_models(max_results=1)
    except UserError:
        raise
    except Exception as error:
        if tracking_uri.startswith("http"):
            raise Unreachable(
                "the MLflow server does not respond",
                where=hide_secrets(tracking_uri),
                received=hide_secrets(str(error)),
                remedies=["check MLFLOW_TRACKING_URI, or start the server, and run again"],
            ) from error
        raise explain(error) or UserError(
            "MLflow's database cannot be opened",
            where=tracking_uri,
            received=str(error).splitlines()[0],
            remedies=[
                "restore it from a backup, or move it away so that a new one is created",
                "set MLFLOW_TRACKING_URI to another database",
            ],
        ) from error
    return client


def _silence_logs() -> None:
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.ERROR)


@contextmanager
def _environment_kept(*names: str, unset: bool = False) -> Iterator[None]:
    """Undoes what MLflow writes into the environment, from where later runs would read it.

    Args:
        unset: whether the variables are not to be seen by MLflow either.
    """
    with keep_variables(names):
        if unset:
            for name in names:
                os.environ.pop(name, None)
        yield


def _create_database(path: Path, home: Home) -> None:
    """Creates an SQLite file in a folder beside `path`: MLflow cannot continue a partial one."""
    import mlflow

    with exclusive(home.lock("mlflow-database")):
        if path.exists():
            return
        with made_beside(path) as made:
            uri = database_address(made)
            mlflow.MlflowClient(uri, uri).search_registered_models(max_results=1)
            move_into_place(made, path)


def _match_schema(path: Path, home: Home) -> None:
    import mlflow
    from mlflow.db import upgrade

    def upgrade_at(address: str) -> None:
        upgrade.main([address], standalone_mode=False)

    migrations = Path(mlflow.__file__).parent / "store" / "db_migrations"
    match_schema(path, home, migrations, upgrade_at, mlflow.__version__)


def get_or_none(query: Callable[..., Any], *arguments: str) -> Any | None:
    """What a query of the client finds, or None."""
    from mlflow.exceptions import MlflowException

    try:
        return query(*arguments)
    except MlflowException as error:
        if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
            return None
        raise


def fetch_artifacts(address: str, name: str = "") -> Path:
    """A file or folder below an address of artifacts, on this machine; "" for all of them.

    Artifacts of this machine are not opened through MLflow, which writes into a model's folder.

    Raises:
        Unreachable: this machine has no such artifacts, or none at the moment.
    """
    folder = local_path(address)
    if folder is not None:
        if not (folder / name).exists():
            raise Unreachable(
                "files of a registered version are missing",
                where=str(folder / name),
                expected="all files that were written at registration",
                remedies=[
                    "check that their disk is mounted",
                    "restore them from a backup",
                ],
            )
        return folder / name
    import mlflow

    whole = f"{address.rstrip('/')}/{name}".rstrip("/")
    return Path(mlflow.artifacts.download_artifacts(whole))


def add_artifacts(address: str, files: Sequence[tuple[Path, str]]) -> None:
    """Copies files below an address of artifacts, each with its folder there ("" for none)."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    # Not by the client, which remembers where a run's artifacts were.
    place = get_artifact_repository(address)
    for path, folder in files:
        place.log_artifact(str(path), folder or None)  # type: ignore[no-untyped-call]


def sync_artifacts(uri: str) -> None:
    """Waits until a folder of artifacts is on disk, if it is a folder of this machine."""
    folder = local_path(uri)
    if folder is not None:
        # MLflow may have made the folders of the experiment, of its models and of this one.
        sync_folder(folder, parents=4)


def delete_artifacts(uri: str) -> None:
    """Deletes a folder of artifacts."""
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    get_artifact_repository(uri).delete_artifacts()  # type: ignore[no-untyped-call]


def write_run(client: Any, experiment_id: str, release: Release, tags: Mapping[str, str]) -> Any:
    """Writes a run with a release's figures, files and model; returns MLflow's `ModelInfo`.

    The run has the tag `regrow.not_served` with the reason where the model answers in regrow only.
    """
    import mlflow

    with (
        tempfile.TemporaryDirectory() as folder,
        # MLflow would copy a uv.lock of the working directory into the model.
        _environment_kept(*RUN_VARIABLES, "MLFLOW_UV_AUTO_DETECT", unset=True),
    ):
        os.environ["MLFLOW_UV_AUTO_DETECT"] = "false"
        export = export_release(release.model, release.example, release.serving, Path(folder))
        not_served = {NOT_SERVED: export.error[:5000]} if export.error else {}
        with mlflow.start_run(
            experiment_id=experiment_id,
            run_name=release.run_name,
            tags={**tags, **not_served},
            log_system_metrics=False,
            description=release.description or None,
        ) as run:
            mlflow.log_params({name: str(value)[:500] for name, value in release.params.items()})
            _log_metrics(client, run.info.run_id, {k: [v] for k, v in release.metrics.items()})
            _write_curves(client, run.info, release, tags)
            for path, inner in (*release.files, (release.example, "")):
                mlflow.log_artifact(str(path), inner or None)
            return mlflow.pyfunc.log_model(
                name=MODEL_PATH,
                python_model=str(Path(__file__).with_name("served_model.py")),
                artifacts=export.artifacts,
                signature=export.signature,
                input_example=export.example,
                pip_requirements=list(release.pip_requirements),
            )


def _write_curves(client: Any, parent: Any, release: Release, tags: Mapping[str, str]) -> None:
    """Writes each training as a run below the release's, so that charts lay the seeds over each
    other: they have one line for each run.
    """
    trainings: dict[str, dict[str, Sequence[float]]] = {}
    for name, values in release.curves.items():
        training, _, metric = name.rpartition("/")
        trainings.setdefault(training or "training", {})[metric] = values
    for training, curves in trainings.items():
        below = {**tags, PARENT: parent.run_id}
        run = client.create_run(parent.experiment_id, tags=below, run_name=training)
        _log_metrics(client, run.info.run_id, curves)
        client.set_terminated(run.info.run_id)


def read_curves(client: Any, run: Any) -> dict[str, list[float]]:
    """The curves of a release by training and metric name; those of older ones are in the run."""
    below = client.search_runs([run.info.experiment_id], f"tags.`{PARENT}` = '{run.info.run_id}'")
    curves = {}
    for one in (run, *below):
        prefix = "" if one is run else f"{one.info.run_name}/"
        for name in one.data.metrics:
            points = client.get_metric_history(one.info.run_id, name)
            if one is not run or len(points) > 1:
                ordered = sorted(points, key=lambda point: point.step)
                curves[prefix + name] = [point.value for point in ordered]
    return curves


def _log_metrics(client: Any, run_id: str, curves: Mapping[str, Sequence[float]]) -> None:
    from mlflow.entities import Metric

    metrics = [
        Metric(name, value, 0, step)
        for name, values in curves.items()
        for step, value in enumerate(values)
        if math.isfinite(value)
    ]
    for start in range(0, len(metrics), METRICS_PER_REQUEST):
        client.log_batch(run_id, metrics=metrics[start : start + METRICS_PER_REQUEST])
