"""Training that gives the same weights whether or not it was killed on the way.

Keras's BackupAndRestore does not promise that: it starts the interrupted epoch again with another
data order, and EarlyStopping forgets what it had seen. Here everything that the next epoch depends
on is in the checkpoint: weights, optimizer, random generators, callbacks; and the order of the data
is a function of the seed and the epoch alone.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from regrow.base.errors import TrainingDiverged
from regrow.base.progress import end_epoch, note
from regrow.training.checkpoints import Array, Checkpoint, identify
from regrow.training.epochs import Epochs, Order, count_rows
from regrow.training.plan import FitPlan, check_plan

CHECKPOINT = "checkpoint.npz"
# The callbacks' state that has to outlive a kill, by callback.
EARLY_STOPPING_STATE = ("wait", "stopped_epoch", "best", "best_epoch")
PLATEAU_STATE = ("best", "wait", "cooldown_counter")


@dataclass
class FitResult:
    """What a training did.

    Attributes:
        curves: per-epoch values by name: "loss", "val_loss", metrics, "learning_rate".
        epochs_run: epochs done, those before a resume included.
        best_epoch: the epoch (from 0) with the lowest "val_loss", or "loss" without validation.
        stopped_early: whether patience or `enough_loss` ended it.
        steps: optimizer steps done.
        seconds: time spent in this process.
        resumed_from: the epoch at which this process took over; 0 if it did all.
    """

    curves: dict[str, list[float]] = field(default_factory=dict)
    epochs_run: int = 0
    best_epoch: int = 0
    stopped_early: bool = False
    steps: int = 0
    seconds: float = 0.0
    resumed_from: int = 0


def fit(
    model: keras.Model,
    x: Any,
    y: Any,
    *,
    plan: FitPlan,
    sample_weight: Any = None,
    validation: Any = None,
    checkpoint: Path | None = None,
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
) -> FitResult:
    """Trains a compiled model, each epoch in one compiled call, resuming from `checkpoint`.

    Args:
        model: a built model on which `compile` was called.
        x: nested arrays of inputs, equal in their first axis.
        y: nested arrays of targets.
        sample_weight: weights of the rows, (rows,), or None.
        validation: `(x, y)` or `(x, y, sample_weight)`; needed for `patience`.
        checkpoint: a directory for the checkpoint. One of another plan, model or data is ignored.
        on_epoch: called as `on_epoch(epochs_done, values)`.

    Raises:
        TrainingDiverged: the loss became NaN or infinite; the last good checkpoint stays.
        UserError: the plan contradicts itself.
    """
    return fit_groups(
        model,
        [(x, y) if sample_weight is None else (x, y, sample_weight)],
        plan=plan,
        validation=[] if validation is None else [validation],
        checkpoint=checkpoint,
        on_epoch=on_epoch,
    )


def fit_groups(
    model: keras.Model,
    groups: Sequence[Any],
    *,
    plan: FitPlan,
    validation: Sequence[Any] = (),
    checkpoint: Path | None = None,
    on_epoch: Callable[[int, dict[str, float]], None] | None = None,
) -> FitResult:
    """As `fit`, on rows of several lengths: a batch has rows of one group.

    Args:
        groups: each `(x, y)` or `(x, y, sample_weight)`; the groups differ in other axes than the
            first, which the model must leave open.
        validation: the same; empty if there is none.
    """
    check_plan(plan, validation)
    started = time.monotonic()
    epochs = Epochs(
        model, groups, validation, batch_size=plan.batch_size, jit_compile=plan.jit_compile
    )
    run = _Run(model, plan, _open_checkpoint(checkpoint, model, plan, [groups, validation]))
    run.load()
    rows = sum(count_rows(group) for group in groups)
    steps = sum(math.ceil(count_rows(group) / plan.batch_size) for group in groups)
    while not run.finished:
        values = epochs.train(data_order(rows, plan.seed, run.result.epochs_run))
        values |= {f"val_{name}": value for name, value in epochs.evaluate().items()}
        _refuse_divergence(model, run.result, values)
        run.end_epoch(values, steps=steps)
        if run.finished or run.checkpoint.is_due():
            run.save()
        end_epoch(checkpoint, run.result.epochs_run, values)
        if on_epoch:
            on_epoch(run.result.epochs_run, values)
    run.end()
    run.result.seconds = time.monotonic() - started
    return run.result


def falling_adam(learning_rate: float, rows: int, plan: FitPlan) -> keras.optimizers.Adam:
    """Adam whose rate falls as a cosine, from `learning_rate` to zero at the plan's last step."""
    steps = math.ceil(rows / plan.batch_size) * plan.epochs
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps))


def data_order(rows: int, seed: int, epoch: int) -> Order:
    """The order of the rows in an epoch, (rows,), int32: a function of seed and epoch alone."""
    return np.random.default_rng([seed, epoch]).permutation(rows).astype(np.int32)


