"""The figures of models on data that training never saw, over all their seeds, as markdown.

python benchmarks/model_quality.py image-similarity stacked-autoencoder
REGROW_MIRROR=FOLDER python benchmarks/model_quality.py air-quality air-quality:book [--json]
REGROW_MIRROR=FOLDER python benchmarks/model_quality.py sentence-vectors:best:seeds=3
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from typing import Any

from regrow.report.card import write_table
from regrow.report.evaluation import Table
from regrow.report.numbers import format_table


def run(wanted: str, home: str) -> dict[str, Any]:
    """Trains and evaluates "MODEL", "MODEL:PRESET" or "MODEL:PRESET:NAME=VALUE"; the summary."""
    model, preset, setting = [*wanted.split(":", 2), "", ""][:3]
    options = [*(["--preset", preset] if preset else []), *(["--set", setting] if setting else [])]
    command = ["run", model, *options, "--no-prefect", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "regrow.cli", *command],
        env={**os.environ, "REGROW_HOME": home},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def main() -> None:
    """Prints the tables of the models that are named, or all of it as JSON with --json."""
    models = [argument for argument in sys.argv[1:] if argument != "--json"]
    if not models:
        raise SystemExit(__doc__)
    with tempfile.TemporaryDirectory() as home:
        summaries = {model: run(model, home) for model in models}
    if "--json" in sys.argv:
        print(json.dumps(summaries, indent=1))
        return
    for model, summary in summaries.items():
        seconds = {stage["stage"]: stage["seconds"] for stage in summary["stages"]}
        print(f"### {model}\n")
        for table in summary["tables"]:
            found = Table.model_validate(table)
            print(f"**{found.title}.** {found.caption}\n\n{write_table(format_table(found))}\n")
        print(f"Training took {seconds['train']:.0f} s, evaluation {seconds['evaluate']:.0f} s.\n")


if __name__ == "__main__":
    main()
