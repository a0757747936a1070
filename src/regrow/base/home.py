"""REGROW_HOME: the directory of all state, and the name of everything directly below it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Home:
    """The directory of all state. No other module spells the names below it.

    Args:
        path: the directory; it need not exist yet.
    """

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    @property
    def downloads(self) -> Path:
        """Fetched files, by SHA-256, and partial files."""
        return self.path / "downloads"

    @property
    def bundle(self) -> Path:
        """The lock file and the package list of the bundle imported last."""
        return self.path / "bundle"

    @property
    def sources(self) -> Path:
        """What `regrow refresh` records, by source."""
        return self.path / "sources"

    def source_versions(self, source: str) -> Path:
        """The append-only log of a source's versions."""
        return self.sources / f"{source}.jsonl"

    def source_notes(self, source: str) -> Path:
        """What `regrow refresh` remembers of a source (JSON)."""
        return self.sources / f"{source}.notes.json"

    def source_lock(self, source: str) -> Path:
        """The lock file of a source's log and notes."""
        return self.sources / f".lock-{source}"

    @property
    def store(self) -> Path:
        """Finished results: `<model>/<stage>/<fingerprint>/`."""
        return self.path / "store"

    @property
    def scratch(self) -> Path:
        """Checkpoints of unfinished stages: `<model>/<stage>/<fingerprint>/`."""
        return self.path / "scratch"

    @property
    def failures(self) -> Path:
        """The rows that failed a validation, by model."""
        return self.path / "failures"

    @property
    def locks(self) -> Path:
        """The directory of the lock files."""
        return self.path / "locks"

    def lock(self, name: str) -> Path:
        """The lock file of this name."""
        return self.locks / f"{name}.lock"

    @property
    def runs(self) -> Path:
        """One record (JSON) a run: `<model>/<run>.json`."""
        return self.path / "runs"

    @property
    def searches(self) -> Path:
        """What searches for settings have tried: `<model>-<digest>.log`, an Optuna study each."""
        return self.path / "searches"

    @property
    def database(self) -> Path:
        """The tracking database of MLflow, unless MLFLOW_TRACKING_URI names another."""
        return self.path / "mlflow.db"

    def old_database(self, revision: str) -> Path:
        """A copy of that database before it was brought from this schema to a newer one."""
        return self.path / f"mlflow-{revision}.db"

    @property
    def artifacts(self) -> Path:
        """The artifacts of MLflow, by registered model."""
        return self.path / "mlartifacts"

    @property
    def decisions(self) -> Path:
        """The logs of decisions on registered models."""
        return self.path / "decisions"

    def registry_lock(self, registered: str) -> Path:
        """The lock file of whoever changes a registered model and the log of its decisions."""
        return self.lock(f"{registered}-registry")

    @property
    def last_backup(self) -> Path:
        """When the last backup was written, and where (JSON)."""
        return self.path / "backup.json"

    @property
    def reports(self) -> Path:
        """The reports on published versions: `<registered>-v<version>.html`."""
        return self.path / "reports"

    @property
    def drift(self) -> Path:
        """Comparisons of inputs with training data, by registered model."""
        return self.path / "drift"

    @property
    def inbox(self) -> Path:
        """Inputs to predict for, by registered model."""
        return self.path / "inbox"

    @property
    def predictions(self) -> Path:
        """Predictions for what is in `inbox`, by registered model."""
        return self.path / "predictions"

    @property
    def stage_results(self) -> Path:
        """What workers report about stages that other runs sent to them, by flow run (JSON)."""
        return self.path / "stage-results"

    @property
    def layout(self) -> Path:
        """The layout version (JSON). A new home has none, nor has one of layout 1."""
        return self.path / "layout.json"

    @property
    def prefect(self) -> Path:
        """What Prefect's server keeps, unless PREFECT_HOME names another folder."""
        return self.path / "prefect"

    @property
    def overdue(self) -> Path:
        """The late schedules that were notified of (JSON)."""
        return self.path / "overdue.json"

    @property
    def logs(self) -> Path:
        """What commands and runs log, a file of JSON lines and older ones."""
        return self.path / "logs"

    @property
    def dashboards(self) -> Path:
        """Where the servers of `regrow ui` are (JSON)."""
        return self.path / "dashboards.json"

    @property
    def prefect_log(self) -> Path:
        """What the Prefect server of the last run wrote to its terminal, mostly nothing."""
        return self.path / "prefect-server.log"

    @property
    def prefect_password(self) -> Path:
        """The password of the server that `regrow ui` starts; only its owner may read it."""
        return self.path / "prefect-password"

    @property
    def native_log(self) -> Path:
        """What libraries write to the standard error stream outside Python."""
        return self.path / "native.log"
