"""What completion.py completes, and the files that it depends on."""

from __future__ import annotations

import importlib.util
import os
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from typer.main import get_command

from regrow.base.errors import UserError
from regrow.base.project import list_models, load_specs
from regrow.base.project_file import FILE, find_project
from regrow.base.settings import read_environment
from regrow.base.spec import ModelSpec, module_of
from regrow.cli.app import app
from regrow.pipeline.request import find_origins

# What a parameter of a command takes, by its name.
KINDS = {
    "model": "model",
    "preset": "preset",
    "overrides": "setting",
    "over": "setting",
    "version": "version",
    "models": "model",
}

# Where a model's package may say what presets and settings there are.
DEFINING = ("spec.py", "model.py", "settings.toml")


def make_table() -> dict[str, Any]:
    """Commands, models, the home, and the files after whose change it is to be made anew."""
    names = list_models(shipped=True)
    specs, _errors = load_specs(names)
    environment = {name: value for name, value in os.environ.items() if name != "REGROW_HOME"}
    return {
        "files": [str(path) for path in _list_files(specs)],
        "commands": _describe(get_command(app)),
        "models": {spec.name: _describe_model(spec) for spec in specs},
        "home": str(read_environment(environment).home),
    }


def _describe(command: Any) -> dict[str, Any]:
    """A command or group: its options, and what its arguments or the commands below it are."""
    options: dict[str, str | None] = {"--help": None}
    arguments: list[str] = []
    for parameter in command.params:
        kind = _find_kind(parameter)
        if parameter.param_type_name == "argument":
            arguments.append(kind)
        else:
            takes = None if getattr(parameter, "is_flag", False) else kind
            options |= dict.fromkeys([*parameter.opts, *parameter.secondary_opts], takes)
    found: dict[str, Any] = {"options": options, "arguments": arguments}
    if hasattr(command, "commands"):
        found["commands"] = {name: _describe(one) for name, one in command.commands.items()}
    return found


def _find_kind(parameter: Any) -> str:
    annotation = parameter.type_descriptor.annotation
    if get_origin(annotation) is Literal:
        return "choice:" + ",".join(map(str, get_args(annotation)))
    return KINDS.get(parameter.name, "other")


def _describe_model(spec: ModelSpec) -> dict[str, list[str]]:
    try:
        settings = list(find_origins(spec, None, []))
    except UserError:  # a variable of the environment sets what cannot be set
        settings = list(spec.config.model_fields)
    return {"presets": list(spec.presets), "settings": settings}


def _list_files(specs: list[ModelSpec]) -> Iterator[Path]:
    yield from sorted(Path(__file__).parent.glob("*.py"))
    yield Path(sysconfig.get_path("purelib"))  # where packages with models are installed
    project, here = find_project(), Path.cwd()
    for folder in (here, *here.parents):  # a project file in a nearer folder counts
        yield folder / FILE
        if folder == project:
            break
    yield project / FILE
    for spec in specs:
        module = importlib.util.find_spec(module_of(spec.stages["train"].run))
        if module is not None and module.origin is not None:
            yield from (Path(module.origin).with_name(name) for name in DEFINING)
