"""Settings of a run: where state lives (environment) and what a model is asked (presets, --set)."""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from regrow.engine.errors import UserError
from regrow.engine.fingerprint import PACKAGE_DIR
from regrow.engine.spec import ModelConfig, ModelSpec

DataChoice = Literal["real", "sample", "real-or-sample"]


@dataclass(frozen=True)
class Settings:
    """Where things are on this machine.

    Attributes:
        home: the directory of all state: downloads, store, reports, tracking.
        mirror: a folder or http(s) URL asked for sources before their own URLs.
        tracking_uri: MLflow's tracking server or database.
        backend: the library that does Keras's work.
        project: the directory that holds flows/, tasks/ and data/.
        shared_store: where results are that other machines can fetch; None for nowhere.
    """

    home: Path
    mirror: str | None
    tracking_uri: str
    backend: str
    project: Path
    shared_store: str | None = None

    @property
    def data_dir(self) -> Path:
        """The directory with sources.toml and the samples."""
        return self.project / "data"


def read_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """Reads REGROW_HOME, REGROW_MIRROR, REGROW_SHARED_STORE, MLFLOW_TRACKING_URI, KERAS_BACKEND."""
    values = os.environ if environment is None else environment
    home = Path(values.get("REGROW_HOME") or ".regrow").expanduser().resolve()
    mirror = values.get("REGROW_MIRROR") or None
    if mirror and not mirror.lower().startswith(("http://", "https://")):
        mirror = str(Path(mirror).expanduser().resolve())
    return Settings(
        home=home,
        mirror=mirror,
        tracking_uri=values.get("MLFLOW_TRACKING_URI") or f"sqlite:///{home / 'mlflow.db'}",
        backend=values.get("KERAS_BACKEND") or "tensorflow",
        project=find_project(),
        shared_store=values.get("REGROW_SHARED_STORE") or None,
    )


def find_project() -> Path:
    """The directory with flows/, tasks/ and data/: the checkout, or the copy inside a wheel."""
    checkout = PACKAGE_DIR.parents[1]
    return checkout if (checkout / "data" / "sources.toml").is_file() else PACKAGE_DIR / "_project"


def registered_name(model: str, scope: str = "", *, sample: bool) -> str:
    """The model's name in the registry; each scope, and what the sample trained, has its own."""
    return ".".join(part for part in (model, scope, "sample" if sample else "") if part)


def parse_registered(name: str) -> tuple[str, str, bool]:
    """The model, the scope and whether it is the sample's, behind a name in the registry."""
    model, *parts = name.split(".")
    sample = parts[-1:] == ["sample"]
    return model, ".".join(parts[:-1] if sample else parts), sample


def decisions_path(home: Path, registered: str) -> Path:
    """The append-only log of the decisions on a registered model."""
    return home / "decisions" / f"{registered}.jsonl"


def list_scopes(home: Path, model: str, *, sample: bool) -> list[str]:
    """The scopes of a model that a decision was taken on, "" first."""
    scopes = []
    for path in (home / "decisions").glob("*.jsonl"):
        name = path.stem.removesuffix(".sample")
        of_model = name == model or name.startswith(f"{model}.")
        if of_model and path.stem.endswith(".sample") == sample:
            scopes.append(name.removeprefix(model).removeprefix("."))
    return sorted(scopes)


class RunRequest(BaseModel):
    """What one run is asked to do. Plain JSON, so that it can be a flow's parameters.

    Attributes:
        model: the model's name.
        config: its settings, complete and validated.
        preset: the name of the preset that they started from.
        data: the real source, the shipped sample, or the sample only if no place has the real one.
        sources: a local file for a source, by name; taken as it is.
        versions: a source by name at the version that starts so; the others at the current one.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    config: dict[str, Any]
    preset: str
    data: DataChoice = "real"
    sources: dict[str, Path] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)


def make_request(
    spec: ModelSpec,
    *,
    preset: str | None = None,
    config: Mapping[str, Any] | None = None,
    overrides: Mapping[str, Any] | None = None,
    data: DataChoice = "real",
    sources: Mapping[str, Path] | None = None,
    versions: Mapping[str, str] | None = None,
) -> RunRequest:
    """Puts a request together and checks it.

    Args:
        preset: a named set of settings; None for the first.
        config: settings in place of the preset's; what it does not say is as the defaults are.
        overrides: single settings that are changed.
        data: see `RunRequest`, as are the others.

    Raises:
        UserError: unknown preset, setting or source, or a value out of bounds.
    """
    name = preset or next(iter(spec.presets))
    if name not in spec.presets:
        raise UserError(
            f"{spec.name} has no preset {name!r}",
            where="--preset",
            received=name,
            expected=", ".join(spec.presets),
        )
    for source in (*(sources or {}), *(versions or {})):
        if source not in spec.sources:
            raise UserError(
                f"{spec.name} reads no source {source!r}",
                where="--source" if source in (sources or {}) else "--data-version",
                received=source,
                expected=", ".join(spec.sources),
            )
    if versions and (data == "sample" or set(versions) & set(sources or {})):
        raise UserError(
            "a version of the real data excludes the sample and a file of your own",
            where="--data-version",
            received=", ".join(versions),
        )
    settings = effective_preset(spec, name) if config is None else config
    checked = _validate(spec, merge(settings, overrides or {}))
    return RunRequest(
        model=spec.name,
        preset=name,
        config=checked.model_dump(mode="json"),
        data=data,
        sources={key: path.expanduser().resolve() for key, path in (sources or {}).items()},
        versions=dict(versions or {}),
    )


def effective_preset(spec: ModelSpec, preset: str) -> dict[str, Any]:
    """All settings of a preset: the defaults, with what it changes. A mapping is replaced whole."""
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
        settings = merge(settings, nest(name.strip(), value))
    return settings


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
            where="--set or the preset",
            received="\n".join(problems),
            remedies=[f"regrow list {spec.name} shows every setting with its default"],
        ) from error
