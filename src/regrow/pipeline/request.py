"""The request for a run: preset, settings, sources and their versions, validated together."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, ValidationError

from regrow.base.decision import Hold
from regrow.base.errors import UserError
from regrow.base.project import list_models
from regrow.base.spec import ModelConfig, ModelSpec
from regrow.pipeline.settings_layers import Layer, read_variables

MAX_DOTS = 20
DataChoice = Literal["real", "sample", "real-or-sample"]


class OfferedModels:
    """Makes forms offer the models that are declared when the form is made."""

    def __get_pydantic_json_schema__(
        self, schema: Any, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """The schema of a model's name."""
        found, models = handler(schema), list_models()
        return {**found, "enum": models} if models else found


ModelName = Annotated[str, OfferedModels()]


class RunRequest(BaseModel):
    """The request for one run. Plain JSON, so that it can be a flow's parameters.

    Attributes:
        model: the model's name.
        config: its settings, complete and validated.
        preset: the name of the preset that they are based on.
        data: the real source, the shipped sample, or the sample if the real source is unavailable.
        sources: local files by the names of the sources that they replace.
        versions: the first characters of a version by source; other sources have the current one.
        trial: whether it is one of the trials of a sweep, which ends when it is trained: it is
            never evaluated on test data, registered or judged.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    config: dict[str, Any]
    preset: str
    data: DataChoice = "real"
    sources: dict[str, Path] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    trial: bool = False


def make_request(
    spec: ModelSpec,
    *,
    preset: str | None = None,
    config: Mapping[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
    data: DataChoice = "real",
    sources: Mapping[str, Path] | None = None,
    versions: Mapping[str, str] | None = None,
    trial: bool = False,
) -> RunRequest:
    """Builds a validated request.

    Args:
        preset: a named set of settings; None for the first one.
        config: settings that replace the preset's and the environment's; settings that it lacks
            have their defaults.
        overrides: single settings to change.
        data: see `RunRequest`, as for the others.

    Raises:
        UserError: unknown preset, setting or source, or a value out of bounds.
    """
    request = RunRequest(
        model=spec.name,
        preset=preset or next(iter(spec.presets)),
        config={},
        data=data,
        sources={key: path.expanduser().absolute() for key, path in (sources or {}).items()},
        versions=dict(versions or {}),
        trial=trial,
    )
    _check_names(spec, request)
    settings = config if config is not None else _read_settings(spec, request.preset)
    checked = _validate(spec, merge(settings, overrides or {}))
    return request.model_copy(update={"config": checked.model_dump(mode="json")})


def _read_settings(spec: ModelSpec, preset: str) -> Mapping[str, Any]:
    """The settings of a preset and of the environment."""
    settings: Mapping[str, Any] = effective_preset(spec, preset)
    for layer in read_variables(spec):
        settings = merge(settings, layer.values)
    return settings


def find_origins(
    spec: ModelSpec, preset: str | None, layers: Sequence[Layer]
) -> dict[str, tuple[Any, str]]:
    """Every setting that a run would have, by its dotted name: its value and where it comes from.

    Args:
        layers: what is stronger than the environment, the strongest last.

    Raises:
        UserError: as `make_request`.
    """
    overrides: dict[str, Any] = {}
    for layer in layers:
        overrides = merge(overrides, layer.values)
    request = make_request(spec, preset=preset, overrides=overrides)
    chosen = Layer(f"preset {request.preset}", spec.presets[request.preset])
    origins: dict[str, str] = {}
    for layer in (chosen, *read_variables(spec), *layers):
        origins |= dict.fromkeys(flatten(layer.values), layer.origin)
    found = flatten(request.config)
    return {name: (value, origins.get(name, "default")) for name, value in found.items()}


def find_holds(spec: ModelSpec, request: RunRequest, older: Iterable[str] = ()) -> list[Hold]:
    """Why a run's model needs approval to become champion: its test data differ from the default.

    Args:
        older: the sources that are not at their current version.
    """
    usual = effective_preset(spec, next(iter(spec.presets)))
    split = [name for name in spec.gate.split if request.config.get(name) != usual[name]]
    reasons = {
        "local files were used for the source": sorted(request.sources),
        "an older version of the data was used for": sorted(older),
        "the data was split differently by": split,
    }
    return [
        Hold("override", f"{reason} {', '.join(names)}")
        for reason, names in reasons.items()
        if names
    ]


def effective_preset(spec: ModelSpec, preset: str) -> dict[str, Any]:
    """All settings of a preset: the defaults and its changes, which replace whole mappings."""
    defaults: dict[str, Any] = spec.config().model_dump(mode="json")
    return {**defaults, **spec.presets[preset]}


def merge(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """`base` with `changes`, mappings within mappings merged too."""
    merged = dict(base)
    for name, value in changes.items():
        old = merged.get(name)
        nested = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[name] = merge(old, value) if nested else value  # type: ignore[arg-type]
    return merged


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level, with names such as "variants.all-sensors.degree"."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def nest(name: str, value: Any) -> dict[str, Any]:
    """One setting by its dotted name as nested settings: "a.b" and 1 give {"a": {"b": 1}}."""
    for part in reversed(name.split(".")):
        value = {part: value}
    nested: dict[str, Any] = value
    return nested


def expand_settings(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted or plain names as nested settings: {"a.b": 1} gives {"a": {"b": 1}}."""
    settings: dict[str, Any] = {}
    for name, value in values.items():
        settings = merge(settings, nest(name, value))
    return settings


