"""`regrow sweep` by Optuna and at random, with the same time: what the best trial reaches.

    python benchmarks/search.py [--budget 3m] [--seeds 3]

On the digits of stacked-autoencoder. Trials are ranked by validation data; test data is not looked
at. Each search has a home of its own, so that none finds the trials of another.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from typing import Any

MODEL = "stacked-autoencoder"
OVER = ("learning_rate=0.0001..0.03:log", "noise=0.0..1.0", "batch_size=[8,16,32,64,128]")
# More than a budget has room for.
TRIALS = 1000


def search(method: str, seed: int, budget: str) -> dict[str, Any]:
    """The document of one search."""
    varied = [part for one in OVER for part in ("--over", one)]
    with tempfile.TemporaryDirectory(prefix="regrow-search-") as home:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "regrow.cli", "sweep", MODEL, "--preset", "quick", *varied),
                *(f"--{method}", str(TRIALS), "--budget", budget, "--seed", str(seed)),
                *("--workers", "1", "--no-publish", "--json"),
            ],
            env={**os.environ, "REGROW_HOME": home},
            stdout=subprocess.PIPE,
            check=True,
        )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def main() -> None:
    """Prints a line for each search, and the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--budget", default="3m", help="no trial starts after so long")
    parser.add_argument("--seeds", type=int, default=3, help="searches of each kind")
    given = parser.parse_args()
    print("| search | seed | trials | ended early | best validation error |")
    print("| --- | ---: | ---: | ---: | ---: |")
    best: dict[str, list[float]] = {"random": [], "optuna": []}
    for seed in range(given.seeds):
        for method, reached in best.items():
            runs = list(search(method, seed, given.budget)["runs"].values())
            figures = [run["validation"]["val_loss"] for run in runs if run.get("validation")]
            pruned = sum(run.get("pruned") is not None for run in runs)
            reached.append(min(figures))
            line = f"| {method} | {seed} | {len(runs)} | {pruned} | {min(figures):.5f} |"
            print(line, flush=True)
    for method, reached in best.items():
        print(f"| {method}, mean | | | | {statistics.mean(reached):.5f} |")


if __name__ == "__main__":
    main()
