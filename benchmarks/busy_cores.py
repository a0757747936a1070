"""How much more processor time the stage evaluate takes when each core has a busy process already.

A quick run of air-quality on the shipped sample is made in a new home; then its evaluation, which
fits baselines of scikit-learn, is made again in processes of their own: on idle cores, and beside
one busy process on each core. The median processor time of several rounds is compared.

    python benchmarks/busy_cores.py [--json]
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ROUNDS = 3
TARGET_RATIO = 1.5
RUN = ("run", "air-quality", "--preset", "quick", "--sample", "--no-prefect")


def evaluate(home: Path) -> dict[str, float]:
    """Processor and clock seconds of the stage, after its libraries were imported."""
    from regrow.base.project import get_spec
    from regrow.base.settings import read_environment
    from regrow.pipeline.pipeline import Pipeline
    from regrow.pipeline.records import last_run

    settings = read_environment({"REGROW_HOME": str(home)})
    record = last_run(settings.home, "air-quality")
    assert record is not None
    pipeline = Pipeline(get_spec("air-quality"), record.request, settings)
    spent = {}
    for _ in ("imports", "measured"):
        shutil.rmtree(settings.home.store / "air-quality" / "evaluate")
        clock, processor = time.perf_counter(), time.process_time()
        pipeline.run_stage("evaluate", record.stages, lambda *_: None)
        spent = {
            "processor_s": time.process_time() - processor,
            "clock_s": time.perf_counter() - clock,
        }
    return spent


def measure(home: Path, env: dict[str, str]) -> dict[str, float]:
    """Medians over processes of their own."""
    command = [sys.executable, __file__, "--evaluate", str(home)]
    rounds = [
        json.loads(subprocess.run(command, env=env, check=True, capture_output=True).stdout)
        for _ in range(ROUNDS)
    ]
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def stay_busy() -> None:
    """Computes for ever."""
    while True:
        pass


@contextmanager
def busy_cores() -> Iterator[None]:
    """One busy process for each core."""
    processes = [
        multiprocessing.Process(target=stay_busy, daemon=True) for _ in range(os.cpu_count() or 1)
    ]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()


def compare() -> dict[str, Any]:
    """The times on idle and on busy cores, and their ratio."""
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        env["REGROW_HOME"] = str(home)
        command = [sys.executable, "-m", "regrow.cli", *RUN]
        subprocess.run(command, env=env, check=True, capture_output=True)
        idle = measure(home, env)
        with busy_cores():
            busy = measure(home, env)
    ratio = busy["processor_s"] / idle["processor_s"]
    return {"cores": os.cpu_count(), "idle": idle, "busy": busy, "ratio": ratio}


def main() -> None:
    """Prints the comparison; exit code 1 where the target is missed."""
    if sys.argv[1:2] == ["--evaluate"]:
        print(json.dumps(evaluate(Path(sys.argv[2]))))
        return
    found = compare()
    if "--json" in sys.argv:
        print(json.dumps(found))
    else:
        for name in ("idle", "busy"):
            times = found[name]
            print(f"{name}: {times['processor_s']:.2f} s processor, {times['clock_s']:.2f} s clock")
        print(f"ratio {found['ratio']:.2f}, target at most {TARGET_RATIO}")
    sys.exit(found["ratio"] > TARGET_RATIO)


if __name__ == "__main__":
    main()