def parse_overrides(pairs: Sequence[str]) -> dict[str, Any]:
    """Turns "name=value" pairs into settings; a value is TOML (3, true, "x", [1, 2]) or plain text.

    Dots lead into nested settings: "variants.all-sensors.epochs=50".

    Raises:
        UserError: a pair without "=".
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, separator, text = pair.partition("=")
        if not separator or not name.strip():
            raise UserError(
                "a setting must be given as NAME=VALUE",
                where="--set",
                received=pair,
                expected="for example --set seeds=3",
            )
        try:
            value = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            value = text
        except RecursionError as error:
            raise _too_deep(pair) from error
        if name.count(".") > MAX_DOTS:
            raise _too_deep(pair)
        settings = merge(settings, nest(name.strip(), value))
    return settings


def _too_deep(pair: str) -> UserError:
    return UserError(
        "a setting is nested too deeply",
        where="--set",
        received=pair[:80],
        expected="for example --set variants.all-sensors.epochs=50",
    )


def _check_names(spec: ModelSpec, request: RunRequest) -> None:
    """Checks the preset and the sources of a request."""
    if request.preset not in spec.presets:
        raise UserError(
            f"{spec.name} has no preset {request.preset!r}",
            where="--preset",
            received=request.preset,
            expected=", ".join(spec.presets),
        )
    for source in (*request.sources, *request.versions):
        if source not in spec.sources:
            raise UserError(
                f"{spec.name} reads no source {source!r}",
                where="--source" if source in request.sources else "--data-version",
                received=source,
                expected=", ".join(spec.sources),
            )
    if request.versions and (
        request.data == "sample" or request.versions.keys() & request.sources.keys()
    ):
        raise UserError(
            "--data-version cannot be combined with --sample or with --source for the same source",
            where="--data-version",
            received=", ".join(request.versions),
        )


def _validate(spec: ModelSpec, values: Mapping[str, Any]) -> ModelConfig:
    try:
        return spec.config.model_validate(dict(values))
    except ValidationError as error:
        problems = []
        for item in error.errors():
            name = ".".join(str(part) for part in item["loc"]) or "settings"
            near = difflib.get_close_matches(name, spec.config.model_fields, n=1)
            if item["type"] == "extra_forbidden":
                hint = f"; did you mean {near[0]}?" if near else ""
                problems.append(f"{name}: {spec.name} has no such setting{hint}")
            else:
                problems.append(f"{name}: {item['msg']} (received {item['input']!r})")
        raise UserError(
            f"the settings of {spec.name} are not valid",
            where="--set, --config, the environment or the preset",
            received="\n".join(problems),
            remedies=[f"regrow list {spec.name} shows every setting with its default"],
        ) from error
