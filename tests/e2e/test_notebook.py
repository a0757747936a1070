"""The notebook in docs, its cells run as a kernel does: in one process, by a running event loop."""

from __future__ import annotations

import asyncio
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import REPOSITORY

pytestmark = pytest.mark.e2e

NOTEBOOK = REPOSITORY / "docs" / "notebook.ipynb"


def code_cells() -> Iterator[str]:
    for cell in json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            yield "".join(cell["source"])


def play_notebook() -> dict[str, Any]:
    """Runs the cells as a kernel does: one after the other, by a loop that is running."""
    names: dict[str, Any] = {"__name__": "__main__"}

    async def play() -> None:
        for source in code_cells():
            *lines, last = source.splitlines()
            try:
                shown = compile(last, "cell", "eval")
            except SyntaxError:
                exec(source, names)
                continue
            exec("\n".join(lines), names)
            value = eval(shown, names)
            if hasattr(value, "_repr_html_"):
                assert value._repr_html_()

    asyncio.run(play())
    return names


def test_the_notebook_runs_in_one_process(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(trained, tmp_path / "home")
    monkeypatch.setenv("REGROW_HOME", str(tmp_path / "home"))
    names = play_notebook()
    assert names["changed"].version == 2
