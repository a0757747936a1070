"""What all documents of --json have in common."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

Number = float | None
"""A number is null where there is none that is finite."""


class Document(BaseModel):
    """Base of all documents: a field that is not listed is not printed."""

    model_config = ConfigDict(extra="forbid")


class Problem(Document):
    """What is wrong, where, what was found and expected there, and what to do next."""

    what: str
    where: str | None = None
    received: str | None = None
    expected: str | None = None
    remedies: list[str] = []


class Failure(Document):
    """Printed by every command in place of its own document; the exit code is not 0."""

    error: Problem
