"""Completion at the press of Tab: what it offers, and what it costs."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.commands import REGROW, own_environment

MAX_CPU_S = 0.2


def press_tab(line: str, tmp_path: Path, **variables: str) -> tuple[list[str], float]:
    """What bash offers behind a line, and the seconds of CPU that it took."""
    words = line.split(" ")
    environment = {
        **own_environment(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "_REGROW_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        **variables,
    }
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, *REGROW],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert done.stderr == ""
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return done.stdout.split(), used


OFFERS = {
    "regrow r": {"run", "refresh", "restore", "rollback", "reject"},
    "regrow run air": {"air-quality"},
    "regrow run --preset quick image": {"image-similarity"},
    "regrow run air-quality --preset ": {"best", "book", "quick"},
    "regrow run air-quality --set see": {"seeds="},
    "regrow bundle ": {"export", "import"},
    "regrow ask --unknown s": {"skip"},
    "regrow predict air-quality rea": set(),
    "regrow nonesuch ": set(),
    "regrow run 'air": set(),
}


def test_it_offers_what_there_is_in_little_time(tmp_path: Path) -> None:
    press_tab("regrow ", tmp_path)  # writes down what there is, which imports all commands
    costs = []
    for line, offered in OFFERS.items():
        found, cost = press_tab(line, tmp_path)
        assert set(found) == offered, line
        costs.append(cost)
    assert min(costs) < MAX_CPU_S, costs


def test_it_offers_the_versions_of_a_model(trained: Path, tmp_path: Path) -> None:
    home = shutil.copytree(trained, tmp_path / "home")
    found, _ = press_tab("regrow predict air-quality --version ", tmp_path, REGROW_HOME=str(home))
    assert found == ["1"]


def test_a_new_project_and_a_new_preset_are_noticed(tmp_path: Path) -> None:
    assert press_tab("regrow run chu", tmp_path)[0] == []
    package = tmp_path / "churn"
    package.mkdir()
    (package / "__init__.py").touch()
    text = (
        "import regrow\n\n\nclass Churn(regrow.Model):\n"
        "    data = regrow.csv('customers.csv')\n"
        "    table = regrow.columns(target='churned', task='binary', numbers=['age'])\n"
    )
    (package / "model.py").write_text(text)
    (tmp_path / "regrow.toml").write_text('models = ["churn"]\n')
    assert press_tab("regrow run chu", tmp_path)[0] == ["churn"]
    (package / "settings.toml").write_text("[tiny]\nepochs = 1\n")
    assert press_tab("regrow run churn --preset ", tmp_path)[0] == ["default", "tiny"]
    (package / "settings.toml").write_text("[tiny]\nepochs = 1\n[large]\nepochs = 9\n")
    os.utime(package / "settings.toml", ns=(1, 1))  # whatever the clock of the file system
    assert press_tab("regrow run churn --preset ", tmp_path)[0] == ["default", "tiny", "large"]


@pytest.mark.parametrize(
    ("shell", "expected"),
    [
        ("complete_zsh", "_arguments '*: :((\"air-quality\"))'"),
        ("complete_fish", "air-quality"),
    ],
)
def test_other_shells(shell: str, expected: str, tmp_path: Path) -> None:
    found, _ = press_tab(
        "",
        tmp_path,
        _REGROW_COMPLETE=shell,
        _TYPER_COMPLETE_ARGS="regrow run air",
        _TYPER_COMPLETE_FISH_ACTION="get-args",
    )
    assert " ".join(found) == expected
