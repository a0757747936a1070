"""Pixels optimised from coarse to fine, by L-BFGS or Adam, and going on after a kill."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from regrow.base.errors import TrainingDiverged
from regrow.base.progress import note
from regrow.models.style_transfer.losses import StyleLoss
from regrow.training.checkpoints import Checkpoint, identify
from regrow.vision.canvas import clip, fit_size, keep_colour, resize, to_bytes
from regrow.vision.decoding import MIN_SIDE, Array
from regrow.vision.spectrum import Spectrum

if TYPE_CHECKING:
    from regrow.models.style_transfer.spec import StyleTransferConfig

OnStep = Callable[[int, int, Array], None]
# L-BFGS begins anew after so many steps, at a checkpoint: so a killed run and a whole one are the
# same. Anew costs some ten steps until its memory is full again, so it is not done often.
ROUND = 100
MEMORY = 10
# The first step of L-BFGS moves the pixel that matters most by so many grey levels.
FIRST_STEP = 10.0
NOISE_STD = 0.06


@dataclass
class Transfer:
    """A picture that was made.

    Attributes:
        pixels: (height, width, 3), uint8.
        curves: by term, a value for each step; "loss" is their weighted sum.
        seconds: of work, also that of a process that was killed.
        resumed_from: the step at which this process took over.
    """

    pixels: Array
    curves: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    resumed_from: int = 0


def transfer(
    loss: StyleLoss,
    content: Array,
    styles: Sequence[Array],
    masks: Sequence[Array | None] = (),
    *,
    plan: StyleTransferConfig | None = None,
    checkpoint: Path | None = None,
    checkpoint_every_s: float = 2.0,
    on_step: OnStep | None = None,
) -> Transfer:
    """Makes a picture with the content of one and the style of others.

    Args:
        loss: of a configuration.
        content: (height, width, 3), uint8.
        styles: the same way, each of its own size.
        masks: see `StyleLoss.aim`.
        plan: how to optimise; by default as the loss's configuration says.
        checkpoint: a file that outlives a kill; the same call takes it up and ends alike.
        checkpoint_every_s: seconds between two of them.
        on_step: called as `on_step(done, total, pixels)`.

    Raises:
        TrainingDiverged: the loss is not finite.
    """
    config = plan or loss.config
    sizes = list_scales(fit_size(content.shape, config.size, shortest=MIN_SIDE), config.scales)
    identity = identify(config.model_dump(), content, *styles, *(m for m in masks if m is not None))
    saved = Checkpoint(checkpoint, identity, every_s=checkpoint_every_s)
    state, found = saved.load() or ({"done": 0, "curves": {}, "seconds": 0.0}, {})
    ends = list(accumulate(share_steps(config.steps, len(sizes))))
    run = _Run(loss, config, saved, state, found, on_step, total=ends[-1])
    for size, start, end in zip(sizes, [0, *ends], ends, strict=False):
        if run.done < end:
            _paint_scale(run, content, styles, masks, size, range(start, end))
    pixels = to_bytes(run.pixels)
    if config.keep_colour:
        pixels = keep_colour(pixels, to_bytes(resize(content, sizes[-1])))
    return Transfer(pixels, run.curves, run.seconds, state["done"])


def _paint_scale(
    run: _Run,
    content: Array,
    styles: Sequence[Array],
    masks: Sequence[Array | None],
    size: tuple[int, int],
    steps: range,
) -> None:
    """Runs the remaining steps at one scale."""
    config = run.config
    at_scale = clip(resize(content, size))
    small = [fit_style(style, size, config.style_scale) for style in styles]
    if run.done == steps.start:
        run.arrays = {}  # the optimiser begins anew
        run.pixels = clip(resize(run.pixels, size)) if run.done else begin(config, at_scale, small)
    OPTIMIZERS[config.optimizer](run, run.loss.aim(at_scale, small, masks), steps.stop)


def list_scales(size: tuple[int, int], scales: int) -> list[tuple[int, int]]:
    """Sizes from coarse to fine, each about twice the one before; none below 32 pixels a side."""
    height, width = size
    sizes = [(round(height / 2**n), round(width / 2**n)) for n in range(scales)]
    return [size for size in sizes if min(size) >= MIN_SIDE][::-1] or [(height, width)]


def share_steps(steps: int, scales: int) -> list[int]:
    """Steps from coarse to fine: half as many at each scale as at the next finer one.

    What a coarse scale is for, where things go, is done in few; more of them cost more than they
    save at the next.
    """
    return [max(1, steps >> n) for n in range(scales)][::-1]


def begin(config: StyleTransferConfig, content: Array, styles: Sequence[Array]) -> Array:
    """The picture that the optimisation starts from, (height, width, 3), float32 from 0 to 255."""
    size = content.shape[:2]
    if config.start == "content":
        return content
    if config.start == "style":
        return clip(resize(styles[0], size))
    chance = np.random.default_rng(config.seed)
    noise = np.asarray(chance.normal(127.5, 255 * NOISE_STD, size=content.shape), "float32")
    return clip(noise)


class _Run:
    """The state of one transfer: all that the next step depends on."""

    def __init__(
        self,
        loss: StyleLoss,
        config: StyleTransferConfig,
        saved: Checkpoint,
        state: dict[str, Any],
        arrays: dict[str, Array],
        on_step: OnStep | None,
        *,
        total: int,
    ) -> None:
        self.loss = loss
        self.config = config
        self.saved = saved
        self.done: int = state["done"]
        self.curves: dict[str, list[float]] = state["curves"]
        self.pixels: Array = arrays.pop("pixels", np.zeros((1, 1, 3), "float32"))
        self.arrays = arrays  # of the optimiser
        self.total = total
        self.on_step = on_step
        self._started: float = time.monotonic() - state["seconds"]
        if self.done:
            note(f"resuming after step {self.done} of {total}")

    @property
    def seconds(self) -> float:
        """The time spent so far, by killed processes as well."""
        return time.monotonic() - self._started

    def evaluate(self, pixels: Array, targets: Any) -> tuple[float, dict[str, float], Array]:
        """Loss, terms and gradient, all of them finite."""
        value, terms, gradient = self.loss(pixels, targets)
        if not np.isfinite(value) or not np.isfinite(gradient).all():
            raise TrainingDiverged(
                "the loss is no longer finite",
                where=f"step {self.done + 1}",
                received=f"loss {value}",
                expected="a finite loss",
                remedies=["lower learning_rate, or use --set optimizer=lbfgs"],
            )
        return value, terms, gradient

    def end_step(self, value: float, terms: dict[str, float], pixels: Array) -> None:
        """Counts and logs a step."""
        self.done += 1
        for name, number in {"loss": value, **terms}.items():
            self.curves.setdefault(name, []).append(number)
        if self.on_step:
            self.on_step(self.done, self.total, pixels)

    def save(self, **arrays: Array) -> None:
        """Writes a checkpoint of pixels and the optimiser's arrays."""
        state = {"done": self.done, "curves": self.curves, "seconds": self.seconds}
        self.saved.save(state, {"pixels": self.pixels, **arrays})


