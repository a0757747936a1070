"""The figures of air-quality on the real file, over five seeds, as markdown.

REGROW_MIRROR=FOLDER python benchmarks/air_quality_quality.py [--json]
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import Any


def run(preset: str, home: str) -> dict[str, Any]:
    """Trains and evaluates one preset in a home of its own; returns the run's summary."""
    command = ["run", "air-quality", "--preset", preset, "--no-prefect", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "regrow.cli", *command],
        env={**os.environ, "REGROW_HOME": home},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def format_table(table: dict[str, Any]) -> str:
    """A table of evaluation.json as markdown."""
    lines = [
        f"**{table['title']}.** {table['caption']}",
        "",
        "| " + " | ".join(table["columns"]) + " |",
        "| --- |" + " ---: |" * (len(table["columns"]) - 1),
    ]
    for row in table["rows"]:
        cells = [
            "" if cell is None else f"{cell:.4g}" if isinstance(cell, float) else str(cell)
            for cell in row
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Prints the tables of both presets, or all of it as JSON with --json."""
    with tempfile.TemporaryDirectory() as home:
        summaries = {preset: run(preset, home) for preset in ("best", "book")}
    if "--json" in sys.argv:
        print(json.dumps(summaries, indent=1))
        return
    for preset, summary in summaries.items():
        seconds = {stage["stage"]: stage["seconds"] for stage in summary["stages"]}
        print(f"### Preset `{preset}`\n")
        for table in summary["tables"]:
            print(format_table(table) + "\n")
        print(f"Training took {seconds['train']:.0f} s, evaluation {seconds['evaluate']:.0f} s.\n")


if __name__ == "__main__":
    main()
