"""Hostile inputs for the readers of model files, and of regrow's own TOML and JSON."""

from __future__ import annotations

import io
import json
import random
import tomllib
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from tests.conftest import REPOSITORY
from tests.fuzz.harness import Fuzzed
from tests.fuzz.mutations import encode_json, mutate_bytes, mutate_lines, mutate_value

LAYERS = (
    "Dense",
    "Lambda",
    "TFSMLayer",
    "Conv2D",
    "Embedding",
    "x",
    "Functional",
    "TextVectorization",
)
MODULES = ("keras.layers", "os", "regrow.layers", "builtins", "keras.src.layers", "", None)


@cache
def _build_model() -> bytes:
    """A small model with layers of Keras and of our own."""
    import tempfile

    import keras

    from regrow.layers import LocalResponseNormalization

    x = keras.Input((8, 8, 2))
    y = LocalResponseNormalization()(keras.layers.Conv2D(3, 3, activation="relu")(x))
    y = keras.layers.Dense(4, kernel_regularizer="l2")(keras.layers.Flatten()(y))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.keras"
        keras.Model(x, y).save(path)
        return path.read_bytes()


def _change_layers(value: Any, chance: random.Random) -> Any:
    """A configuration with another class, module or size somewhere."""
    if isinstance(value, dict):
        for key in value:
            if key == "class_name" and chance.random() < 0.15:
                value[key] = chance.choice(LAYERS)
            elif key == "module" and chance.random() < 0.1:
                value[key] = chance.choice(MODULES)
            elif key in ("units", "filters") and chance.random() < 0.2:
                value[key] = chance.choice((10**9, -1, 0, "many", 2**40))
            else:
                value[key] = _change_layers(value[key], chance)
    elif isinstance(value, list):
        return [_change_layers(item, chance) for item in value]
    return value


def _make_model(chance: random.Random, number: int) -> tuple[str, bytes]:
    whole = _build_model()
    if number < 0:
        return "model.keras", whole
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    way = chance.randrange(10)
    config = json.loads(members["config.json"])
    if way < 3:
        members["config.json"] = encode_json(mutate_value(config, chance))
    elif way < 6:
        members["config.json"] = encode_json(_change_layers(config, chance))
    elif way < 8:
        weights = "model.weights.h5"
        members[weights] = mutate_bytes(members[weights], chance, keep=chance.choice((0, 600)))
    elif way == 8:
        members.pop(chance.choice(list(members)))
        members["../outside"] = b"x"
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", chance.choice((0, 8))) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    content = sink.getvalue()
    return "model.keras", mutate_bytes(content, chance, keep=4) if way == 9 else content


def _check_model(path: Path) -> None:
    from regrow.base.model_file import read_config

    read_config(path)


def _read_model(path: Path, _out: Path) -> Any:
    from regrow.training.inference import load_model

    return load_model(path)


def _expect_model(found: Any) -> None:
    assert found.output_shape == (None, 4)


def _import_model() -> None:
    import keras  # noqa: F401

    import regrow.layers
    import regrow.training.inference  # noqa: F401

    _build_model()


SOURCES = (REPOSITORY / "data" / "sources.toml").read_text(encoding="utf-8")
# The first tables are enough, and the long lists of digests would take all the changes.
SOURCES = SOURCES[SOURCES.index("[air-quality]") : SOURCES.index("[babi]")]
DECLARATIONS = (REPOSITORY / "regrow.toml").read_text(encoding="utf-8")
OVERRIDE = "variants.all-sensors.inputs=[\"pt08_s2_nmhc\", 'nmhc_ug_m3', 1e3, {a = 1}]"
DEEP = "[" * 200 + "]" * 200
VALUES = ("1", '"x"', "[]", "{}", "true", "-0.5", '["a", 1]', '"../x"', "nan", DEEP)
TOML = {"sources.toml": SOURCES, "regrow.toml": DECLARATIONS, "override": OVERRIDE}


