"""A custom model as a class: the columns of a table, a network, and defaults for the rest.

    class Churn(regrow.Model):
        data = regrow.csv("https://example.com/churn.csv", refresh=True)
        table = regrow.columns(id="customer", target="churned", numbers=["age"], task="binary")

        def network(self, inputs, config):
            ...

Its `ModelSpec` is made from it. Stages run in `regrow.tabular` and call the methods of the class; a
stage can only use the members that `stages.py` lists for it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from regrow.base.errors import UserError
from regrow.base.spec import Card, Gate, ModelConfig, ModelSpec
from regrow.tabular.stages import Members

if TYPE_CHECKING:
    import keras
    import numpy as np
    import pandas as pd

    from regrow.checks.expectations import Expectation
    from regrow.store.context import StageContext
    from regrow.tabular.inputs import TableInputs

Task = Literal["regression", "binary", "classes"]

# How a task is judged unless the model says otherwise: the metric, which way is better, the margin.
GATES: Mapping[Task, Gate] = {
    "regression": Gate(metric="rmse", direction="minimize", margin=0.001),
    "binary": Gate(metric="auc", direction="maximize", margin=0.001),
    "classes": Gate(metric="accuracy", direction="maximize", margin=0.001),
}


class TrainingConfig(ModelConfig):
    """The settings that every `Model` has; add those of your network in a subclass."""

    seeds: int = Field(3, ge=1, le=100, description="number of trainings with different seeds")
    epochs: int = Field(60, ge=1, le=10_000, description="maximum number of epochs")
    patience: int = Field(
        8,
        ge=1,
        description="epochs without improvement of the validation loss before training stops",
    )
    batch_size: int = Field(64, ge=1, le=1_048_576, description="rows per step")
    learning_rate: float = Field(
        0.002, gt=0, le=1, description="initial value; decreases with cosine decay"
    )
    deterministic: bool = Field(True, description="bit-identical results in every run")


@dataclass(frozen=True)
class Columns:
    """The columns of a table and their roles.

    Attributes:
        target: the column to predict.
        task: "regression" for a number, "binary" for two values, "classes" for more.
        numbers: numeric inputs; missing values are allowed.
        categories: inputs with few values, as text or integers.
        texts: free-text inputs, used as words.
        id: identifies a row; included in predictions.
        time: when a row was recorded; the newest rows are the test rows.
        group: rows with the same value are in the same split, such as the rows of one patient.
    """

    target: str
    task: Task = "regression"
    numbers: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    id: str | None = None
    time: str | None = None
    group: str | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The columns that the network sees, in the order of its input."""
        return (*self.numbers, *self.categories, *self.texts)

    @property
    def names(self) -> tuple[str, ...]:
        """All columns of the cleaned table."""
        others = [name for name in (self.id, self.time, self.group) if name]
        return tuple(dict.fromkeys([*others, *self.inputs, self.target]))


def columns(
    *,
    target: str,
    task: Task = "regression",
    numbers: Sequence[str] = (),
    categories: Sequence[str] = (),
    texts: Sequence[str] = (),
    id: str | None = None,
    time: str | None = None,
    group: str | None = None,
) -> Columns:
    """Declares the roles of the columns of a table; see `Columns`.

    Raises:
        UserError: there is no input, or a column is given twice.
    """
    made = Columns(target, task, tuple(numbers), tuple(categories), tuple(texts), id, time, group)
    twice = sorted({n for n in made.inputs if made.inputs.count(n) > 1 or n == target})
    if twice or not made.inputs or task not in GATES:
        raise UserError(
            "the columns of the table are not declared correctly",
            where=f"regrow.columns(target={target!r}, ...)",
            received=f"task {task!r}"
            if task not in GATES
            else f"{', '.join(twice)} more than once"
            if twice
            else "no input column",
            expected="one of numbers, categories and texts for each input, and a target that is "
            f"none of them; a task of {', '.join(GATES)}",
        )
    return made


@dataclass(frozen=True)
class Split:
    """How rows are split into training, validation and test rows.

    Attributes:
        by: "time" uses the newest rows for testing; "group" and "id" use a hash, so that a row
            stays in its split when the table grows. None: time, group or id, whichever is declared.
        test: the share of test rows.
        validation: the share of the other rows, used to choose the epoch and the seed.
    """

    by: Literal["time", "group", "id"] | None = None
    test: float = 0.2
    validation: float = 0.15


