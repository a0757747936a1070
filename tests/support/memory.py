"""How much memory a piece of code takes, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import REPOSITORY

# Not getrusage: its peak is inherited from the process that started this one.
PROBE = """
from pathlib import Path
def peak_mib():
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024
"""


def measure_peak(code: str, *arguments: object) -> tuple[str, int]:
    """Runs Python code, in which `peak_mib()` is the most memory so far.

    Returns:
        What it printed, and the most memory that the process had in MiB.
    """
    done = subprocess.run(
        [sys.executable, "-c", f"{PROBE}{code}\nprint(peak_mib())", *map(str, arguments)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    printed, _, peak = done.stdout.strip().rpartition("\n")
    return printed, int(peak)
