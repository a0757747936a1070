"""How much faster a whole epoch in one compiled call is than a plain `model.fit`.

The same updates each time: a network 12-8-1, Adam, mse, 6,000 rows in batches of 10, in the same
order. Each way is timed after one epoch of warm-up; the median of several rounds is reported, and
the loss of one epoch from the same weights is compared. The backend is the one of KERAS_BACKEND.

    python benchmarks/training_speed.py [--json]
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from regrow.training.epochs import Epochs

ROWS, INPUTS, BATCH = 6000, 12, 10
ROUNDS = 7
TARGET_RATIO = 5.0


def make_data() -> tuple[Any, Any]:
    """Synthetic rows, (6000, 12) and (6000, 1), float32."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, INPUTS)).astype("float32")
    y = x @ rng.normal(size=(INPUTS, 1)).astype("float32") + np.sin(x[:, :1])
    return x, y


def make_model(**compile_options: Any) -> keras.Model:
    """The same network with the same weights each time."""
    keras.utils.set_random_seed(0)
    layers = [keras.layers.Dense(8, activation="relu"), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((INPUTS,)), *layers])
    model.compile(optimizer="adam", loss="mse", **compile_options)
    return model


def time_fit(x: Any, y: Any, order: Any, **compile_options: Any) -> tuple[list[float], float]:
    """Seconds of each round of `model.fit`, and the loss of the first epoch."""
    model = make_model(**compile_options)

    def epoch() -> float:
        history = model.fit(x[order], y[order], batch_size=BATCH, shuffle=False, verbose=0)
        return float(history.history["loss"][0])

    return time_rounds(epoch)


def time_engine(x: Any, y: Any, order: Any) -> tuple[list[float], float]:
    """Seconds of each round of the engine's epoch, and the loss of the first epoch."""
    epochs = Epochs(make_model(), [(x, y)], batch_size=BATCH)
    return time_rounds(lambda: epochs.train(order)["loss"])


def time_rounds(epoch: Callable[[], float]) -> tuple[list[float], float]:
    """Times `epoch` after a first, untimed round; returns that round's loss too."""
    first_loss = epoch()
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        epoch()
        seconds.append(time.perf_counter() - started)
    return seconds, first_loss


def measure() -> dict[str, Any]:
    """Runs all ways one after the other and compares them."""
    x, y = make_data()
    order = np.random.default_rng(1).permutation(ROWS).astype("int32")
    ways = {
        "model.fit": time_fit(x, y, order),
        "model.fit, steps_per_execution=100": time_fit(x, y, order, steps_per_execution=100),
        "regrow: one call an epoch": time_engine(x, y, order),
    }
    steps = ROWS // BATCH
    plain = statistics.median(ways["model.fit"][0])
    rows = [
        {
            "way": name,
            "ms_per_step": 1000 * statistics.median(seconds) / steps,
            "ratio": plain / statistics.median(seconds),
            "first_epoch_loss": loss,
        }
        for name, (seconds, loss) in ways.items()
    ]
    return {"backend": keras.backend.backend(), "rounds": ROUNDS, "rows": rows}


def main() -> None:
    """Prints a markdown table, or JSON with --json."""
    result = measure()
    if "--json" in sys.argv:
        print(json.dumps(result, indent=1))
        return
    print(f"Backend {result['backend']}, median of {ROUNDS} epochs of {ROWS // BATCH} steps.\n")
    print("| way | ms a step | times as fast | loss of the first epoch |")
    print("| --- | ---: | ---: | ---: |")
    for row in result["rows"]:
        print(
            f"| {row['way']} | {row['ms_per_step']:.3f} | {row['ratio']:.1f} "
            f"| {row['first_epoch_loss']:.6f} |"
        )
    reached = result["rows"][-1]["ratio"] >= TARGET_RATIO
    print(f"\nTarget, {TARGET_RATIO:g} times: {'reached' if reached else 'MISSED'}.")


if __name__ == "__main__":
    main()