def _make_toml(chance: random.Random, number: int) -> tuple[str, bytes]:
    name = list(TOML)[max(number, 0) % len(TOML)]
    text = TOML[name]
    if number < 0:
        return name, text.encode()
    way = chance.random()
    if name == "override" and way < 0.7:
        parts = ("variants", "all-sensors", "inputs", "seeds", "x", "", "é", "a-b")
        path = ".".join(chance.choice(parts) for _ in range(chance.choice((1, 2, 3, 400))))
        return name, f"{path}={chance.choice(VALUES)}".encode()
    if way < 0.7:
        # Values of other types and names: still TOML.
        lines = text.splitlines()
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(lines))
            key, found, _value = lines[at].partition(" = ")
            if found:
                lines[at] = f"{key} = {chance.choice(VALUES)}"
            elif chance.random() < 0.3:
                lines[at] = f"key-{at} = 1"
        text = "\n".join(lines)
    elif way < 0.85:
        text = "\n".join(mutate_lines(text.splitlines(), chance, '=" ,'))
    elif way < 0.9:
        deep = chance.choice((50, 2000, 60_000))
        text += ("\nx = " if name != "override" else "") + "[" * deep + "]" * deep
    content = text.encode("utf-8", "surrogatepass")
    return name, mutate_bytes(content, chance) if way > 0.9 else content


