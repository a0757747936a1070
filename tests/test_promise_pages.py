"""docs/security.md and docs/reliability.md name a test for every promise; each of them exists."""

from __future__ import annotations

import ast
import re

import pytest

from tests.conftest import REPOSITORY

NAMED = re.compile(r"`(tests/\S+\.py)::(test_\w+)`")
PAGES = {
    "security.md": ("## Attackers and protections", "## No such heading"),
    "reliability.md": ("## Guarantees", "## Kill tests"),
}


@pytest.mark.parametrize("name", PAGES)
def test_every_row_names_a_test_that_exists(name: str) -> None:
    begin, end = PAGES[name]
    page = (REPOSITORY / "docs" / name).read_text(encoding="utf-8")
    rows = [
        line
        for line in page.partition(begin)[2].partition(end)[0].splitlines()
        if line.startswith("| ") and not line.startswith(("| attack |", "| guarantee |", "| --- |"))
    ]
    assert len(rows) > 12
    for row in rows:
        named = NAMED.findall(row.rsplit(" | ", 1)[1])
        assert named, f"no test is named: {row}"
        for path, function in named:
            module = ast.parse((REPOSITORY / path).read_text(encoding="utf-8"))
            functions = {node.name for node in module.body if isinstance(node, ast.FunctionDef)}
            assert function in functions, f"{path} has no {function}"
