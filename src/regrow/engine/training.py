"""Training that gives the same weights whether or not it was killed on the way.

Keras's BackupAndRestore does not promise that: it starts the interrupted epoch again with another
data order, and EarlyStopping forgets what it had seen. Here everything that the next epoch depends
on is in the checkpoint: weights, optimizer, random generators, callbacks; and the order of the data
is a function of the seed and the epoch alone.
"""

from __future__ import annotations

import hashlib
import json
import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from regrow.engine.epoch import Epochs, Order, count_rows, make_deterministic
from regrow.engine.errors import TrainingDiverged, UserError

log = logging.getLogger(__name__)

CHECKPOINT = "checkpoint.npz"
# The callbacks' state that has to outlive a kill, by callback.
EARLY_STOPPING_STATE = ("wait", "stopped_epoch", "best", "best_epoch")
PLATEAU_STATE = ("best", "wait", "cooldown_counter")


@dataclass(frozen=True)
class FitPlan:
    """How to train.

    Attributes:
        epochs: at most so many passes over the data.
        batch_size: rows a step.
        seed: orders the data; `set_seed` seeds the weights before the model is built.
        patience: stop after so many epochs without a better `val_loss`; None never stops.
        min_delta: by how much a `val_loss` must be better to count.
        restore_best: end with the weights of the best epoch (needs `patience`).
        reduce_lr_patience: scale the learning rate down after so many epochs; None never does.
        reduce_lr_factor: by what the learning rate is then multiplied.
        min_lr: the learning rate never falls below this.
        jit_compile: lets XLA compile the step on TensorFlow; excludes `deterministic`.
        deterministic: the same bits on each run. TensorFlow then never compiles with XLA, silently.
        checkpoint_every_s: seconds between checkpoints; 0 writes one after every epoch.
    """

    epochs: int
    batch_size: int
    seed: int
    patience: int | None = None
    min_delta: float = 0.0
    restore_best: bool = True
    reduce_lr_patience: int | None = None
    reduce_lr_factor: float = 0.5
    min_lr: float = 0.0
    jit_compile: bool = False
    deterministic: bool = True
    checkpoint_every_s: float = 1.0


