"""The specification of a model that is a class, made from its members."""

from __future__ import annotations

import sys
import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from regrow.base.errors import UserError
from regrow.base.spec import Gate, ModelSpec, Serving, StageSpec
from regrow.tabular.model import GATES, Columns, Model, Split, TrainingConfig
from regrow.tabular.stages import STAGES

PRESETS = "settings.toml"


def make_spec(kind: type[Model]) -> ModelSpec:
    """The specification of a model; the class gets its name and its gate.

    Raises:
        UserError: the class lacks something, or has it of another kind.
    """
    package = kind.__module__.rpartition(".")[0] or kind.__module__
    kind.name = package.rpartition(".")[2].replace("_", "-")
    _check(kind)
    gate = kind.gate or GATES[kind.table.task]
    kind.gate = gate
    path = f"{kind.__module__}:{kind.__qualname__}"
    source = kind.data if isinstance(kind.data, str) else str(kind.data.get("name", kind.name))
    table = {} if isinstance(kind.data, str) else dict(kind.data)
    table.pop("name", None)
    settings = tuple(kind.Config.model_fields)
    runs = {"validate": "list_expectations"}
    return ModelSpec(
        name=kind.name,
        title=kind.title or f"{kind.table.target} of {kind.name}",
        description=kind.description or (kind.__doc__ or "").strip(),
        config=kind.Config,
        presets={"default": {}, **_read_presets(kind)},
        sources=(source,),
        declares={source: table} if table else {},
        stages={
            name: StageSpec(
                f"{path}.{runs.get(name, f'run_{name}')}",
                settings if stage.reads_settings else (),
                modules=stage.modules,
                members=stage.members,
            )
            for name, stage in STAGES.items()
        },
        gate=replace(gate, score=f"{path}.run_score"),
        predict=f"{path}.run_predict",
        predict_frame=f"{path}.run_predict_frame",
        read_inputs=f"{path}.run_read",
        serving=Serving(
            ("regrow.tabular.encoding", "regrow.tabular.serving"), f"{path}.describe_serving"
        ),
        card=kind.card,
        id_column=kind.table.id or kind.table.time,
    )


def _check(kind: type[Model]) -> None:
    wanted: dict[str, tuple[Any, str]] = {
        "data": ((Mapping, str), 'regrow.csv("...") or the name of a source'),
        "table": (Columns, "regrow.columns(...)"),
        "split": (Split, "regrow.Split(...)"),
    }
    for name, (types, expected) in wanted.items():
        value = getattr(kind, name, None)
        if not isinstance(value, types):
            raise _wrong(kind, name, "nothing" if value is None else repr(value), expected)
    if not (isinstance(kind.Config, type) and issubclass(kind.Config, TrainingConfig)):
        raise _wrong(kind, "Config", repr(kind.Config), "a subclass of regrow.TrainingConfig")
    if kind.gate is not None and not isinstance(kind.gate, Gate):
        raise _wrong(kind, "gate", repr(kind.gate), "regrow.Gate(...)")
    shares = (kind.split.test, kind.split.validation)
    if not all(0 < share < 1 for share in shares):
        raise _wrong(kind, "split", str(shares), "shares between 0 and 1")
    by = kind.split.by
    if by in ("time", "group") and getattr(kind.table, by) is None:
        raise _wrong(kind, "split", f"by {by!r}", f"a column for {by} in regrow.columns(...)")


def _wrong(kind: type[Model], name: str, received: str, expected: str) -> UserError:
    return UserError(
        f"the model {kind.name!r} is not defined correctly",
        where=f"{kind.__module__}.{kind.__qualname__}.{name}",
        received=received,
        expected=expected,
        remedies=[f"regrow check {kind.name} runs further checks"],
    )


def _read_presets(kind: type[Model]) -> dict[str, dict[str, Any]]:
    """The presets in settings.toml beside the model's module."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    path = Path(file).with_name(PRESETS) if file else None
    if path is None or not path.is_file():
        return {}
    received = ""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        received = str(error)
    else:
        wrong = [
            f"{preset}.{name}"
            for preset, values in tables.items()
            for name in (values if isinstance(values, dict) else {"": None})
            if name not in kind.Config.model_fields
        ]
        if not wrong:
            return tables
        received = ", ".join(wrong)
    raise UserError(
        f"the presets of {kind.name} are not valid",
        where=str(path),
        received=received,
        expected=f"a table of settings for each preset: {', '.join(kind.Config.model_fields)}",
    )
