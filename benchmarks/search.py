"""`regrow sweep` by Optuna and at random, with the same number of trials: what the best reaches.

    python benchmarks/search.py [--trials 24] [--seeds 3]

On the digits of stacked-autoencoder. Trials are ranked by validation data; test data is not looked
at. Each search has a home of its own, so that none finds the trials of another.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from typing import Any

MODEL = "stacked-autoencoder"
OVER = ("learning_rate=0.0001..0.03:log", "noise=0.0..1.0", "batch_size=[8,16,32,64,128]")


def search(method: str, seed: int, trials: int) -> tuple[dict[str, Any], float]:
    """The document of one search, and the processor time that it took in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    varied = [part for one in OVER for part in ("--over", one)]
    with tempfile.TemporaryDirectory(prefix="regrow-search-") as home:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "regrow.cli", "sweep", MODEL, "--preset", "quick", *varied),
                *(f"--{method}", str(trials), "--seed", str(seed)),
                *("--workers", "1", "--no-publish", "--json"),
            ],
            env={**os.environ, "REGROW_HOME": home},
            stdout=subprocess.PIPE,
            check=True,
        )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout), used


def main() -> None:
    """Prints a line for each search, and the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=24, help="trials of each search")
    parser.add_argument("--seeds", type=int, default=3, help="searches of each kind")
    given = parser.parse_args()
    print("| search | seed | trials | ended early | CPU seconds | best validation error |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    best: dict[str, list[float]] = {"random": [], "optuna": []}
    for seed in range(given.seeds):
        for method, reached in best.items():
            document, used = search(method, seed, given.trials)
            runs = list(document["runs"].values())
            figures = [run["validation"]["val_loss"] for run in runs if run.get("validation")]
            pruned = sum(run.get("pruned") is not None for run in runs)
            reached.append(min(figures))
            figure = f"{used:.0f} | {min(figures):.5f} |"
            print(f"| {method} | {seed} | {len(runs)} | {pruned} | {figure}", flush=True)
    for method, reached in best.items():
        print(f"| {method}, mean | | | | | {statistics.mean(reached):.5f} |")


if __name__ == "__main__":
    main()
