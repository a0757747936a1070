"""Speed of the models that make pictures, as markdown tables.

python benchmarks/pictures_speed.py steps         VGG-16, seeded random weights, 400 x 400 pixels
REGROW_MIRROR=FOLDER python benchmarks/pictures_speed.py optimizers     L-BFGS against Adam

Seconds are the processor's (all threads of this process), so that what else the machine does hardly
counts; on one core that is free they are the clock's. Each way is run once before it is timed; the
least of the repeats is shown.
"""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from regrow.models.deep_dream.objective import make_objective
from regrow.models.style_transfer.losses import StyleLoss, gram_matrix, total_variation
from regrow.models.style_transfer.score import measure
from regrow.models.style_transfer.spec import StyleTransferConfig
from regrow.models.style_transfer.transfer import list_scales, transfer
from regrow.vision.backbones import build_backbone, cut, list_layers, preprocess
from regrow.vision.canvas import fit_size, resize, to_bytes
from regrow.vision.decoding import read_rgb
from regrow.vision.gradients import value_and_grad

SIDE = 400
LAYER = "block5_conv3"
MIRRORED = "mobilenet/mobilenet_v1_0.25_224_notop.weights.h5"
REPEATS = 2
LBFGS_STEPS = 75
# In grey levels; at 2 it is far behind.
ADAM_RATES = (4.0, 8.0)


def time_best(call: Callable[[], Any], repeats: int) -> float:
    """Processor seconds of one call: the least of several, after one that compiles."""
    call()
    found = []
    for _ in range(repeats):
        started = time.process_time()
        call()
        found.append(time.process_time() - started)
    return min(found)


def count_gflop(network: keras.Model) -> float:
    """Multiplications and additions of a step's convolutions: forward, and back to the pixels."""
    rows = {row["layer"]: row for row in list_layers(network, SIDE)}
    total = 0.0
    for layer in network.layers:
        if isinstance(layer, keras.layers.Conv2D):
            row = rows[layer.name]
            total += 2 * np.prod(layer.kernel.shape) * row["height"] * row["width"]
    return float(2 * total / 1e9)


def measure_convolution(repeats: int) -> float:
    """GFLOP/s of one convolution of VGG's third block, forward and back to its input."""
    kernel = np.random.default_rng(0).normal(size=(3, 3, 256, 256)).astype("float32") * 0.02
    x = np.random.default_rng(1).normal(size=(1, 100, 100, 256)).astype("float32")
    step = value_and_grad(
        lambda x, _: (ops.mean(ops.square(ops.conv(x, kernel, padding="same"))), {})
    )
    seconds = time_best(lambda: step(x), repeats + 2)
    return 2 * 2 * 9 * 256 * 256 * 100 * 100 / 1e9 / seconds


def run_eagerly(function: Any, pixels: Any) -> Any:
    """A step that is compiled at no place (TensorFlow)."""
    import tensorflow as tf

    x = tf.convert_to_tensor(pixels)
    with tf.GradientTape() as tape:
        tape.watch(x)
        value, _terms = function(x, {})
    return tape.gradient(value, x).numpy()


def compile_with_xla(function: Any) -> Callable[[Any], Any]:
    """A step that XLA compiles (TensorFlow)."""
    import tensorflow as tf

    @tf.function(jit_compile=True, autograph=False)  # type: ignore[untyped-decorator]
    def run(x: Any) -> Any:
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(x)
            value, _terms = function(x, {})
        return tape.gradient(value, x)

    return lambda pixels: run(tf.convert_to_tensor(pixels)).numpy()


def make_chapters_style_step(network: keras.Model, config: StyleTransferConfig) -> Any:
    """The loss with all three pictures through the network in every step, as the chapter has it."""

    def loss(pixels: Any, constants: Any) -> Any:
        three = ops.stack([constants["content"], constants["style"], pixels])
        features = network(preprocess(config.backbone, three), training=False)
        content = features[config.chosen_content]
        total = config.content_weight * ops.mean(ops.square(content[2] - content[0]))
        for name, weight in config.chosen_styles.items():
            grams = [gram_matrix(features[name][n : n + 1], None) for n in (1, 2)]
            total = total + config.style_weight * weight * ops.mean(ops.square(grams[1] - grams[0]))
        return total + config.variation_weight * total_variation(pixels), {}

    return value_and_grad(loss)


