"""The stages that every model passes through, and a reference to a finished one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from regrow.base.errors import UserError

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


def check_stages(on: Mapping[Any, str]) -> None:
    """Makes sure that what is to be sent to work pools are stages.

    Raises:
        UserError: something is none.
    """
    if unknown := [stage for stage in on if stage not in STAGES]:
        raise UserError(
            "there is no such stage",
            where="--on",
            received=", ".join(unknown),
            expected=", ".join(STAGES),
        )


class StageRef(BaseModel):
    """A reference to a finished stage: all that tasks hand to one another.

    Attributes:
        digest: of the contents of its files.
        manifest_digest: of its facts, among others; "" in records of older runs.
        place: the work pool that made it; None for the run's own process.
    """

    model_config = ConfigDict(frozen=True)

    model: str
    stage: Stage
    fingerprint: str
    digest: str
    cached: bool
    seconds: float
    manifest_digest: str = ""
    place: str | None = None
