"""Writes a new model: its package, a test, and its line in regrow.toml."""

from __future__ import annotations

import json
import keyword
import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from jinja2 import Environment, PackageLoader, StrictUndefined

from regrow.base.errors import UserError
from regrow.base.files import write_text
from regrow.base.project_file import FILE, read_project
from regrow.scaffold.columns import Guess, guess_columns
from regrow.scaffold.examples import (
    write_customers,
    write_measurements,
    write_reviews,
    write_shapes,
)
from regrow.tabular.cleaning import read_table
from regrow.tabular.model import GATES
from regrow.vision.labelled import check_labelled

Template = Literal["table", "text", "pictures", "stages"]
NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")


@dataclass(frozen=True)
class Kind:
    """What a template consists of: the folder of its files, and the data that it comes with."""

    folder: str
    write_example: Callable[..., None]
    title: str = ""
    suffix: str = ".csv"


KINDS: Mapping[Template, Kind] = {
    "table": Kind("table", write_customers),
    "text": Kind("table", write_reviews),
    "pictures": Kind("pictures", write_shapes, "labels for pictures", ".zip"),
    "stages": Kind("stages", write_measurements, "custom stages"),
}
MODELS = re.compile(r"^models\s*=\s*\[(.*?)\]", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Made:
    """What was written.

    Attributes:
        files: relative to the project, in the order in which a person reads them.
        guess: what each column was taken for; None for custom stages.
    """

    root: Path
    name: str
    files: tuple[str, ...]
    guess: Guess | None


def make_model(
    root: Path,
    name: str,
    *,
    template: Template = "table",
    data: str | None = None,
    target: str | None = None,
) -> Made:
    """Writes a model into a project, which is made if there is none.

    Args:
        root: the project's folder.
        name: the model's name, such as "churn" or "customer-churn".
        template: "table" and "text" are subclasses of `regrow.Model`; "pictures" and "stages" have
            functions.
        data: a CSV or Parquet file, for pictures a zip with a folder for each label, or the http(s)
            URL of one; by default a few generated rows or pictures.
        target: the column to predict; by default the last one.

    Raises:
        UserError: the name cannot be used, something is there already, or the file is not a table.
    """
    package = name.replace("-", "_")
    _check_name(root, name, package)
    kind = KINDS[template]
    with tempfile.TemporaryDirectory(prefix="regrow-") as temporary_folder:
        if data is None:
            address, source = _write_example(root, f"data/{name}{kind.suffix}", kind)
        else:
            address, source = _find_data(root, data, Path(temporary_folder))
        guess = _look_at(source, data, address, template, target)
    files = _render(kind, package, _values(name, package, address, guess, kind.title))
    for path in files:
        _check_free(root, path)
    # The project's file is last, so that a model in it is whole.
    for path, text in {**files, FILE: _declare(root, package)}.items():
        write_text(root / path, text)
    shown = [path for path, text in files.items() if text]
    return Made(root, name, (FILE, *shown, *([] if data else [address])), guess)


def _render(kind: Kind, package: str, values: Mapping[str, Any]) -> dict[str, str]:
    """The files of a model by their paths in the project."""
    templates = _templates()
    files = {
        f"{package}/{Path(path).name.removesuffix('.j2')}": templates.get_template(path)
        for path in sorted(templates.list_templates())
        if path.startswith(f"{kind.folder}/")
    }
    files[f"tests/test_{package}.py"] = templates.get_template("test.py.j2")
    rendered = {path: template.render(values) for path, template in files.items()}
    return {**rendered, f"{package}/__init__.py": ""}


def _look_at(
    source: Path, data: str | None, address: str, template: Template, target: str | None
) -> Guess | None:
    """What the columns of a table are for; of pictures only that they have labels."""
    if KINDS[template].folder == "table":
        return guess_columns(read_table(source, data or address), data or address, target)
    if data is not None and template == "stages":
        raise UserError(
            "--template stages does not use --from: custom stages read the data themselves",
            where="--from",
            received=data,
            remedies=["leave out --from, and edit data.py and spec.py of the example"],
        )
    if data is not None:
        check_labelled(source, data)
    return None


def _check_name(root: Path, name: str, package: str) -> None:
    problem = ""
    if not NAME.fullmatch(name):
        problem = "lower-case letters, digits and hyphens, starting with a letter"
    elif keyword.iskeyword(package) or package in sys.stdlib_module_names:
        problem = "a name that is not used by a Python module"
    elif package in ("regrow", "tests", "data"):
        problem = "a name other than regrow, tests and data"
    if problem:
        raise UserError(
            "a model cannot have this name",
            where=str(root),
            received=name,
            expected=problem,
            remedies=["regrow new customer-churn"],
        )


def _check_free(root: Path, path: str) -> None:
    if (root / path).exists():
        raise UserError(
            "the files already exist and were not changed; nothing was written",
            where=str(root / path),
            received="a file",
            expected="a path that does not exist yet",
            remedies=["choose another name, or move them away"],
        )


def _write_example(root: Path, address: str, kind: Kind) -> tuple[str, Path]:
    _check_free(root, address)
    (root / address).parent.mkdir(parents=True, exist_ok=True)
    kind.write_example(root / address)
    return address, root / address


def _find_data(root: Path, data: str, temporary: Path) -> tuple[str, Path]:
    """The address of the data as the model states it, and a local file to look at."""
    if urlsplit(data).scheme in ("http", "https"):
        return data, _download(data, temporary)
    path = Path(data).expanduser().resolve()
    if not path.is_file():
        raise UserError(
            "the data file does not exist",
            where="--from",
            received=data,
            expected="a CSV or Parquet file, a zip of pictures, or an http(s) URL of such a file",
        )
    inside = path.is_relative_to(root.resolve())
    return (path.relative_to(root.resolve()).as_posix() if inside else str(path)), path


def _download(url: str, folder: Path) -> Path:
    """A copy of what is at a URL, to look at."""
    from regrow.base.progress import report
    from regrow.sources.download import Expected
    from regrow.sources.locations import Location
    from regrow.sources.retries import DEFAULT_RETRIES, LocationError
    from regrow.sources.upstream import read_upstream

    name = Path(urlsplit(url).path).name or "data.csv"
    path = folder / name
    try:
        read_upstream(
            Location(url, Expected("of a new file")),
            None,
            path,
            lambda done, total: report(f"downloading {name}", done, total),
            DEFAULT_RETRIES,
        )
    except LocationError as error:
        raise UserError(
            "the data cannot be downloaded", where="--from", received=f"{url}: {error.reason}"
        ) from error
    return path


def _values(
    name: str, package: str, address: str, guess: Guess | None, title: str
) -> dict[str, Any]:
    gate = GATES[guess.task] if guess else None
    return {
        "name": name,
        "package": package,
        "kind": "".join(part.capitalize() for part in name.split("-")),
        "title": f"predicts {guess.target}" if guess else title,
        "address": address,
        "guess": guess,
        "metric": gate.metric if gate else "",
        "direction": gate.direction if gate else "",
    }


def _declare(root: Path, package: str) -> str:
    """The text of regrow.toml with one more model.

    Raises:
        UserError: the file cannot be changed by reading it.
    """
    path = root / FILE
    if not path.is_file():
        return (
            "# The models of this project: packages next to this file.\n"
            f'models = ["{package}"]\n\n'
            "# The schedule for `regrow deploy`; a run with unchanged data takes a few seconds.\n"
            'schedule = "0 4 * * *"\n'
        )
    text, known = path.read_text(encoding="utf-8"), read_project(root).models
    listed = f"models = {json.dumps([*known, package])}"
    new = MODELS.sub(lambda _found: listed, text, count=1) if MODELS.search(text) else None
    if new is None and not known:
        new = f"{listed}\n{text}"
    if new is None or tomllib.loads(new).get("models") != [*known, package]:
        raise UserError(
            "the list of models cannot be updated automatically",
            where=str(path),
            received="models is not a simple list",
            remedies=[f'add "{package}" to models there'],
        )
    return new


def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("regrow.scaffold"),
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
        autoescape=False,  # Python and TOML, not HTML; names become literals by the filters below
    )
    environment.filters |= {
        "string_literal": lambda value: json.dumps(value, ensure_ascii=False),
        "list_literal": _list_literal,
    }
    return environment


def _list_literal(values: list[str]) -> str:
    line = f"[{', '.join(json.dumps(value, ensure_ascii=False) for value in values)}]"
    if len(line) <= 80:
        return line
    items = "".join(f"            {json.dumps(v, ensure_ascii=False)},{os.linesep}" for v in values)
    return f"[{os.linesep}{items}        ]"
