"""Text for people is plain technical English: phrases that readers stumbled over are banned."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import REPOSITORY

# Phrase, and what is written instead.
BANNED = {
    r"\bmend(s|ed)? (the|that|them|it|or)\b": "correct",
    r"(?<![Tt]here )\bis no (table|file|number|news|picture|model)\b": "is not a ...",
    r"(?<![Tt]here )\bare no (tables|files|numbers|pictures)\b": "are not ...",
    r"\bwithout news\b": "with unchanged data",
    r"\btells? damage\b": "detects damage",
    r"\bcannot be told\b": "is not available, cannot be measured",
    r"\bdoes what the change\b": "repeats the stages that ... affects",
    r"\bgoes? one way\b": "has the same stages; exclude each other",
    r"\bstands? once\b": "is defined once",
    r"\bat most so many\b": "maximum number of",
    r"\btold by its\b": "identified by its",
    r"\bit does not tell\b": "it does not show",
    r"\b[Aa] (air|image|evaluation|example|array|alias)\b": "an ...",
}
PAGES = [REPOSITORY / "README.md", REPOSITORY / "CONTRIBUTING.md"]


def list_texts() -> Iterator[tuple[str, str]]:
    """What people read: strings of the code without docstrings, templates, pages."""
    source = REPOSITORY / "src" / "regrow"
    for path in sorted([*PAGES, *(REPOSITORY / "docs").glob("*.md"), *source.rglob("*.j2")]):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            yield f"{path.name}:{number}", line
    for path in sorted(source.rglob("*.py")):
        yield from _strings(path)


def _strings(path: Path) -> Iterator[tuple[str, str]]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    bodies = [node.body for node in ast.walk(tree) if hasattr(node, "body")]
    bare = {
        id(statement.value)
        for body in bodies
        if isinstance(body, list)
        for statement in body
        if isinstance(statement, ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in bare:
            yield f"{path.relative_to(REPOSITORY)}:{node.lineno}", node.value


def test_text_for_people_has_no_banned_phrase() -> None:
    found = [
        f"{place}: {match[0]!r}; write: {instead}"
        for place, text in list_texts()
        for phrase, instead in BANNED.items()
        if (match := re.search(phrase, text))
    ]
    assert not found, "\n".join(found)
