"""A second version of a registered model that answers otherwise, without a second training."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras

from regrow.base.decision import Decision, Hold
from regrow.base.project import get_spec
from regrow.base.spec import Gate
from regrow.registry.gate import decide, hold_back
from regrow.registry.names import ChampionRef
from regrow.registry.publication import Champion, publish_release
from regrow.registry.versions import Registry
from regrow.training.inference import load_example, load_model, save_example
from regrow.training.saving import save_model

GATE = Gate(score="", metric="rmse", unit="µg/m³")


def publish_changed(
    registry: Registry,
    folder: Path,
    factor: float,
    *,
    rmse: float = 2.0,
    holds: Sequence[Hold] = (),
) -> int:
    """Publishes the champion with its answers multiplied; returns its number.

    Args:
        folder: its files are written here.
        rmse: what it is judged by; that of the champion is 1.
        holds: why it must wait for a person, if it is better.
    """
    folder.mkdir(parents=True)
    release = registry.release_of(registry.champion())
    model: Any = load_model(release.model)
    changed = keras.Model(model.inputs, keras.layers.Rescaling(factor)(model.outputs[0]))
    save_model(changed, folder / "model.keras")
    save_example(folder / "example.npz", changed, load_example(release.example)[0])

    def judge(version: int, champion: Champion | None) -> Decision:
        decision = decide(
            GATE,
            model=registry.name,
            version=version,
            champion_version=champion.version if champion else None,
            challenger={"rmse": rmse},
            champion={"rmse": 1.0},
            key=release.key + str(factor),
        )
        return hold_back(decision, holds)

    other = replace(
        release,
        key=release.key + str(factor),
        model=folder / "model.keras",
        example=folder / "example.npz",
        serving=get_spec(ChampionRef.parse(registry.name).model).serving,
    )
    return publish_release(registry, other, judge).version
