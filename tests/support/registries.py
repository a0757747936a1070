"""A registry of one small model, and releases of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from regrow.base.decision import Decision
from regrow.base.home import Home
from regrow.base.spec import Gate
from regrow.registry.gate import decide
from regrow.registry.publication import Champion, Judge, publish_release
from regrow.registry.release import Published, Release
from regrow.registry.versions import Registry

GATE = Gate(score="", metric="rmse")


def open_registry(home: Path, uri: str | None = None) -> Registry:
    uri = uri or f"sqlite:///{home / 'mlflow.db'}"
    return Registry(uri, "model", Home(home))


def make_release(home: Path, key: str, bias: float) -> Release:
    folder = home / "releases" / key
    folder.mkdir(parents=True, exist_ok=True)
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    model.layers[0].set_weights([np.ones((3, 1)), np.array([bias])])
    model.save(folder / "model.keras")
    inputs = np.ones((2, 3), "float32")
    outputs = keras.ops.convert_to_numpy(model(inputs))
    np.savez(folder / "example.npz", inputs=inputs, outputs=outputs)
    (folder / "card.md").write_text("card")
    return Release(
        key=key,
        run_name=key,
        params={"epochs": 3},
        metrics={"rmse": bias},
        curves={"seed-0/loss": [3.0, 2.0, float("nan"), 1.0]},
        tags={"regrow.data_version": "d1"},
        model=folder / "model.keras",
        example=folder / "example.npz",
        files=[(folder / "card.md", "")],
        pip_requirements=["keras"],
    )


def bias_of(model: Any) -> float:
    return float(model.layers[-1].get_weights()[1][0])


def judge_by_bias(key: str, bias: float) -> Judge:
    def judge(version: int, champion: Champion | None) -> Decision:
        old = {"rmse": bias_of(champion.model)} if champion and champion.model else None
        return decide(
            GATE,
            model="model",
            version=version,
            champion_version=champion.version if champion else None,
            challenger={"rmse": bias},
            champion=old,
            key=key,
        )

    return judge


def publish(home: Path, key: str, bias: float, registry: Registry | None = None) -> Published:
    registry = registry or open_registry(home)
    return publish_release(registry, make_release(home, key, bias), judge_by_bias(key, bias))


def champion_of(registry: Registry) -> int | None:
    champion = registry.champion()
    return None if champion is None else int(champion.version)


def aliases_of(registry: Registry) -> dict[str, int]:
    found = registry.client.get_registered_model("model").aliases
    return {alias: int(version) for alias, version in found.items()}
