"""Gradient ascent on pixels: octaves, jitter, smoothed gradients, tiles, and zooming in.

A. Mordvintsev, C. Olah and M. Tyka, Inceptionism: going deeper into neural networks (2015).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from regrow.base.errors import TrainingDiverged
from regrow.base.progress import note
from regrow.training.checkpoints import Checkpoint, identify
from regrow.vision.canvas import clip, fit_size, resize, save_picture, to_bytes
from regrow.vision.decoding import MIN_SIDE, Array, read_rgb

if TYPE_CHECKING:
    from regrow.models.deep_dream.spec import DeepDreamConfig

Climb = Callable[[Array], tuple[float, dict[str, float], Array]]
OnStep = Callable[[int, int, Array], None]
"""Called as `on_step(done, total, pixels)` after each step; pixels are floats from 0 to 255."""
NOISE_STD = 0.06
"""Of noise about mid-grey, as a share of the range: as wide as whole numbers from 100 to 150."""


@dataclass
class Dream:
    """A dreamt picture.

    Attributes:
        pixels: (height, width, 3), float32 from 0 to 255.
        curves: by term, a value for each step; "objective" is their weighted sum.
        seconds: of work, also that of a process that was killed.
        resumed_from: the step at which this process took over.
    """

    pixels: Array
    curves: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = 0.0
    resumed_from: int = 0

    def add(self, value: float, terms: Mapping[str, float]) -> None:
        """Adds what a step came to."""
        for name, number in {"objective": value, **terms}.items():
            self.curves.setdefault(name, []).append(number)


def dream(
    climb: Climb,
    photo: Array,
    config: DeepDreamConfig,
    *,
    checkpoint: Path | None = None,
    checkpoint_every_s: float = 2.0,
    on_step: OnStep | None = None,
) -> Dream:
    """Dreams on a photo, or out of noise of its size.

    Args:
        climb: the objective at pixels (height, width, 3): value, terms, gradient.
        photo: (height, width, 3), float32 from 0 to 255, in the size of the result.
        config: steps, octaves, jitter, smoothing, tiles, seed.
        checkpoint: a file that outlives a kill; the same call takes it up and ends alike.
        checkpoint_every_s: seconds between two of them.
        on_step: called after each step.

    Raises:
        TrainingDiverged: the gradient is not finite, or zero everywhere.
    """
    sizes = list_octaves(photo.shape, config.octaves, config.octave_scale)
    saved = Checkpoint(checkpoint, identify(config.model_dump(), photo), every_s=checkpoint_every_s)
    total = len(sizes) * config.steps
    result = _resume(saved, photo, total)
    started = time.monotonic() - result.seconds
    for done in range(result.resumed_from, total):
        octave, step = divmod(done, config.steps)
        if step == 0:
            result.pixels = _begin_octave(result.pixels, photo, sizes, octave, config)
        chance = np.random.default_rng([config.seed, octave, step])
        result.add(*_take_step(climb, result.pixels, config, chance, done))
        result.seconds = time.monotonic() - started
        state = {"done": done + 1, "curves": result.curves, "seconds": result.seconds}
        if done + 1 == total or saved.is_due():
            saved.save(state, {"pixels": result.pixels})
        if on_step:
            on_step(done + 1, total, result.pixels)
    return result


def _resume(saved: Checkpoint, photo: Array, total: int) -> Dream:
    """What a killed process has left of a dream, or one that has not begun."""
    state, found = saved.load() or ({"done": 0, "curves": {}, "seconds": 0.0}, {})
    if state["done"]:
        note(f"resuming after step {state['done']} of {total}")
    return Dream(found.get("pixels", photo), state["curves"], state["seconds"], state["done"])


def list_octaves(shape: Sequence[int], octaves: int, scale: float) -> list[tuple[int, int]]:
    """The sizes from coarse to fine; those with a side of less than 32 pixels are left out."""
    height, width = shape[:2]
    sizes = [(round(height / scale**n), round(width / scale**n)) for n in range(octaves)]
    return [size for size in sizes if min(size) >= MIN_SIDE][::-1] or [(height, width)]


def draw_noise(height: int, width: int, seed: int) -> Array:
    """Seeded noise about mid-grey, (height, width, 3), float32 from 0 to 255."""
    noise = np.random.default_rng(seed).normal(0.5, NOISE_STD, size=(height, width, 3))
    return np.clip(noise * 255, 0, 255).astype("float32")


def _begin_octave(
    pixels: Array, photo: Array, sizes: list[tuple[int, int]], octave: int, config: DeepDreamConfig
) -> Array:
    """The picture in the size of an octave, with the detail of the photo that it had lost."""
    size = sizes[octave]
    if octave == 0:
        return draw_noise(*size, config.seed) if config.start == "noise" else resize(photo, size)
    grown = resize(pixels, size)
    if config.start == "photo":
        grown += resize(photo, size)
        grown -= resize(resize(photo, sizes[octave - 1]), size)
    return np.clip(grown, 0, 255, out=grown)


def _take_step(
    climb: Climb, pixels: Array, config: DeepDreamConfig, chance: np.random.Generator, done: int
) -> tuple[float, dict[str, float]]:
    """One step, in place."""
    down, right = (int(n) for n in chance.integers(0, config.jitter + 1, size=2))
    value, terms, gradient = climb_tiles(climb, pixels, config.tile, config.overlap, (down, right))
    if config.smoothing:
        from scipy.ndimage import gaussian_filter

        for channel in range(3):
            gradient[..., channel] = gaussian_filter(
                gradient[..., channel], config.smoothing, mode="wrap"
            )
    length = float(np.sqrt(np.mean(np.square(gradient, dtype="float32"), dtype="float64")))
    if not np.isfinite(length) or length == 0:
        raise TrainingDiverged(
            "the gradient of the picture cannot be used for gradient ascent",
            where=f"step {done + 1}",
            received="a gradient of zero" if length == 0 else "a gradient that is not finite",
            expected="a layer that responds to the picture",
            remedies=["choose another layer or channel, or start from another picture"],
        )
    gradient *= config.step_size / length
    pixels += gradient
    np.clip(pixels, 0, 255, out=pixels)
    return value, terms


def climb_tiles(
    climb: Climb, pixels: Array, tile: int, overlap: int, shift: tuple[int, int] = (0, 0)
) -> tuple[float, dict[str, float], Array]:
    """The objective and its gradient, tile by tile where the picture is larger than one.

    Memory is bounded by the tile. Each looks `overlap` pixels beyond what it is responsible for,
    and the grid begins at `shift`, so that no seam stays where it is. All tiles have one shape, so
    that they are compiled once; beyond an edge the picture goes on at the other one.
    """
    height, width = pixels.shape[:2]
    if height <= tile and width <= tile:
        moved = np.roll(pixels, (-shift[0], -shift[1]), axis=(0, 1))
        value, terms, gradient = climb(moved)
        return value, terms, np.roll(gradient, shift, axis=(0, 1))
    gradient = np.empty_like(pixels)
    values = []
    for rows, inner_rows in _split(height, tile, overlap, shift[0]):
        for columns, inner_columns in _split(width, tile, overlap, shift[1]):
            value, terms, part = climb(pixels[np.ix_(rows, columns)])
            core = part[inner_rows, inner_columns]
            gradient[np.ix_(rows[inner_rows], columns[inner_columns])] = core
            values.append({"": value, **terms})
    means = {name: float(np.mean([one[name] for one in values])) for name in values[0]}
    return means.pop(""), means, gradient


def _split(length: int, tile: int, overlap: int, shift: int) -> Iterator[tuple[Array, slice]]:
    """The pixels of each tile along one side, and which of them it is responsible for."""
    if length <= tile:
        yield (np.arange(length) + shift) % length, slice(None)
        return
    core = tile - 2 * overlap
    for start in range(0, length, core):
        pixels = np.arange(start - overlap, start + core + overlap) + shift
        yield pixels % length, slice(overlap, overlap + core)


def zoom_in(
    climb: Climb,
    pixels: Array,
    config: DeepDreamConfig,
    folder: Path,
    *,
    on_frame: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Frames of a way into the picture, each dreamt on the one before it, enlarged.

    Args:
        pixels: (height, width, 3), uint8.
        folder: where they are kept as PNG; those that are there already are not made again.
        on_frame: called as `on_frame(done, total)`.
    """
    plan = config.model_copy(
        update={"steps": config.zoom_steps, "octaves": 1, "start": "photo", "preview_every": 0}
    )
    folder.mkdir(parents=True, exist_ok=True)
    frames = [folder / f"{n:05d}.png" for n in range(config.zoom_frames)]
    for n, frame in enumerate(frames):
        if frame.is_file():
            pixels = read_rgb(frame).pixels
        else:
            if n:
                plan = plan.model_copy(update={"seed": config.seed + n})
                pixels = to_bytes(dream(climb, _enlarge(pixels, config.zoom), plan).pixels)
            save_picture(pixels, frame)
        if on_frame:
            on_frame(n + 1, len(frames))
    return frames


def _enlarge(pixels: Array, zoom: float) -> Array:
    """The middle of a picture, in the size of all of it."""
    height, width = pixels.shape[:2]
    inner_h, inner_w = round(height / zoom), round(width / zoom)
    top, left = (height - inner_h) // 2, (width - inner_w) // 2
    inner = pixels[top : top + inner_h, left : left + inner_w].astype("float32")
    return clip(resize(inner, (height, width)))


def prepare(pixels: Array, size: int) -> Array:
    """A photo (height, width, 3), uint8, as floats with a longer side of at most `size` pixels.

    One that is too narrow for that keeps a shorter side of 32 pixels.
    """
    return clip(resize(pixels, fit_size(pixels.shape, size, shortest=MIN_SIDE)))