def time_steps(repeats: int) -> None:
    """Prints the time of a step of each kind."""
    chance = np.random.default_rng(0)
    pictures = {
        name: chance.uniform(0, 255, size=(SIDE, SIDE, 3)).astype("float32")
        for name in ("picture", "content", "style")
    }
    pixels = pictures["picture"]
    rate = measure_convolution(repeats)
    network = cut(build_backbone("vgg16", weights=None), [LAYER])
    function = make_objective(network, "vgg16", {LAYER: 1.0}, None)
    compiled = value_and_grad(function)
    ways: dict[str, tuple[float, float]] = {}
    work = count_gflop(network)
    ways[f"dream at {LAYER}, regrow"] = (time_best(lambda: compiled(pixels), repeats), work)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    if keras.backend.backend() == "tensorflow":
        eager = time_best(lambda: run_eagerly(function, pixels), repeats)
        ways["the same, eager"] = (eager, work)
        xla = compile_with_xla(function)
        ways["the same, XLA"] = (time_best(lambda: xla(pixels), repeats), work)
    config = StyleTransferConfig(backbone="vgg16", weights="random")
    loss = StyleLoss(config, None)
    work = count_gflop(loss.network)
    targets = loss.aim(pictures["content"], [pictures["style"]])
    ours = time_best(lambda: loss(pixels, targets), repeats)
    ways["style step, regrow: targets computed once"] = (ours, work)
    chapter = make_chapters_style_step(loss.network, config)
    given = {name: pictures[name] for name in ("content", "style")}
    # Forward for three pictures; only the third has gradients, but the batch carries them all.
    ways["style step, the chapter's way: three pictures"] = (
        time_best(lambda: chapter(pixels, given), repeats),
        3 * work,
    )
    print(
        f"\nVGG-16, {SIDE} x {SIDE}, {keras.backend.backend()}; one convolution: {rate:.0f} GFLOP/s"
    )
    print(f"(peak memory after the first row: {peak:.1f} GiB)\n")
    print(
        "| step | processor s | GFLOP/s | of the convolution's rate |\n| --- | ---: | ---: | ---: |"
    )
    for name, (seconds, gflop) in ways.items():
        speed = gflop / seconds
        print(f"| {name} | {seconds:.2f} | {speed:.0f} | {speed / rate:.0%} |", flush=True)


def compare_optimizers(
    name: str, base: StyleTransferConfig, weights: Path | None, photo: Any, style: Any, steps: int
) -> None:
    """Prints how long L-BFGS over several scales takes to the loss of Adam at one."""
    photo = to_bytes(resize(photo, fit_size(photo.shape, base.size)))
    loss = StyleLoss(base, weights)
    scales = len(list_scales(photo.shape[:2], 3))

    def run(**changes: Any) -> tuple[list[float], list[float], float]:
        """The losses at full size, when they were reached, and that of the finished picture."""
        plan = base.model_copy(update=changes)
        transfer(loss, photo, [style], plan=plan.model_copy(update={"steps": 1}))  # compiles
        seconds: list[float] = []
        started = time.process_time()
        found = transfer(
            loss,
            photo,
            [style],
            plan=plan,
            on_step=lambda *_: seconds.append(time.process_time() - started),
        )
        finished = measure(loss, found.pixels, photo, [style])["loss"]
        return found.curves["loss"][-plan.steps :], seconds[-plan.steps :], finished

    print(f"\n{name}, {base.size} pixels\n\n| way | loss | of the finished picture | processor s |")
    print("| --- | ---: | ---: | ---: |")
    adams = []
    for rate in ADAM_RATES:
        losses, seconds, finished = run(optimizer="adam", scales=1, steps=steps, learning_rate=rate)
        adams.append((losses[-1], seconds[-1]))
        what = f"Adam at one scale, {steps} steps, rate {rate:g}"
        print(f"| {what} | {losses[-1]:.4f} | {finished:.4f} | {seconds[-1]:.1f} |", flush=True)
    goal, spent = min(adams)
    losses, seconds, finished = run(optimizer="lbfgs", scales=3, steps=LBFGS_STEPS)
    reached = [s for value, s in zip(losses, seconds, strict=True) if value <= goal]
    what = f"L-BFGS over {scales} scales, {LBFGS_STEPS} steps at the last"
    print(f"| {what} | {losses[-1]:.4f} | {finished:.4f} | {seconds[-1]:.1f} |")
    share = f"{reached[0]:.1f} s, {reached[0] / spent:.0%} of Adam's time" if reached else "never"
    print(f"\nL-BFGS comes to the best of Adam's losses, {goal:.4f}, after: {share}", flush=True)


def compare_all(mirror: Path) -> None:
    """Compares the optimisers with a small network and with a large one."""
    style = read_rgb(mirror / "images/painting_van_gogh_starry_night.jpg").pixels
    photo = read_rgb(mirror / "images/photo_china_summer_palace.jpg").pixels
    small = StyleTransferConfig(size=256)
    compare_optimizers("MobileNet, real weights", small, mirror / MIRRORED, photo, style, 300)
    large = StyleTransferConfig(backbone="vgg16", weights="random", size=128)
    compare_optimizers("VGG-16, random weights", large, None, photo, style, 150)


def main() -> None:
    """Prints the tables."""
    print(f"load at the start: {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    mirror = os.environ.get("REGROW_MIRROR")
    only = sys.argv[1:]
    if mirror and Path(mirror, MIRRORED).is_file() and only in ([], ["optimizers"]):
        compare_all(Path(mirror))
    if only in ([], ["steps"]):
        time_steps(REPEATS)


if __name__ == "__main__":
    main()