class Model:
    """Base class for models of tables. `data` and `table` are required; all else has a default.

    Attributes:
        data: the data source; see `regrow.csv` and `regrow.sql`. Or the name of a source
            in regrow.toml.
        table: the roles of the columns; see `columns`.
        split: how rows are split.
        gate: when a new version replaces the champion; by default with a standard metric.
        expectations: conditions on the cleaned table, in addition to those derived from `table`.
        Config: the settings; a subclass of `TrainingConfig`.
        title: a one-line title.
        description: a short description.
        card: the content of the model card.
        name: the model's name; set when it is loaded.
    """

    data: ClassVar[Mapping[str, Any] | str]
    table: ClassVar[Columns]
    split: ClassVar[Split] = Split()
    gate: ClassVar[Gate | None] = None
    expectations: ClassVar[Sequence[Expectation]] = ()
    Config: ClassVar[type[TrainingConfig]] = TrainingConfig
    title: ClassVar[str] = ""
    description: ClassVar[str] = ""
    card: ClassVar[Card | None] = None
    name: ClassVar[str] = ""

    def clean(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Changes the table after it is read and before its columns are converted."""
        return frame

    def network(self, inputs: TableInputs, config: Any) -> keras.Model:
        """The network, from `inputs.features` (batch, width) to the answer of `inputs.head`."""
        from regrow.tabular.inputs import default_network

        return default_network(inputs)

    def optimizer(self, config: Any, steps: int) -> keras.optimizers.Optimizer:
        """The optimizer of a training of at most `steps` steps."""
        from regrow.tabular.training import usual_optimizer

        return usual_optimizer(config, steps)

    def loss(self) -> Any:
        """The loss; by default the standard loss of the task. Targets are standardised."""
        from regrow.tabular.training import LOSSES

        return LOSSES[self.table.task]

    def scores(self, actual: np.ndarray, answers: np.ndarray) -> dict[str, float]:
        """The figures of answers (rows, outputs) beside the actual values (rows,).

        Of a regression the values are numbers; otherwise they are the numbers of the labels.
        """
        from regrow.tabular.measures import measure

        return measure(self.table.task, actual, answers)

    def baselines(self) -> dict[str, Any]:
        """scikit-learn estimators with which the network is compared, by name."""
        from regrow.tabular.baselines import usual_baselines

        return usual_baselines(self.table.task)

    @classmethod
    def make_spec(cls) -> ModelSpec:
        """The specification of this model.

        Raises:
            UserError: the class lacks something, or has it of another kind.
        """
        from regrow.tabular.specification import make_spec

        return make_spec(cls)

    @classmethod
    def run_clean(cls, ctx: StageContext) -> dict[str, Any]:
        """The stage clean."""
        from regrow.tabular.cleaning import clean

        return clean(Members(cls(), "clean"), ctx)

    @classmethod
    def run_train(cls, ctx: StageContext) -> dict[str, Any]:
        """The stage train."""
        from regrow.tabular.training import train

        return train(Members(cls(), "train"), ctx)

    @classmethod
    def run_evaluate(cls, ctx: StageContext) -> dict[str, Any]:
        """The stage evaluate."""
        from regrow.tabular.evaluation import evaluate

        return evaluate(Members(cls(), "evaluate"), ctx)

    @classmethod
    def list_expectations(cls) -> list[Expectation]:
        """What the stage validate checks."""
        from regrow.tabular.validation import usual_expectations

        members = Members(cls(), "validate")
        return [*usual_expectations(members.table), *members.expectations]

    @classmethod
    def run_score(cls, model: Any, table: Path, config: Any) -> dict[str, float]:
        """The figures of a model on the test rows of a cleaned table, as the gate compares them."""
        from regrow.tabular.evaluation import score

        return score(cls(), model, table)

    @classmethod
    def run_predict(cls, model: Any, paths: Sequence[Path]) -> pd.DataFrame:
        """Predictions for files with the columns of the table."""
        from regrow.tabular.prediction import predict

        return predict(cls(), model, paths)

    @classmethod
    def run_predict_frame(cls, model: Any, frame: pd.DataFrame) -> pd.DataFrame:
        """Predictions for the rows of a frame with the columns of the table."""
        from regrow.tabular.prediction import predict_frame

        return predict_frame(cls(), model, frame)

    @classmethod
    def describe_serving(cls, model: Any, inputs: Any) -> dict[str, Any]:
        """What a registered version needs to answer where regrow is not installed."""
        from regrow.tabular.inputs import find_layer
        from regrow.tabular.serving import describe

        return describe(find_layer(model), cls.table, inputs)

    @classmethod
    def run_read(cls, path: Path) -> pd.DataFrame:
        """The inputs in a file to predict from."""
        from regrow.tabular.cleaning import read_inputs

        return read_inputs(cls(), [path])
