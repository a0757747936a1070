"""Where settings come from besides presets: a file, variables of the environment, and `.env`.

The order, the strongest first: --set, --config, environment, `.env`, preset, default.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from regrow.base.errors import UserError
from regrow.base.spec import ModelSpec

PREFIX = "REGROW_SET_"
# In the names of variables, between the model and the setting, and between nested names.
JOINT = "__"
ENV_FILE = ".env"


@dataclass(frozen=True)
class Layer:
    """Settings of one origin.

    Attributes:
        origin: where they come from, in words.
        values: the settings, nested.
    """

    origin: str
    values: Mapping[str, Any]


def variable_prefix(model: str) -> str:
    """How the variables of a model's settings begin: REGROW_SET_AIR_QUALITY__."""
    return f"{PREFIX}{model.replace('-', '_').upper()}{JOINT}"


def read_variables(spec: ModelSpec) -> list[Layer]:
    """The settings of a model in `.env` of the working directory and in the environment.

    Later ones are stronger. A name that the model does not have is handed on, so that it is refused
    like any other.

    Raises:
        UserError: `.env` cannot be read, or a value is not the JSON that its setting needs.
    """
    layers = []
    prefix = variable_prefix(spec.name)
    if file := _read_env_file(prefix):
        layers.append(Layer(ENV_FILE, _parse(spec, file, ENV_FILE)))
    own = {name: value for name, value in os.environ.items() if name.upper().startswith(prefix)}
    if own:
        layers.append(Layer("environment", _parse(spec, own, "the environment")))
    return layers


def read_settings_file(path: str | Path) -> dict[str, Any]:
    """The settings in a TOML or YAML file.

    Raises:
        UserError: it cannot be read, or does not hold settings by name.
    """
    path = Path(path)
    if path.suffix not in (".toml", ".yaml", ".yml"):
        raise _refuse(path, path.name, "a file name that ends in .toml, .yaml or .yml")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise _refuse(path, str(reason), "a settings file") from error
    if path.suffix == ".toml":
        try:
            return tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise _refuse(path, str(error), "TOML, such as: seeds = 3") from error
    import yaml

    try:
        found = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise _refuse(path, str(error), "YAML, such as: seeds: 3") from error
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(isinstance(name, str) for name in found):
        raise _refuse(path, type(found).__name__, "settings by name, such as: seeds: 3")
    return found


def _refuse(path: Path, received: str, expected: str) -> UserError:
    return UserError(
        "the settings file is not valid",
        where=str(path),
        received=received,
        expected=expected,
    )


def _read_env_file(prefix: str) -> dict[str, str]:
    """The variables in `.env` that begin with the prefix."""
    path = Path(ENV_FILE)
    if not path.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        found = dotenv_values(path)
    except (OSError, UnicodeDecodeError) as error:
        raise _refuse(path, str(error), "lines of the form NAME=VALUE, in UTF-8") from error
    return {name: value or "" for name, value in found.items() if name.upper().startswith(prefix)}


def _parse(spec: ModelSpec, variables: Mapping[str, str], where: str) -> dict[str, Any]:
    """Variables as nested settings: lists and mappings are JSON, `null` is None."""
    from pydantic import create_model
    from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsError

    prefix = variable_prefix(spec.name)
    names = {name[len(prefix) :].lower() for name in variables}
    unknown = {name.partition(JOINT)[0] for name in names} - spec.config.model_fields.keys()
    made: object = create_model("Variables", __base__=(spec.config, BaseSettings))
    kind = cast("type[BaseSettings]", made)
    source = EnvSettingsSource(
        kind,
        case_sensitive=False,
        env_prefix=prefix,
        env_nested_delimiter=JOINT,
        env_parse_none_str="null",
    )
    lowered = {name.lower(): None if text == "null" else text for name, text in variables.items()}
    source.env_vars = lowered
    try:
        found = source()
    except SettingsError as error:
        raise UserError(
            f"an environment variable for the settings of {spec.name} is not valid",
            where=where,
            received=str(error.__cause__ or error),
            expected="JSON for a list or a mapping, such as [1, 2]",
            remedies=[f"regrow list {spec.name} shows every setting with its value"],
        ) from error
    return {**found, **dict.fromkeys(sorted(unknown), "")}
