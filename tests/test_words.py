"""Text for people is plain technical English: phrases that readers stumbled over are banned."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import REPOSITORY

# Phrase, and what is written instead.
BANNED = {
    r"(?<![Tt]here )\bis no (table|file|number|news|picture|model)\b": "is not a ...",
    r"(?<![Tt]here )\bare no (tables|files|numbers|pictures)\b": "are not ...",
    r"\bwithout news\b": "with unchanged data",
    r"\btells? damage\b": "detects damage",
    r"\bcannot be told\b": "is not available, cannot be measured",
    r"\bdoes what the change\b": "repeats the stages that ... affects",
    r"\bgoes? one way\b": "has the same stages; cannot be combined",
    r"\bstands? once\b": "is defined once",
    r"\bat most so many\b": "maximum number of",
    r"\btold by its\b": "identified by its",
    r"\bit does not tell\b": "it does not show",
    r"\b[Aa] (air|image|evaluation|example|array|alias)\b": "an ...",
    r"\bmade anew\b|\bmakes? (it|the result) (again|anew)\b": "built again",
    r"\ba (sentence|vector|row|picture|byte) an? (line|row|file|sentence|document|number)\b": "per",
    r"\b(rows?|scenes|pairs|digits|questions|sentences|seconds|lines) a (step|story|line)\b": "per",
    r"\bof (your|its|his|their|the user's) own\b": "your own ...; a separate ...",
    r"\bunder way\b": "active, running",
    r"\bgo(es)? on\b": "continues, resumes",
    r"\b(figures|numbers) (say|tell|stand|do not tell)\b": "the metrics show ...",
    r"\bexclude each other\b": "cannot be combined",
    r"\bstands? (twice|there|where|before|for it)\b": "occurs twice; ...",
    r"\ba whole\b": "a complete ...",
    r"\b[Gg]ive (a|an|another|the) (file|picture|smaller|larger|CSV|Parquet|zip)\b": "use ...",
    r"\bnever (saw|trained)\b": "unseen, not used in training",
    r"\bpasses over\b": "epochs",
    r"\bso many\b": "a number of, at least",
    r"\bnothing (in use )?(uses|needs)\b": "unused",
    r"\bcut short\b": "incomplete",
    r"\b(is|are|was|were) not there\b|: not there": "is missing, is not available",
    r"\bholds? no\b": "contains no",
    r"\bto learn from\b": "for training",
    r"\bnot whole\b": "not complete",
    r"\b[Ll]ook(s|ed)? (at|whether)\b": "checks",
    r"\bmend(s|ed|ing)?\b": "corrects, fixes",
    r"\btoo little room\b|\bmake room\b": "space",
    r"\b[Ww]hoever\b": "anyone who",
    r"\b(does|did) not answer\b": "does not respond",
    r"\b[Bb]eside (simple|PCA|the (model|photo))\b": "compared with",
    r"\bfalls as a cosine\b": "decreases with cosine decay",
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
