"""`make torture`: kills operations at drawn moments, and compares with what nobody disturbed.

    python -m tests.torture [--seed SEED] [--kills KILLS] [--jobs JOBS] [--minutes MINUTES]
        [--only NAME]

At least KILLS times, a process is killed by SIGKILL with its whole group while an operation is at
work in it: one of the six stages, a publication, a refresh, a rollback, an import or gc. Half of
the moments are drawn from the operation's events on files and half from its duration. A process
that had not begun or had ended the operation does not count. Each kill is followed by the same
command, after which store, log, registry, sources and files must be those of an undisturbed home.
The exit code is 1 if any differ.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TypeVar

from tests.support.commands import Launcher
from tests.torture.trial import Bench, Moment, Undisturbed
from tests.torture.world import Operation, World, make_environment

# So many moments are drawn for a kill that counts, at most: short operations are often missed.
DRAWS_PER_KILL = 6
T = TypeVar("T")


@dataclass
class Count:
    """What became of one operation.

    Attributes:
        operation: which one.
        moments: when it is killed.
        kills: how often it was killed while at work.
        missed: how often the process had not begun it, or had ended.
        differed: after how many kills something was not as without.
    """

    operation: Operation
    moments: Iterator[Moment]
    kills: int = 0
    missed: int = 0
    differed: int = 0


def draw_moments(seed: int, operation: str) -> Iterator[Moment]:
    """The moments of an operation: the same for the same seed, whatever becomes of the others."""
    chance = random.Random(f"{seed} {operation}")
    while True:
        for by_event in (True, False):
            yield Moment(chance.random(), by_event)


def torture(count: Count, bench: Bench, expected: Undisturbed, kept: Path) -> None:
    """Kills an operation once, and does it again."""
    operation = count.operation
    for _ in range(DRAWS_PER_KILL):
        moment = next(count.moments)
        if bench.kill(operation, moment, expected):
            break
        count.missed += 1
    else:
        return
    count.kills += 1
    print(f"{operation.name}: kill {count.kills} at {moment}", flush=True)
    if differences := bench.repeat(operation, expected):
        place = kept / f"{operation.name} {moment}"
        shutil.copytree(bench.folder, place, dirs_exist_ok=True)
        text = "\n  ".join([f"killed at {moment}:", *differences, f"see {place}"])
        print(f"{operation.name}, {text}", flush=True)
        count.differed += 1


class Benches:
    """Some benches, each with a launcher of its own, for as many threads.

    Args:
        folder: where they are.
        number: how many.
    """

    def __init__(self, folder: Path, number: int) -> None:
        self.launchers: list[Launcher] = []
        self.free: SimpleQueue[Bench] = SimpleQueue()
        for n in range(number):
            printed = folder / f"printed-{n}"
            printed.mkdir()
            self.launchers.append(Launcher(printed, make_environment(printed, folder)))
            self.free.put(Bench(folder / f"bench-{n}", self.launchers[n]))

    def map(self, work: Callable[[Count, Bench], T], counts: Iterable[Count]) -> list[T]:
        """Calls `work(count, bench)` for each, several at once."""

        def take_one(count: Count) -> T:
            bench = self.free.get()
            try:
                return work(count, bench)
            finally:
                self.free.put(bench)

        with ThreadPoolExecutor(len(self.launchers)) as pool:
            return list(pool.map(take_one, counts))

    def close(self) -> None:
        """Ends the processes."""
        for launcher in self.launchers:
            launcher.close()


def torture_all(given: argparse.Namespace, kept: Path) -> list[Count]:
    """Kills every operation equally often, in turn."""
    end = time.monotonic() + 60 * given.minutes
    with tempfile.TemporaryDirectory(prefix="regrow-torture-") as name:
        benches = Benches(Path(name), given.jobs)
        try:
            world = World(Path(name), benches.launchers[0])
            counts = [
                Count(operation, draw_moments(given.seed, operation.name))
                for operation in world.list_operations()
                if not given.only or operation.name in given.only
            ]
            watched = benches.map(lambda count, bench: bench.watch(count.operation), counts)
            expected = {
                count.operation.name: found for count, found in zip(counts, watched, strict=True)
            }
            for operation, found in expected.items():
                print(f"{operation}: {found.events} events, {found.seconds:.2f} s", flush=True)

            def work(count: Count, bench: Bench) -> None:
                torture(count, bench, expected[count.operation.name], kept)

            while time.monotonic() < end and sum(count.kills for count in counts) < given.kills:
                before = sum(count.kills for count in counts)
                benches.map(work, counts)
                if sum(count.kills for count in counts) == before:
                    break  # none can be met at work
            return counts
        finally:
            benches.close()


def main() -> int:
    """Prints the counts; returns the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=200, help="at least so many, of all together")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="how many at once")
    parser.add_argument("--minutes", type=float, default=600, help="begin no kill after so many")
    parser.add_argument("--only", action="append", default=[], help="one operation; repeatable")
    given = parser.parse_args()
    kept = Path(tempfile.gettempdir()) / f"regrow-torture-kept-{given.seed}"
    started = time.monotonic()
    counts = torture_all(given, kept)
    print(f"\nseed {given.seed}, {time.monotonic() - started:.0f} s")
    print(f"{'killed while at work in':<26}{'kills':>6}{'missed':>8}{'differ':>8}")
    for count in counts:
        print(f"{count.operation.name:<26}{count.kills:>6}{count.missed:>8}{count.differed:>8}")
    kills, differ = sum(c.kills for c in counts), sum(c.differed for c in counts)
    print(f"{'all':<26}{kills:>6}{sum(c.missed for c in counts):>8}{differ:>8}")
    if kills < given.kills:
        print(f"\nonly {kills} of {given.kills} kills met their operation at work")
    return int(bool(differ) or kills < given.kills)


if __name__ == "__main__":
    sys.exit(main())