def _check_toml(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if path.name == "override":
        text = f"value = {text.partition('=')[2]}"
    tomllib.loads(text)


def _read_toml(path: Path, _out: Path) -> Any:
    from regrow.base.project import get_spec
    from regrow.base.project_file import read_project
    from regrow.pipeline.request import make_request, parse_overrides
    from regrow.sources.catalog import load_sources

    if path.name == "sources.toml":
        catalog = load_sources(path)
        for name in catalog:
            catalog[name].version  # noqa: B018
        return dict(catalog)
    if path.name == "regrow.toml":
        return read_project(path.parent)
    text = path.read_text(encoding="utf-8", errors="replace")
    overrides = parse_overrides([text])
    return make_request(get_spec("air-quality"), overrides=overrides)


def _expect_toml(found: Any) -> None:
    assert list(found) == ["air-quality", "digits"]
    assert found["air-quality"].file == "AirQualityUCI.csv"


def _manifest() -> Any:
    return {
        "model": "air-quality",
        "stage": "clean",
        "fingerprint": "f" * 64,
        "digest": "d" * 64,
        "created_at": "2026-01-01T00:00:00+00:00",
        "seconds": 1.5,
        "files": {"table.parquet": {"sha256": "a" * 64, "bytes": 5}},
        "facts": {"rows": 5, "notes": ["x"]},
        "components": {"code": {"a": "b"}, "config": {}, "inputs": {}, "libraries": {}},
    }


def _decision() -> Any:
    return {
        "model": "air-quality",
        "action": "promoted",
        "version": 2,
        "champion_before": 1,
        "champion_after": 2,
        "metric": "rmse",
        "challenger": 0.5,
        "champion": 0.6,
        "margin": 0.01,
        "reason": "better",
        "data_version": "1234",
        "key": "k",
        "at": "2026-01-01T00:00:00+00:00",
    }


def _validation() -> Any:
    check = {"success": True, "severity": "error", "expectation": "e", "why": "w"}
    drift = {"column": "c", "check": "ks", "value": 0.1, "threshold": 0.2, "level": "ok"}
    return {
        "success": True,
        "warnings": ["one"],
        "expectations": [{**check, "unexpected": 0}],
        "drift": [drift],
    }


def _evaluation() -> Any:
    return {
        "headline": {"metric": "rmse", "label": "RMSE", "value": 0.5},
        "metrics": {"rmse": 0.5},
        "tables": [
            {"title": "T", "caption": "c", "columns": ["a", "b"], "rows": [[1, "x"], [0.5, None]]}
        ],
        "figures": [],
        "notes": [],
    }


def _version() -> Any:
    return {
        "source": "air-quality",
        "version": "a" * 64,
        "declared": "b" * 64,
        "file": {"sha256": "c" * 64, "bytes": 7},
        "members": {"x.csv": {"sha256": "d" * 64, "bytes": 9}},
        "origin": "https://example.org",
        "at": "2026-01-01T00:00:00+00:00",
    }


def _read_keras_json(path: Path) -> Any:
    from regrow.base.keras_settings import read_keras_settings

    path.rename(path.with_name("keras.json"))
    return read_keras_settings({"KERAS_HOME": str(path.parent)})


def _read_home(path: Path, place: Callable[[Any], Path], read: Callable[[Any], Any]) -> Any:
    from regrow.base.home import Home

    home = Home(path.parent / "home")
    place(home).parent.mkdir(parents=True, exist_ok=True)
    path.rename(place(home))
    return read(home)


def _read_layout(path: Path) -> Any:
    from regrow.base.layout import check_layout

    return _read_home(path, lambda home: home.layout, check_layout)


def _read_notes(path: Path) -> Any:
    from regrow.sources.announcements import read_notes

    return _read_home(
        path, lambda home: home.source_notes("air"), lambda home: read_notes(home, "air")
    )


def _read_versions(path: Path) -> Any:
    from regrow.sources.versions import read_versions

    return _read_home(
        path, lambda home: home.source_versions("air"), lambda home: read_versions(home, "air")
    )


def _read_decisions(path: Path) -> Any:
    from regrow.pipeline.notifications import describe_decision
    from regrow.registry.gate import read_decisions

    return [describe_decision(decision) for decision in read_decisions(path)]


def _read_manifest(path: Path) -> Any:
    from regrow.base.home import Home
    from regrow.store.store import Store

    home = Home(path.parent / "home")
    folder = home.store / "air-quality" / "clean" / ("f" * 64)
    folder.mkdir(parents=True)
    path.rename(folder / "manifest.json")
    return Store(home).find("air-quality", "clean", "f" * 64)


def _read_evaluation(path: Path) -> Any:
    from regrow.report.evaluation import Evaluation

    return Evaluation.read(path)


def _read_validation(path: Path) -> Any:
    from regrow.report.validation import Validation

    return Validation.read(path)


JSON: dict[str, tuple[Callable[[], Any], Callable[[Path], Any]]] = {
    "versions": (_version, _read_versions),
    "evaluation": (_evaluation, _read_evaluation),
    "validation": (_validation, _read_validation),
    "decisions": (_decision, _read_decisions),
    "manifest": (_manifest, _read_manifest),
    "layout": (lambda: {"layout": 3}, _read_layout),
    "notes": (lambda: {"hints": {}, "announced": "a"}, _read_notes),
    "keras": (
        lambda: {"floatx": "float32", "epsilon": 1e-7, "backend": "jax"},
        _read_keras_json,
    ),
}


def _make_json(chance: random.Random, number: int) -> tuple[str, bytes]:
    name = list(JSON)[max(number, 0) % len(JSON)]
    value = JSON[name][0]()
    if number < 0:
        return name, encode_json(value)
    if chance.random() < 0.75:
        return name, encode_json(mutate_value(value, chance))
    return name, mutate_bytes(encode_json(value), chance)


def _check_json(path: Path) -> None:
    json.loads(path.read_bytes())


def _read_json(path: Path, _out: Path) -> Any:
    return JSON[path.name][1](path)


def _expect_json(found: Any) -> None:
    assert [one.version for one in found] == ["a" * 64]


def _import_settings() -> None:
    import regrow.pipeline.notifications
    import regrow.pipeline.request
    import regrow.registry.gate
    import regrow.report.evaluation
    import regrow.report.validation
    import regrow.sources.announcements
    import regrow.sources.versions
    import regrow.store.store  # noqa: F401
    from regrow.base.project import get_spec

    get_spec("air-quality")


READERS = (
    Fuzzed(
        "models",
        ("base/model_file.py", "base/keras_classes.py"),
        _make_model,
        _check_model,
        _read_model,
        _expect_model,
        _import_model,
    ),
    Fuzzed(
        "toml",
        ("sources/catalog.py", "pipeline/request.py", "base/project_file.py"),
        _make_toml,
        _check_toml,
        _read_toml,
        _expect_toml,
        _import_settings,
    ),
    Fuzzed(
        "json",
        (
            "sources/versions.py",
            "sources/announcements.py",
            "report/evaluation.py",
            "base/layout.py",
            "base/keras_settings.py",
        ),
        _make_json,
        _check_json,
        _read_json,
        _expect_json,
        _import_settings,
    ),
)
