"""What an evaluate stage hands on: the typed content of `evaluation.json`.

Every model's `evaluate` builds an `Evaluation` and writes it. The report, the model card, the
registry, Prefect's artifacts and the command line read it.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, model_validator

from regrow.base.errors import UserError, list_problems
from regrow.base.files import write_json

FILE = "evaluation.json"
Direction = Literal["minimize", "maximize"]
Scores = Mapping[str, float]
"""Figures of one model by their key, such as {"rmse": 0.3}."""


def _to_python(value: Any) -> Any:
    """NumPy's scalars as Python's."""
    return value.item() if hasattr(value, "item") else value


def _to_number(value: Any) -> Any:
    """NaN for null, by which JSON states it."""
    return math.nan if value is None else value


Number = Annotated[float, BeforeValidator(_to_number)]
Cell = Annotated[bool | int | float | str | None, BeforeValidator(_to_python)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Baseline(_Part):
    """One of the simple models that the result is compared with."""

    name: str
    value: Number


class Headline(_Part):
    """The figure that a run is known by.

    Attributes:
        metric: its key, such as "rmse".
        label: what was measured, such as "RMSE on the last 30 % of the hours".
        value: the figure; NaN where the model gives none.
        direction: whether a smaller or a larger figure is better.
        unit: "" for none.
        spread: standard deviation over the seeds; 0 where there is one.
        seeds: number of trainings that the value is the mean of.
        baseline: the best baseline on the same data, if there is one.
        simplest: one that takes no learning to speak of. A model that is no better waits for
            approval where there is no champion yet.
    """

    metric: str
    label: str
    value: Number
    direction: Direction = "minimize"
    unit: str = ""
    spread: Number = 0.0
    seeds: int = 1
    baseline: Baseline | None = None
    simplest: Baseline | None = None


class Figure(_Part):
    """A picture of the evaluate stage: its path below the stage's folder, title and caption."""

    file: str
    title: str
    caption: str = ""


class Table(_Part):
    """A table of figures.

    Attributes:
        title: what it shows.
        columns: one label a column, all different.
        rows: as many cells a row as there are columns; None where there is no figure.
        caption: how the figures were measured.
        best_by: the label of the column that marks the best row; None marks none.
        direction: whether a smaller or a larger figure is the best there.
    """

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str = ""
    best_by: str | None = None
    direction: Direction = "minimize"

    @model_validator(mode="after")
    def _check_shape(self) -> Self:
        count = len(self.columns)
        if len(set(self.columns)) < count:
            raise ValueError(f"two columns have the same label: {', '.join(self.columns)}")
        for number, row in enumerate(self.rows):
            if len(row) != count:
                raise ValueError(f"row {number} has {len(row)} cells for {count} columns")
        if self.best_by is not None and self.best_by not in self.columns:
            raise ValueError(f"best_by names {self.best_by!r}, which is not a column")
        return self


class Evaluation(_Part):
    """All that an evaluate stage found.

    Attributes:
        headline: the figure that the run is known by.
        metrics: the published model's figures by key, which the registry keeps.
        tables: tables in the order of the report.
        figures: pictures in the order of the report.
        notes: what a reader must know to judge the figures, a sentence or two each.
    """

    headline: Headline
    metrics: dict[str, Number]
    tables: tuple[Table, ...] = ()
    figures: tuple[Figure, ...] = ()
    notes: tuple[str, ...] = ()

    def write(self, out: Path, **counts: int) -> dict[str, Any]:
        """Writes `evaluation.json` into the folder `out`.

        Returns:
            The facts of an evaluate stage: "metrics" and `counts`, such as test_rows.
        """
        write_json(out / FILE, self.model_dump(mode="json"))
        return {"metrics": self.metrics, **counts}

    @classmethod
    def read(cls, path: Path) -> Self:
        """Reads `evaluation.json`.

        Raises:
            UserError: the file does not have this form.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise UserError(
                "the result of an evaluation does not have the required structure",
                where=str(path),
                received=list_problems(error),
                expected="the fields of regrow.report.evaluation.Evaluation",
                remedies=[
                    "create an Evaluation in the model's evaluate stage and call its write method"
                ],
            ) from error


class Figures(list[Figure]):
    """The figures of an evaluate stage, each added where it is drawn.

    Args:
        out: the stage's folder.
    """

    def __init__(self, out: Path) -> None:
        super().__init__()
        self.out = out

    def add(self, name: str, title: str, caption: str = "") -> Path:
        """Lists the figure `figures/NAME` and returns the path to draw it at."""
        figure = Figure(file=f"figures/{name}", title=title, caption=caption)
        path = self.out / figure.file
        path.parent.mkdir(parents=True, exist_ok=True)
        self.append(figure)
        return path


@dataclass(frozen=True)
class Comparison:
    """A model's scores, one mapping a seed, beside those of simple models on the same data.

    Attributes:
        model: what the model is called.
        runs: its scores by key, one mapping for each training.
        baselines: the simple models' scores by name; a key may be missing.
    """

    model: str
    runs: Sequence[Scores]
    baselines: Mapping[str, Scores]

    @property
    def label(self) -> str:
        """The model with its number of trainings: "network (5 seeds)"."""
        return f"{self.model} ({len(self.runs)} seed{'s' if len(self.runs) > 1 else ''})"

    def mean(self, key: str) -> float:
        """The mean over the trainings."""
        return statistics.fmean(run[key] for run in self.runs)

    def spread(self, key: str) -> float:
        """The standard deviation over the trainings."""
        return statistics.pstdev(float(run[key]) for run in self.runs)

    def means(self, keys: Iterable[str]) -> dict[str, float]:
        """The means of several scores, as metrics: "mean_" and the key."""
        return {f"mean_{key}": self.mean(key) for key in keys}

    def baselines_by(self, key: str) -> dict[str, float]:
        """One score of every baseline that has it."""
        return {name: of[key] for name, of in self.baselines.items() if key in of}

    def headline(
        self,
        metric: str,
        label: str,
        *,
        direction: Direction = "minimize",
        unit: str = "",
        simplest: str | None = None,
    ) -> Headline:
        """The mean of a score beside the best baseline.

        Args:
            simplest: the name of the baseline that a first champion must beat.
        """
        others = self.baselines_by(metric)
        choose = min if direction == "minimize" else max
        best = choose(others, key=others.__getitem__, default=None)
        return Headline(
            metric=metric,
            label=label,
            value=self.mean(metric),
            direction=direction,
            unit=unit,
            spread=self.spread(metric),
            seeds=len(self.runs),
            baseline=None if best is None else Baseline(name=best, value=others[best]),
            simplest=Baseline(name=simplest, value=others[simplest]) if simplest else None,
        )

    def rows(self, keys: Iterable[str], spreads: Iterable[str] = ()) -> list[list[Any]]:
        """A table's rows: the model's means, then the baselines' scores, None where there is none.

        Args:
            keys: one column each.
            spreads: those of the keys that are followed by a column with the spread.
        """
        mine: list[Any] = [self.label]
        others: list[list[Any]] = [[name] for name in self.baselines]
        spread = set(spreads)
        for key in keys:
            apart = self.spread(key) if len(self.runs) > 1 else None
            mine += [self.mean(key), *([apart] if key in spread else [])]
            for row, scores in zip(others, self.baselines.values(), strict=True):
                row += [scores.get(key), *([None] if key in spread else [])]
        return [mine, *others]
