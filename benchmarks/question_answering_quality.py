"""Errors of question-answering by task, each task by itself, beside the papers, as markdown.

REGROW_MIRROR=FOLDER REGROW_HOME=FOLDER python benchmarks/question_answering_quality.py [PRESET]

Runs a sweep over the twenty tasks, two at a time; with a REGROW_HOME that is kept, a second call
only prints. Task 3 counts in no mean: no original copy of its 10,000 questions is known.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

from regrow.models.question_answering.paper import REPORTED
from regrow.models.question_answering.score import FAILED_PERCENT
from regrow.models.question_answering.tasks import ONLY_EN, TASKS


def run_sweep(preset: str) -> dict[str, Any]:
    """The table of `regrow sweep` with every run's summary."""
    over = f"tasks={[[task] for task in TASKS]}"
    command = ["sweep", "question-answering", "--preset", preset, "--over", over, "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "regrow.cli", *command],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    table: dict[str, Any] = json.loads(done.stdout)
    return table


def main() -> None:
    """Prints the table."""
    preset = next(iter(sys.argv[1:]), "compare")
    started = time.monotonic()
    runs = run_sweep(preset)["published"]["runs"]
    columns: dict[str, dict[int, float]] = {"published": {}, **{n: {} for n in REPORTED["en-10k"]}}
    chosen = {}
    for task in TASKS:
        metrics = runs[f"tasks=[{task}]"]["metrics"]
        columns["published"][task] = metrics["error_percent"]
        _by_task, networks = runs[f"tasks=[{task}]"]["tables"]
        chosen[task] = ", ".join(
            f"{name} {mean:.1f} ± {spread:.1f}" for name, mean, spread, *_ in networks["rows"]
        )
        for name, errors in REPORTED["en-10k"].items():
            columns[name][task] = errors[task - 1]
    print(f"| task | {' | '.join(columns)} | trained |\n| --- |{' ---: |' * len(columns)} --- |")
    for task, name in TASKS.items():
        cells = " | ".join(f"{column[task]:.1f}" for column in columns.values())
        print(f"| {task} {name} | {cells} | {chosen[task]} |")
    counted = [task for task in TASKS if task not in ONLY_EN]
    means = [sum(column[task] for task in counted) / len(counted) for column in columns.values()]
    failed = [sum(of[task] > FAILED_PERCENT for task in counted) for of in columns.values()]
    print(f"| mean of {len(counted)} | {' | '.join(f'{mean:.2f}' for mean in means)} | |")
    print(f"| failed | {' | '.join(map(str, failed))} | |")
    print(f"\nThe sweep took {(time.monotonic() - started) / 60:.0f} minutes.")


if __name__ == "__main__":
    main()
