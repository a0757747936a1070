"""What a model's run leaves on the Prefect server: summary, pictures, links, progress, failure.

Pictures are part of the artifact as data URLs, because the server shows no files of this machine.
"""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    create_image_artifact,
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    update_progress_artifact,
)
from prefect.client.orchestration import get_client
from prefect.variables import Variable

from regrow.base.errors import UserError
from regrow.base.progress import ShowPicture, current_reporter, reporting_to
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.runs import publish_facts
from regrow.pipeline.stages import Stage, StageRef
from regrow.registry.gate import read_decisions
from regrow.registry.logs import decision_log
from regrow.report.evaluation import FILE, Evaluation
from regrow.store.entry import Entry

log = logging.getLogger(__name__)

MAX_PICTURES = 2
MAX_PICTURE_BYTES = 300_000
# Work that ends before the first update gets no progress bar.
FIRST_UPDATE_S = 10.0
UPDATE_INTERVAL_S = 5.0


def create_run_artifacts(pipeline: Pipeline, refs: Mapping[Stage, StageRef]) -> None:
    """Creates the run's summary with pictures and the links to its report and its MLflow run, and
    sets the variable that names the champion.
    """
    entry, name = pipeline.entry(refs["publish"]), pipeline.spec.name
    facts = publish_facts(pipeline, refs["publish"])
    pictures = list_pictures(pipeline.entry(refs["evaluate"]))
    summary = entry.file("summary.md").read_text(encoding="utf-8")
    figures, mark, data = summary.partition("\n### Data\n")
    shown = "".join(f"\n![{title}]({url})\n" for title, url in pictures)
    create_markdown_artifact(
        key=name, markdown=f"{figures}{shown}{mark}{data}", description=facts.decision.reason
    )
    for title, url in pictures[:1]:
        create_image_artifact(key=f"{name}-picture", image_url=url, description=title)
    create_link_artifact(
        key=f"{name}-report",
        link=facts.report_url,
        link_text=f"Report of {name}",
        description=f"The report on version {facts.version} of {facts.registered_name}",
    )
    create_link_artifact(
        key=f"{name}-mlflow",
        link=facts.mlflow_url,
        link_text=f"MLflow run of {name}",
        description=f"Settings, metrics and curves of version {facts.version}",
    )
    registered = facts.registered_name
    # From the log: this run's own decision may be an old one that was found in the store.
    settings = pipeline.settings
    log = decision_log(settings.home, settings.tracking_uri, registered)
    for last in read_decisions(log)[-1:]:
        champion = {"version": last.champion_after, "decision": last.action, "at": last.at}
        variable = f"{registered.replace('-', '_').replace('.', '_')}_champion"
        Variable.set(variable, champion, tags=["regrow"], overwrite=True)


def list_pictures(evaluated: Entry) -> list[tuple[str, str]]:
    """Titles and data URLs of the first figures of an evaluation."""
    pictures = []
    for figure in Evaluation.read(evaluated.file(FILE)).figures[:MAX_PICTURES]:
        path = evaluated.file(figure.file)
        if path.stat().st_size <= MAX_PICTURE_BYTES:
            pictures.append((figure.title, _data_url(path)))
    return pictures


def create_failure_artifact(model: str, run_name: str, error: object) -> None:
    """Creates an artifact that says what failed and how to continue."""
    advice = (
        "Fix the problem above, then run again"
        if isinstance(error, UserError)
        else "Run again: finished stages are not repeated, and an interrupted training resumes"
    )
    create_markdown_artifact(
        key=f"{model}-failure",
        markdown=(
            f"# {run_name} failed\n\n```text\n{error}\n```\n\n"
            f"{advice}:\n\n```shell\nregrow run {model}\nregrow status {model}\n```\n"
        ),
        description=f"Why {run_name} failed and how to continue",
    )


def preview_artifacts(model: str) -> ShowPicture:
    """A viewer that stores each preview as the next version of one image artifact."""

    def show(what: str, picture: Path) -> None:
        create_image_artifact(
            image_url=_data_url(picture), key=f"{model}-preview", description=what
        )

    return show


@contextmanager
def progress_artifact(key: str) -> Iterator[None]:
    """Shows the progress of the work inside the block on the run's page."""
    bar = _ProgressBar(key)
    try:
        with reporting_to(bar):
            yield
    finally:
        bar.finish()


class _ProgressBar:
    """Reports progress to the previous reporter and, for long work, to the server."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.artifact: UUID | None = None
        self.updated_at = time.monotonic() + FIRST_UPDATE_S - UPDATE_INTERVAL_S
        self.previous = current_reporter()

    def __call__(self, what: str, done: int, total: int) -> None:
        """Receives progress; see `regrow.base.progress.report`."""
        self.previous(what, done, total)
        now = time.monotonic()
        if total <= 0 or now - self.updated_at < UPDATE_INTERVAL_S:
            return
        self.updated_at = now
        self._update(100.0 * min(done, total) / total, what)

    def finish(self) -> None:
        """Removes the bar, if there is one: nobody needs it among the run's results."""
        if self.artifact is None:
            return
        try:
            with get_client(sync_client=True) as client:
                client.delete_artifact(self.artifact)
        except Exception as error:  # as in `_update`
            log.debug("cannot remove the progress of %s: %s", self.key, error)

    def _update(self, percent: float, what: str) -> None:
        try:
            if self.artifact is None:
                created: Any = create_progress_artifact(percent, key=self.key, description=what)
                self.artifact = created
            else:
                update_progress_artifact(self.artifact, percent, description=what)
        except Exception as error:  # a training must not fail because its progress is not shown
            log.debug("cannot show the progress of %s: %s", self.key, error)


def _data_url(picture: Path) -> str:
    kind = {".png": "png", ".webp": "webp"}.get(picture.suffix.lower(), "jpeg")
    return f"data:image/{kind};base64,{base64.b64encode(picture.read_bytes()).decode()}"