def _run_lbfgs(run: _Run, targets: Any, until: int) -> None:
    """L-BFGS in rounds, each from the pixels alone."""
    while run.done < until:
        steps = min(ROUND - run.done % ROUND, until - run.done)
        before = run.done
        _run_round(run, targets, steps)
        if run.done - before < steps:  # no way down any more: within the rounding of float32
            value, terms, _gradient = run.evaluate(run.pixels, targets)
            while run.done < until:
                run.end_step(value, terms, run.pixels)
        if run.done >= until or run.saved.is_due():
            run.save()


def _run_round(run: _Run, targets: Any, steps: int) -> None:
    """L-BFGS (Liu and Nocedal 1989) by SciPy.

    Without bounds: they take half of a step's time with MobileNet, and with them the loss falls no
    further in as many steps. What leaves the range of pixels is clipped at the end of the scale.
    """
    from scipy.optimize import minimize

    shape = run.pixels.shape
    spectrum = Spectrum(shape, run.config.spectrum)
    _value, _terms, gradient = run.evaluate(run.pixels, targets)
    first = spectrum.to_pixels(spectrum.from_gradient(gradient))
    scale = FIRST_STEP / max(float(np.abs(first).max()), 1e-30)
    last: dict[str, Any] = {}

    def to_pixels(x: Array) -> Array:
        return spectrum.to_pixels(x.reshape(shape).astype("float32"))

    def call(x: Array) -> Any:
        pixels = to_pixels(x)
        value, terms, gradient = run.evaluate(pixels, targets)
        last.update(value=value, terms=terms, pixels=pixels)
        return value * scale, spectrum.from_gradient(gradient).ravel().astype("float64") * scale

    def count(_x: Array) -> None:  # of the last call
        run.end_step(last["value"], last["terms"], last["pixels"])

    found = minimize(
        call,
        spectrum.from_pixels(run.pixels).ravel().astype("float64"),
        jac=True,
        method="L-BFGS-B",
        callback=count,
        options={"maxiter": steps, "maxcor": MEMORY, "ftol": 0, "gtol": 0, "maxfun": 10**6},
    )
    run.pixels = to_pixels(found.x)


def _run_adam(run: _Run, targets: Any, until: int) -> None:
    """Keras's Adam on the pixels, which are kept within their range."""
    variable = keras.Variable(run.pixels, name="pixels")
    optimizer = keras.optimizers.Adam(run.config.learning_rate, beta_1=0.9, epsilon=1e-8)
    optimizer.build([variable])
    for n, state in enumerate(optimizer.variables):
        if (kept := run.arrays.get(f"adam_{n}")) is not None:
            state.assign(kept)
    run.arrays = {}
    while run.done < until:
        value, terms, gradient = run.evaluate(run.pixels, targets)
        optimizer.apply([keras.ops.convert_to_tensor(gradient)], [variable])
        variable.assign(keras.ops.clip(variable, 0.0, 255.0))
        run.pixels = np.array(keras.ops.convert_to_numpy(variable))
        run.end_step(value, terms, run.pixels)
        if run.done >= until or run.saved.is_due():
            run.save(
                **{
                    f"adam_{n}": keras.ops.convert_to_numpy(state)
                    for n, state in enumerate(optimizer.variables)
                }
            )


OPTIMIZERS: dict[str, Callable[[_Run, Any, int], None]] = {"lbfgs": _run_lbfgs, "adam": _run_adam}


def fit_style(style: Array, size: tuple[int, int], scale: float) -> Array:
    """A style with a longer side of `scale` times the picture's; never enlarged.

    One that is too narrow for that keeps a shorter side of 32 pixels.
    """
    longest = max(MIN_SIDE, round(max(size) * scale))
    return clip(resize(style, fit_size(style.shape, longest, shortest=MIN_SIDE)))
