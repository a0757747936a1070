"""`python -m tests.fuzz`: many hostile inputs for every reader; prints what became of them."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence

from tests.fuzz import binaries, documents, tables, texts, workbooks
from tests.fuzz.harness import Fuzzed, Outcome, measure_branches, run

ROOMS = (texts, binaries, workbooks, tables, documents)
READERS = {one.name: one for room in ROOMS for one in room.READERS}
HEADER = (
    "| reader | inputs | past the first check | read | refused | failed | longest | memory "
    "| branches |"
)


def summarise(reader: Fuzzed, outcomes: Sequence[Outcome], *, coverage: bool) -> str:
    """A line of the table of docs/reliability.md."""
    counts = Counter(one.verdict if one.is_good else "failed" for one in outcomes)
    past = sum(one.passed_check for one in outcomes) / len(outcomes)
    branches = "-"
    if coverage:
        totals = measure_branches(reader, outcomes)
        branches = f"{totals['covered_branches'] / max(1, totals['num_branches']):.0%}"
    return (
        f"| {reader.name} | {len(outcomes):,} | {past:.0%} | {counts['read']} "
        f"| {counts['refused']} | {counts['failed']} | {max(o.seconds for o in outcomes):.1f} s "
        f"| {max(o.memory_kib for o in outcomes) / 1024:.0f} MiB | {branches} |"
    )


def main() -> int:
    """Fuzzes the readers that are named, or all; 1 if an input did harm."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("readers", nargs="*", choices=[*READERS, []], help="by default all")
    parser.add_argument("--inputs", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="the number of the first input")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--no-coverage", action="store_true")
    options = parser.parse_args()
    coverage, failed = not options.no_coverage, 0
    lines = [HEADER, "| --- " * (HEADER.count("|") - 1) + "|"]
    for name in options.readers or READERS:
        started = time.monotonic()
        numbers = [-1, *range(options.first, options.first + options.inputs)]
        reader = READERS[name]
        outcomes = run(reader, numbers, workers=options.workers, coverage=coverage)
        for one in outcomes:
            if not one.is_good or (one.number < 0 and one.verdict != "read"):
                failed += 1
                print(f"{name} input {one.number}: {one.verdict}\n{one.detail}\n", flush=True)
        lines.append(summarise(reader, outcomes[1:], coverage=coverage))
        print(f"{lines[-1]}  ({time.monotonic() - started:.0f} s)", flush=True)
        if sum(one.passed_check for one in outcomes) * 2 < len(outcomes):
            failed += 1
            print(f"{name}: less than half of the inputs got past the first check")
    print("\n".join(["", *lines]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
