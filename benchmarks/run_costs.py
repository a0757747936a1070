"""What a run of a model costs: time, memory, and what it leaves on the disk.

    REGROW_MIRROR=... python benchmarks/run_costs.py air-quality digit-localisation:quick

Each runs all six stages in a home of its own, without a Prefect server.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

POLL_S = 0.1


def main() -> None:
    """Prints a line of a Markdown table for each MODEL or MODEL:PRESET of the command line."""
    print("| model | preset | minutes | CPU minutes | peak memory, MB | downloads, MB | home, MB |")
    print("| --- | --- | ---: | ---: | ---: | ---: | ---: |")
    for name in sys.argv[1:]:
        model, _, preset = name.partition(":")
        print(measure(model, preset), flush=True)


def measure(model: str, preset: str) -> str:
    """Runs a model, and returns its line of the table."""
    with tempfile.TemporaryDirectory(prefix="regrow-costs-") as folder:
        home = Path(folder) / "home"
        options = ["--preset", preset] if preset else []
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "regrow.cli", "run", model, *options, "--no-prefect", "--json"],
            env={**os.environ, "REGROW_HOME": str(home)},
            cwd=folder,
            stdout=subprocess.DEVNULL,
        )
        peak: list[float] = []
        watcher = threading.Thread(target=watch, args=(process.pid, peak))
        watcher.start()
        code, minutes = process.wait(), (time.monotonic() - started) / 60
        watcher.join()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 60
        downloads = size(home / "downloads")
        figures = f"{minutes:.1f} | {cpu:.1f} | {max(peak):,.0f} | {downloads:,.1f}"
        failed = f" (exit code {code})" if code else ""
        return (
            f"| {model}{failed} | {preset or 'first'} | {figures} | {size(home) - downloads:,.1f} |"
        )


def watch(pid: int, peak: list[float]) -> None:
    """Notes the greatest memory that a process has ever had, until it ends."""
    while True:
        try:
            text = Path(f"/proc/{pid}/status").read_text()
            peak += [
                int(line.split()[1]) * 1024 / 1e6 for line in text.splitlines() if "VmHWM" in line
            ]
            if "State:\tZ" in text:
                return
        except (OSError, ValueError):
            return
        time.sleep(POLL_S)


def size(folder: Path) -> float:
    """The megabytes of a folder's files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


if __name__ == "__main__":
    main()
