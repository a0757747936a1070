"""What a train stage hands on of its trainings: the typed content of `history.json`.

Trainings write it, through `run_trainings` or directly. The report, the registry, sweeps and
comparisons read it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Self

from regrow.base.errors import UserError
from regrow.base.files import write_json

FILE = "history.json"
# What differs when the same training is repeated.
PASSING = ("seconds", "resumed_from")


@dataclass(frozen=True)
class TrainingRecord:
    """One training.

    Attributes:
        curves: values per epoch by quantity; "val_" begins the names of those on validation data.
        run: its label, "GROUP/seed-N".
        per: what the points of the curves are, such as "step"; "" for epochs.
        val_loss: the figure by which trainings are chosen; None where there is no validation.
        steps: optimizer steps.
        seconds: the time that it took.
        resumed_from: the epoch or step at which the last process took over, or one for each phase.
        more: what else is kept, as JSON.
    """

    curves: Mapping[str, Sequence[float]]
    run: str = ""
    per: str = ""
    val_loss: float | None = None
    steps: int | None = None
    seconds: float | None = None
    resumed_from: int | Mapping[str, int] | None = None
    more: Mapping[str, Any] = field(default_factory=dict)

    @property
    def group(self) -> str:
        """The trainings that it belongs to, which differ by their seeds."""
        return self.run.rpartition("/")[0]

    @property
    def seconds_per_step(self) -> float:
        """The mean time of a step; NaN where it is not recorded."""
        return self.seconds / self.steps if self.seconds is not None and self.steps else math.nan

    @property
    def loss(self) -> float:
        """The figure by which trainings are chosen; infinite where there is none."""
        return math.inf if self.val_loss is None else self.val_loss

    @property
    def path(self) -> str:
        """The file of its model below the stage's folder."""
        return f"runs/{self.run.replace('/', '-')}.keras"

    def to_json(self, *, omit: Collection[str] = ()) -> dict[str, Any]:
        """What is recorded as plain JSON, without what `omit` names."""
        known = {one.name: getattr(self, one.name) for one in fields(self) if one.name != "more"}
        recorded = {name: value for name, value in known.items() if value not in (None, "")}
        return {n: value for n, value in {**recorded, **self.more}.items() if n not in omit}

    @classmethod
    def from_json(cls, found: Any, where: str) -> Self:
        """The record of a training from plain JSON.

        Args:
            where: names the file in the error.

        Raises:
            UserError: it has no curves.
        """
        if not isinstance(found, Mapping) or not isinstance(found.get("curves"), Mapping):
            raise UserError(
                "the record of a training does not have the form that reports are made from",
                where=where,
                received=", ".join(found) if isinstance(found, Mapping) else type(found).__name__,
                expected="the fields of regrow.report.history.TrainingRecord, with curves",
                remedies=["train with regrow.run_trainings, which writes it"],
            )
        names = {one.name for one in fields(cls)} - {"more"}
        known = {name: value for name, value in found.items() if name in names}
        return cls(**known, more={name: found[name] for name in found if name not in names})


@dataclass(frozen=True)
class History:
    """The trainings of a train stage, in the order in which they were done."""

    runs: Sequence[TrainingRecord]

    @property
    def unit(self) -> str:
        """What the points of the curves are: "epoch" unless the trainings say otherwise."""
        return next((run.per for run in self.runs if run.per), "epoch")

    @property
    def names(self) -> list[str]:
        """The names of all curves that have values, in the order met."""
        found = (name for run in self.runs for name, values in run.curves.items() if len(values))
        return list(dict.fromkeys(found))

    @property
    def seconds(self) -> float:
        """The time that all of them took."""
        return round(sum(run.seconds or 0.0 for run in self.runs), 2)

    def find(self, label: str) -> TrainingRecord | None:
        """The training with this label."""
        return next((run for run in self.runs if run.run == label), None)

    def write(self, out: Path, *, omit: Collection[str] = ()) -> None:
        """Writes `history.json` into the folder `out`."""
        write_json(out / FILE, [run.to_json(omit=omit) for run in self.runs])

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads `history.json`.

        Raises:
            UserError: the file does not have this form.
        """
        found = json.loads(path.read_text(encoding="utf-8"))
        return cls([TrainingRecord.from_json(one, str(path)) for one in found])
