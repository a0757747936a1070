"""The documents about homes, bundles, this machine and single models; see documents.py."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import ConfigDict

from regrow.cli.documents_base import Document


class Removed(Document):
    """Something that nothing in use needs."""

    kind: str
    path: str
    bytes: int
    why: str


class Garbage(Document):
    """What was removed, or would be with --dry-run."""

    dry_run: bool
    removed: list[Removed]
    removed_bytes: int
    kept: int
    kept_bytes: int
    busy: list[str]


class Recipients(Document):
    """By variable, whether it is set, or what became of the test notification to it."""

    recipients: dict[str, str]


class LateSchedules(Document):
    """The deployments whose schedules have not succeeded within their interval."""

    late: list[str]


class LeftOut(Document):
    """What a backup does not contain, and how to save it."""

    what: str
    how: str


class Backup(Document):
    """A backup that was written."""

    path: str
    bytes: int
    files: int
    versions: int
    champions: dict[str, int]
    left_out: list[LeftOut]
    damaged: list[str]


class Restored(Document):
    """A home that was made of a backup."""

    home: str
    created_at: str
    files: int
    versions: int
    champions: dict[str, int]


class Exported(Document):
    """A bundle that was written."""

    path: str
    bytes: int
    sha256: str
    champions: list[str]
    sources: list[str]
    absent: list[str]
    lock: bool


class ImportedChampion(Document):
    """A champion that came with a bundle."""

    registered: str
    version: int
    action: str
    reason: str


class Imported(Document):
    """What was taken from a bundle."""

    sources: list[str]
    champions: list[ImportedChampion]
    lock: str | None
    other_libraries: dict[str, dict[Literal["there", "here"], str]]


class MachineCheck(Document):
    """A check of this machine."""

    check: str
    level: Literal["ok", "warn", "bad"]
    found: str


class ModelCheck(Document):
    """A check of a model; `problem` is "" if nothing is wrong."""

    check: str
    problem: str
    detail: str


class NewModel(Document):
    """The files of a new model."""

    model: str
    project: str
    files: list[str]


class Asked(Document):
    """A question and the story before it."""

    story: list[str]
    question: str
    where: str
    expected: str


class Answer(Document):
    """An answer; `attention` has a row for each hop, with a weight for each sentence."""

    asked: Asked
    answer: str
    confidence: float
    others: list[tuple[str, float]]
    attention: list[list[float]] | None
    replaced: dict[str, str]


class Answers(Document):
    """Answers by a version."""

    model: str
    answers: list[Answer]


class Picture(Document):
    """A picture that was made; with its measures, which are numbers."""

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, float | str | None]

    picture: str
    sheet: str | None
    width: int
    height: int
    steps: int
    resumed_at_step: int | None
    seconds: float


class Layers(Document):
    """The layers of a backbone."""

    backbone: str
    input: list[int]
    layers: list[dict[str, Any]]


class Embedded(Document):
    """Vectors that were written."""

    model: str
    sentences: int
    output: str


class SimilarSentence(Document):
    """A sentence of the corpus."""

    cosine: float
    text: str
    document: int
    date: str
    topics: list[str]


class SimilarSentences(Document):
    """The nearest sentences."""

    model: str
    similar: list[SimilarSentence]