class _Run:
    """The state of one training: all that the next epoch depends on."""

    def __init__(self, model: Any, plan: FitPlan, checkpoint: Checkpoint) -> None:
        self.model = model
        self.plan = plan
        self.checkpoint = checkpoint
        self.result = FitResult()
        # Keras's own callbacks decide, so that their rules are not written a second time.
        self.stopping = keras.callbacks.EarlyStopping(
            patience=plan.patience or 0,
            min_delta=plan.min_delta,
            restore_best_weights=plan.restore_best,
        )
        self.plateau = keras.callbacks.ReduceLROnPlateau(
            patience=plan.reduce_lr_patience or 0,
            factor=plan.reduce_lr_factor,
            min_lr=plan.min_lr,
            # Keras's default would count small improvements as none, unlike EarlyStopping's.
            min_delta=plan.min_delta,
        )
        self.callbacks = [
            *([self.stopping] if plan.patience is not None else []),
            *([self.plateau] if plan.reduce_lr_patience is not None else []),
        ]
        for callback in self.callbacks:
            callback.set_model(model)
            callback.on_train_begin()
        model.stop_training = False

    @property
    def finished(self) -> bool:
        return self.result.stopped_early or self.result.epochs_run >= self.plan.epochs

    def end_epoch(self, values: dict[str, float], *, steps: int) -> None:
        values["learning_rate"] = float(
            keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)
        )
        for name, value in values.items():
            self.result.curves.setdefault(name, []).append(value)
        for callback in self.callbacks:
            callback.on_epoch_end(self.result.epochs_run, dict(values))
        self.result.epochs_run += 1
        self.result.steps += steps
        enough = self.plan.enough_loss
        self.result.stopped_early = bool(self.model.stop_training) or (
            enough is not None and values["val_loss"] < enough
        )
        curve = self.result.curves.get("val_loss") or self.result.curves["loss"]
        self.result.best_epoch = int(np.argmin(curve))

    def end(self) -> None:
        # In the order of `model.fit`: averaged weights (use_ema) first, then the best ones.
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        for callback in self.callbacks:
            callback.on_train_end()

    def save(self) -> None:
        """Writes the checkpoint."""
        arrays = _number("model", map(keras.ops.convert_to_numpy, self.model.variables))
        arrays |= _number(
            "optimizer", map(keras.ops.convert_to_numpy, self.model.optimizer.variables)
        )
        arrays |= _number("best", getattr(self.stopping, "best_weights", None) or [])
        state = {
            "result": asdict(self.result),
            "stopping": _get(self.stopping, EARLY_STOPPING_STATE),
            "plateau": _get(self.plateau, PLATEAU_STATE),
        }
        self.checkpoint.save(state, arrays)

    def load(self) -> None:
        """Continues from the checkpoint if there is a usable one."""
        found = self.checkpoint.load()
        if found is None:
            return
        state, arrays = found
        for n, variable in enumerate(self.model.variables):
            variable.assign(arrays[f"model/{n}"])
        for n, variable in enumerate(self.model.optimizer.variables):
            variable.assign(arrays[f"optimizer/{n}"])
        self.result = FitResult(**state["result"])
        self.result.resumed_from = self.result.epochs_run
        note(f"training resumes after epoch {self.result.epochs_run} of {self.plan.epochs}")
        best = [arrays[f"best/{n}"] for n in range(sum(a.startswith("best/") for a in arrays))]
        if self.callbacks:
            _set(self.stopping, state["stopping"])
            _set(self.plateau, state["plateau"])
            self.stopping.best_weights = best or None


def _number(prefix: str, arrays: Iterable[Array]) -> dict[str, Array]:
    return {f"{prefix}/{n}": array for n, array in enumerate(arrays)}


def _get(callback: Any, names: tuple[str, ...]) -> dict[str, Any]:
    values = {name: getattr(callback, name, None) for name in names}
    return {name: None if value is None else float(value) for name, value in values.items()}


def _set(callback: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        whole = name != "best" and value is not None
        setattr(callback, name, int(value) if whole else value)


def _refuse_divergence(model: Any, result: FitResult, values: dict[str, float]) -> None:
    bad = {name: value for name, value in values.items() if not math.isfinite(value)}
    if not bad:
        return
    last = result.curves.get("loss", [])
    raise TrainingDiverged(
        "the training diverged",
        where=f"epoch {result.epochs_run + 1}",
        received=", ".join(f"{name} = {value}" for name, value in bad.items()),
        expected=f"a finite loss; the previous epoch had {last[-1]:.6g}"
        if last
        else "a finite loss",
        remedies=[
            "lower the learning rate, currently "
            f"{float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)):g} "
            "(regrow list MODEL names the setting)",
            "clip the gradients, or check the inputs for extreme values",
        ],
    )


def _open_checkpoint(folder: Path | None, model: Any, plan: FitPlan, data: Any) -> Checkpoint:
    """The checkpoint in a folder; without one nothing is hashed."""
    if folder is None:
        return Checkpoint(None, "")
    parts = [
        asdict(plan),
        keras.saving.serialize_keras_object(model.optimizer),
        [(v.path, tuple(v.shape), str(v.dtype)) for v in model.variables],
        model.to_json(),
    ]
    arrays = [np.asarray(array) for array in keras.tree.flatten(data) if array is not None]
    identity = identify(parts, *arrays)
    return Checkpoint(folder / CHECKPOINT, identity, every_s=plan.checkpoint_every_s)
