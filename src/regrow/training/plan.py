"""How a model is trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras

from regrow.base.errors import UserError


@dataclass(frozen=True)
class FitPlan:
    """How to train.

    Attributes:
        epochs: the maximum number of epochs.
        batch_size: rows per step.
        seed: determines the order of the data; `set_seed` seeds the weights.
        patience: the number of epochs without a better `val_loss` after which training stops;
            None never stops.
        min_delta: by how much a `val_loss` must be lower to count as better.
        enough_loss: stop once `val_loss` is below this; None never stops.
        restore_best: end with the weights of the best epoch (needs `patience`).
        reduce_lr_patience: the number of epochs without a better `val_loss` after which the
            learning rate is reduced; None never reduces it.
        reduce_lr_factor: the factor that the learning rate is then multiplied by.
        min_lr: the learning rate never falls below this.
        jit_compile: lets XLA compile the step on TensorFlow; excludes `deterministic`.
        deterministic: the same bits on each run; TensorFlow then silently never uses XLA.
        checkpoint_every_s: seconds between checkpoints; 0 writes one after each epoch.
    """

    epochs: int
    batch_size: int
    seed: int
    patience: int | None = None
    min_delta: float = 0.0
    enough_loss: float | None = None
    restore_best: bool = True
    reduce_lr_patience: int | None = None
    reduce_lr_factor: float = 0.5
    min_lr: float = 0.0
    jit_compile: bool = False
    deterministic: bool = True
    checkpoint_every_s: float = 1.0


def check_plan(plan: FitPlan, validation: Sequence[Any]) -> None:
    """Checks that a plan's settings fit together.

    Raises:
        UserError: they contradict each other, or need validation data that is not there.
    """
    if plan.jit_compile and plan.deterministic and keras.backend.backend() == "tensorflow":
        raise UserError(
            "TensorFlow cannot be deterministic and use XLA compilation at the same time",
            where="training plan",
            received="deterministic=True and jit_compile=True",
            expected="only one of the two settings",
        )
    needing = ("patience", "reduce_lr_patience", "enough_loss")
    asked = [f"{name}={getattr(plan, name)}" for name in needing if getattr(plan, name) is not None]
    if asked and not validation:
        raise UserError(
            "early stopping and learning-rate plateaus require validation data",
            where="training plan",
            received=", ".join(asked),
        )
