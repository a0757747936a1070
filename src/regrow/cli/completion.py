"""Completion of commands, models, presets, settings and versions in bash, zsh and fish.

A person waits for it at every press of Tab, so nothing is imported but the standard library: what
there is to complete is read from a file, which is written again when what it was made from changes
(see completion_table.py). `regrow --install-completion` sets up the shell.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shlex
import sqlite3
import sys
from typing import Any

VARIABLE = "_REGROW_COMPLETE"
SHELLS = ("complete_bash", "complete_zsh", "complete_fish")


def complete() -> int:
    """Answers the shell in the form that Typer's scripts for it expect; returns the exit code."""
    shell = os.environ[VARIABLE]
    before, typed = read_words(shell)
    try:
        found = [word for word in list_words(read_table(), before, typed) if word.startswith(typed)]
    except Exception:  # a message would appear in the middle of what is being typed
        found = []
    if shell == "complete_zsh":
        words = "\n".join('"' + word.replace(":", "\\\\:") + '"' for word in found)
        print(f"_arguments '*: :(({words}))'" if found else "_files")
    elif shell == "complete_fish" and os.environ.get("_TYPER_COMPLETE_FISH_ACTION") == "is-args":
        return 0 if found else 1
    else:
        print("\n".join(found))
    return 0


def read_words(shell: str) -> tuple[list[str], str]:
    """The words before the one that is being typed, without the command's name; and that one."""
    if shell == "complete_bash":
        words, place = _split(os.environ.get("COMP_WORDS", "")), int(os.environ["COMP_CWORD"])
        return words[1:place], (words[place] if place < len(words) else "")
    text = os.environ.get("_TYPER_COMPLETE_ARGS", "")
    words = _split(text)[1:]
    return (words, "") if not words or text.endswith(" ") else (words[:-1], words[-1])


def _split(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quotation mark that is not closed yet
        return text.split()


def list_words(table: dict[str, Any], before: list[str], typed: str) -> list[str]:
    """All words that may stand here; not only those that begin as is typed."""
    node, rest = table["commands"], list(before)
    while "commands" in node:
        name = next((word for word in rest if not word.startswith("-")), None)
        if name is None:
            return list(node["options"]) if typed.startswith("-") else list(node["commands"])
        rest = rest[rest.index(name) + 1 :]
        node = node["commands"].get(name, {"options": {}, "arguments": []})
    values: list[str] = []
    expects: str | None = None  # the option whose value comes next
    for word in rest:
        if expects is not None:
            expects = None
        elif word.startswith("-"):
            expects = word if node["options"].get(word) else None
        else:
            values.append(word)
    if expects is not None:
        return _list_values(table, node["options"][expects], values)
    if typed.startswith("-"):
        return list(node["options"])
    kinds = node["arguments"]
    kind = kinds[min(len(values), len(kinds) - 1)] if kinds else "other"
    return _list_values(table, kind, values)


def _list_values(table: dict[str, Any], kind: str, values: list[str]) -> list[str]:
    """What an argument or an option takes; nothing where the shell completes files.

    Args:
        kind: "model", "preset", "setting", "version", "choice:A,B" or "other".
        values: the arguments given so far, of which the first is the model.
    """
    model = table["models"].get(values[0], {}) if values else {}
    if kind.startswith("choice:"):
        return kind.partition(":")[2].split(",")
    if kind == "model":
        return list(table["models"])
    if kind == "preset":
        return list(model.get("presets", ()))
    if kind == "setting":
        return [f"{name}=" for name in model.get("settings", ())]
    return _list_versions(table, values[0]) if kind == "version" and values else []


def _list_versions(table: dict[str, Any], model: str) -> list[str]:
    """The registered versions of a model, its scopes and its sample, the newest first."""
    if os.environ.get("MLFLOW_TRACKING_URI"):  # a server would be asked at every press of Tab
        return []
    path = os.path.join(os.environ.get("REGROW_HOME") or table["home"], "mlflow.db")
    if not os.path.exists(path):
        return []
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        rows = connection.execute(
            "SELECT DISTINCT version FROM model_versions WHERE name = ? OR name LIKE ? "
            "ORDER BY version DESC",
            (model, f"{model}.%"),
        )
        return [str(version) for (version,) in rows]


def read_table() -> dict[str, Any]:
    """What there is to complete; made anew where it is not up to date, which takes a second."""
    path = find_table()
    try:
        with open(path, encoding="utf-8") as stream:
            table: dict[str, Any] = json.load(stream)
        if all(mark_file(name) == mark for name, mark in table["files"].items()):
            return table
    except (OSError, ValueError, KeyError):
        pass
    from regrow.cli.completion_table import make_table

    table = make_table()
    table["files"] = {name: mark_file(name) for name in table["files"]}
    with contextlib.suppress(OSError):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = f"{path}.{os.getpid()}"
        with open(temporary, "w", encoding="utf-8") as stream:
            json.dump(table, stream)
        os.replace(temporary, path)
    return table


def find_table() -> str:
    """The file of the project in use, which depends on the working directory."""
    caches = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    place = json.dumps([os.getcwd(), os.environ.get("REGROW_PROJECT"), sys.prefix])
    name = hashlib.sha256(place.encode()).hexdigest()[:16]
    return os.path.join(caches, "regrow", "completion", f"{name}.json")


def mark_file(path: str) -> int | None:
    """When a file was changed; None if there is none."""
    try:
        return os.stat(path).st_mtime_ns
    except OSError:
        return None
