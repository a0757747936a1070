"""What messages advise exists: commands, options, settings, variables, extras and targets."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache

import pytest

import regrow
from regrow.base.project import get_spec, list_models
from tests.cli.test_examples import list_commands, parse, regrow_command, split
from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "src" / "regrow"
COMMAND = re.compile(r"\bregrow ([a-z-]+)")
# Words after "regrow" and "make" in sentences.
PROSE = {"then", "that", "is", "and"}
MADE = {"room", "one", "another", "it"}
# What is put into a message where the code has an expression.
VALUE = "VALUE"


def read_texts(node: ast.AST) -> Iterator[str]:
    """The strings in an expression, with a word in the place of what is computed."""
    if isinstance(node, ast.Constant):
        if isinstance(node.value, str):
            yield node.value
    elif isinstance(node, ast.JoinedStr):
        yield "".join(
            str(part.value) if isinstance(part, ast.Constant) else _stand_in(part)
            for part in node.values
        )
    else:
        for child in ast.iter_child_nodes(node):
            yield from read_texts(child)


def _stand_in(part: ast.AST) -> str:
    """The number that a version is, or a word."""
    return "1" if "version" in ast.unparse(part) else VALUE


def is_advice(node: ast.AST) -> bool:
    """Whether an expression is made to be a message's remedies."""
    if isinstance(node, ast.keyword):
        return node.arg in ("remedies", "remedy")
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return any("remed" in ast.unparse(one).lower() for one in targets)
    return isinstance(node, ast.Call) and ast.unparse(node.func).startswith("remedies.")


@cache
def list_advice() -> tuple[tuple[str, str], ...]:
    """Every remedy, with the module that gives it."""
    found = {
        (path.relative_to(PACKAGE).as_posix(), text)
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if is_advice(node)
        for text in read_texts(node)
    }
    sources = tomllib.loads((REPOSITORY / "data" / "sources.toml").read_text(encoding="utf-8"))
    found |= {("sources.toml", one["remedy"]) for one in sources.values() if "remedy" in one}
    return tuple(sorted(found))


@cache
def list_options() -> set[str]:
    return {
        option
        for command in list_commands(regrow_command())
        for one in command.params
        for option in (*one.opts, *one.secondary_opts)
    }


@cache
def list_settings(model: str | None = None) -> set[str]:
    """The names of the settings of a model, or of all; of nested ones each name."""
    names: set[str] = set()
    for name in [model] if model else list_models():
        schema = get_spec(name).config.model_json_schema()
        for part in (schema, *schema.get("$defs", {}).values()):
            names |= set(part.get("properties", ()))
    return names


@cache
def read_documents() -> str:
    pages = [REPOSITORY / "README.md", REPOSITORY / "Makefile"]
    pages += (REPOSITORY / "docs").glob("*.md")
    return "\n".join(page.read_text(encoding="utf-8") for page in pages)


def find_mistakes(text: str, module: str = "") -> list[str]:
    """What a remedy names and is not there."""
    mistakes = []
    for part in re.split(r"(?=\bregrow [a-z])", text):
        mistakes += _check_command(part)
    targets = re.findall(r"^([a-z0-9-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    mistakes += [
        f"make {name}"
        for name in re.findall(r"\bmake ([a-z-]+)", text)
        if name not in {*targets, *MADE}
    ]
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    extras = declared["optional-dependencies"]
    mistakes += [
        f"extra {name}"
        for name in re.findall(r"regrow\[(\w+)\]", text)
        if name not in {*extras, VALUE}
    ]
    variables = re.findall(r"\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b", text)
    mistakes += [name for name in variables if not re.search(rf"\b{name}\b", read_documents())]
    public = {*regrow.PUBLIC, "toml"}
    mistakes += [f"regrow.{n}" for n in re.findall(r"regrow\.(\w+)", text) if n not in public]
    named = re.findall(r"--set '?([\w.]+)", text)
    settings = {part for name in named for part in name.split(".") if part.islower()}
    model = re.match(r"models/(\w+)/", module)
    if model:  # a name such as learning_rate in a sentence
        settings |= set(re.findall(r"(?<![\w=-])[a-z]+_[a-z_]+\b(?!\()", text))
    known = list_settings(model[1].replace("_", "-") if model else None)
    return mistakes + sorted(f"setting {one}" for one in settings - known)


def _check_command(text: str) -> list[str]:
    """Mistakes in a command at the beginning of a text, and in the options that follow it."""
    options = re.findall(r"(?<![\w-])--[a-z][a-z-]*", text)
    start = COMMAND.match(text)
    names = {command.name: command for command in list_commands(regrow_command())}
    if start is None or (start[1] in PROSE and start[1] not in names):
        return [option for option in options if option not in list_options()]
    if start[1] not in names:
        return [start[0]]
    words = re.split(r"[;:,)](?:\s|$)| again\b", text)[0].split()
    for end in range(len(words), 1, -1):
        try:
            command, _rest = parse(split(" ".join(words[:end]).replace("VERSION", "1")))
        except Exception as error:  # of the click that typer brings along
            if type(error).__name__ == "NoSuchOption":
                return [f"{start[0]} {error.option_name}"]  # type: ignore[attr-defined]
            if type(error).__name__ != "MissingParameter":
                continue  # the words of a sentence follow
            command = names[start[1]]
        known = {option for one in command.params for option in (*one.opts, *one.secondary_opts)}
        return [f"{start[0]} {option}" for option in options if option not in known]
    return [" ".join(words)]


@pytest.mark.parametrize(("module", "text"), list_advice())
def test_what_is_advised_exists(module: str, text: str) -> None:
    assert find_mistakes(text, module) == []


def test_the_advice_of_all_parts_is_found() -> None:
    found = list_advice()
    assert len(found) > 200
    assert {module.partition("/")[0] for module, _text in found} > {
        "base",
        "cli",
        "models",
        "vision",
    }
    assert sum("regrow " in text for _module, text in found) > 30


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("or regrow trian air-quality", "regrow trian"),
        ("regrow run air-quality --nonsense 3 trains one", "regrow run --nonsense"),
        ("regrow gc --sample", "regrow gc --sample"),
        ("leave --nonsense out", "--nonsense"),
        ("train it: make nothing", "make nothing"),
        ("pip install 'regrow[none]'", "extra none"),
        ("set REGROW_NOTHING", "REGROW_NOTHING"),
        ("use regrow.Nothing(3)", "regrow.Nothing"),
        ("--set nothing=3", "setting nothing"),
    ],
)
def test_advice_that_cannot_be_followed_is_noticed(text: str, mistake: str) -> None:
    assert mistake in find_mistakes(text)


def test_a_setting_of_another_model_is_noticed() -> None:
    assert find_mistakes("lower learning_rate", "models/style_transfer/transfer.py") == []
    assert find_mistakes("lower no_such_rate", "models/style_transfer/transfer.py")