@dataclass
class FitResult:
    """What a training did.

    Attributes:
        curves: per-epoch values by name: "loss", "val_loss", metrics, "learning_rate".
        epochs_run: epochs done, those before a resume included.
        best_epoch: the epoch (from 0) with the lowest "val_loss", or "loss" without validation.
        stopped_early: whether patience ended it.
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


def set_seed(seed: int, *, deterministic: bool = True) -> None:
    """Seeds Python, NumPy and the backend; one training a process, as these are global."""
    keras.utils.set_random_seed(seed)
    if deterministic:
        make_deterministic()


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
    _check_plan(plan, validation)
    started = time.monotonic()
    epochs = Epochs(
        model, groups, validation, batch_size=plan.batch_size, jit_compile=plan.jit_compile
    )
    run = _Run(model, plan, _identity(model, plan, groups, validation) if checkpoint else "")
    path = checkpoint / CHECKPOINT if checkpoint else None
    if path is not None:
        run.load(path)
    run.result.resumed_from = run.result.epochs_run
    rows = sum(count_rows(group) for group in groups)
    steps = sum(math.ceil(count_rows(group) / plan.batch_size) for group in groups)
    saved = time.monotonic()
    while not run.finished:
        epoch = run.result.epochs_run
        values = epochs.train(data_order(rows, plan.seed, epoch))
        values |= {f"val_{name}": value for name, value in epochs.evaluate().items()}
        _refuse_divergence(model, run.result, values)
        run.end_epoch(values, steps=steps)
        if path is not None and (
            run.finished or time.monotonic() - saved >= plan.checkpoint_every_s
        ):
            run.save(path)
            saved = time.monotonic()
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

    def __init__(self, model: Any, plan: FitPlan, identity: str) -> None:
        self.model = model
        self.plan = plan
        self.identity = identity
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
        self.result.stopped_early = bool(self.model.stop_training)
        curve = self.result.curves.get("val_loss") or self.result.curves["loss"]
        self.result.best_epoch = int(np.argmin(curve))

    def end(self) -> None:
        # In the order of `model.fit`: averaged weights (use_ema) first, then the best ones.
        self.model.optimizer.finalize_variable_values(self.model.trainable_variables)
        for callback in self.callbacks:
            callback.on_train_end()

    def save(self, path: Path) -> None:
        """Writes the checkpoint whole or not at all."""
        arrays = {
            f"model/{n}": keras.ops.convert_to_numpy(v) for n, v in enumerate(self.model.variables)
        }
        arrays |= {
            f"optimizer/{n}": keras.ops.convert_to_numpy(v)
            for n, v in enumerate(self.model.optimizer.variables)
        }
        best = getattr(self.stopping, "best_weights", None) or []
        arrays |= {f"best/{n}": array for n, array in enumerate(best)}
        state = {
            "identity": self.identity,
            "result": asdict(self.result),
            "stopping": _get(self.stopping, EARLY_STOPPING_STATE),
            "plateau": _get(self.plateau, PLATEAU_STATE),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".writing")
        with temporary.open("wb") as stream:
            np.savez(stream, state=np.array(json.dumps(state)), **arrays)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)

    def load(self, path: Path) -> None:
        """Takes over from the checkpoint if it is there, whole and of this training."""
        if not path.is_file():
            return
        try:
            with np.load(path, allow_pickle=False) as archive:
                arrays = {name: archive[name] for name in archive.files}
            state = json.loads(str(arrays.pop("state")))
        except Exception as error:
            # Whatever is wrong with the file, training from the start is right.
            log.warning("%s cannot be read (%s): training starts from zero", path, error)
            return
        if state["identity"] != self.identity:
            log.warning("%s is of another plan, model or data: training starts from zero", path)
            return
        for n, variable in enumerate(self.model.variables):
            variable.assign(arrays[f"model/{n}"])
        for n, variable in enumerate(self.model.optimizer.variables):
            variable.assign(arrays[f"optimizer/{n}"])
        self.result = FitResult(**state["result"])
        best = [arrays[f"best/{n}"] for n in range(sum(a.startswith("best/") for a in arrays))]
        if self.callbacks:
            _set(self.stopping, state["stopping"])
            _set(self.plateau, state["plateau"])
            self.stopping.best_weights = best or None


def _get(callback: Any, names: tuple[str, ...]) -> dict[str, Any]:
    values = {name: getattr(callback, name, None) for name in names}
    return {name: None if value is None else float(value) for name, value in values.items()}


def _set(callback: Any, values: dict[str, Any]) -> None:
    for name, value in values.items():
        whole = name != "best" and value is not None
        setattr(callback, name, int(value) if whole else value)


def _check_plan(plan: FitPlan, validation: Sequence[Any]) -> None:
    if plan.jit_compile and plan.deterministic and keras.backend.backend() == "tensorflow":
        raise UserError(
            "TensorFlow cannot be deterministic and compile with XLA at once",
            where="training plan",
            received="deterministic=True and jit_compile=True",
            expected="one of the two",
        )
    if not validation and (plan.patience is not None or plan.reduce_lr_patience is not None):
        raise UserError(
            "early stopping and learning-rate plateaus need validation data",
            where="training plan",
            received=f"patience={plan.patience}, reduce_lr_patience={plan.reduce_lr_patience}",
        )


def _refuse_divergence(model: Any, result: FitResult, values: dict[str, float]) -> None:
    bad = {name: value for name, value in values.items() if not math.isfinite(value)}
    if not bad:
        return
    last = result.curves.get("loss", [])
    raise TrainingDiverged(
        "the training diverged",
        where=f"epoch {result.epochs_run + 1}",
        received=", ".join(f"{name} = {value}" for name, value in bad.items()),
        expected=f"a finite loss; the epoch before it was {last[-1]:.6g}"
        if last
        else "a finite loss",
        remedies=[
            "lower the learning rate, now "
            f"{float(keras.ops.convert_to_numpy(model.optimizer.learning_rate)):g} "
            "(regrow list MODEL names the setting)",
            "clip the gradients, or look for extreme values in the inputs",
        ],
    )


def _identity(model: Any, plan: FitPlan, data: Any, validation: Any) -> str:
    """A digest of all that a checkpoint must have been made with."""
    digest = hashlib.sha256()
    parts = [
        asdict(plan),
        keras.backend.backend(),
        keras.saving.serialize_keras_object(model.optimizer),
        [(v.path, tuple(v.shape), str(v.dtype)) for v in model.variables],
    ]
    digest.update(json.dumps(parts, sort_keys=True, default=str).encode())
    digest.update(model.to_json().encode())
    for array in keras.tree.flatten((data, validation)):
        if array is not None:
            array = np.ascontiguousarray(array)
            digest.update(f"{array.shape}{array.dtype}".encode())
            digest.update(array.data)
    return digest.hexdigest()
