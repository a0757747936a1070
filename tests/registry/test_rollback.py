"""Rollbacks on a real MLflow database."""

from __future__ import annotations

import shutil
from pathlib import Path

import keras
import pytest

from regrow.base.errors import UserError
from regrow.registry.gate import read_decisions
from regrow.registry.reviews import roll_back
from tests.conftest import REPOSITORY
from tests.support.commands import Launcher
from tests.support.registries import (
    bias_of,
    champion_of,
    make_release,
    open_registry,
    publish,
)


def test_what_was_rolled_back_does_not_return_by_itself(home: Path) -> None:
    registry = open_registry(home)
    publish(home, "a", 2.0)
    publish(home, "b", 1.0)
    roll_back(registry)
    for _ in range(2):
        again = publish(home, "b", 1.0).decision
        assert (again.action, again.champion_after) == ("kept", 1)
        assert "rolled back" in again.reason
        assert champion_of(registry) == 1
    log = read_decisions(home / "decisions" / "model.jsonl")
    assert [d.action for d in log] == ["first", "promoted", "rolled-back", "kept"]
    assert publish(home, "c", 0.5).decision.action == "promoted"


def test_rollbacks_go_further_back_each_time(home: Path) -> None:
    registry = open_registry(home)
    for key, bias in {"a": 3.0, "b": 2.0, "c": 1.0}.items():
        publish(home, key, bias)
    assert [roll_back(registry).champion_after for _ in range(2)] == [2, 1]
    with pytest.raises(UserError, match="no other champion"):
        roll_back(registry)
    assert roll_back(registry, 3).champion_after == 3


def test_rollback_to_the_champion_before(home: Path) -> None:
    publish(home, "a", 2.0)
    publish(home, "b", 1.0)
    registry = open_registry(home)
    decision = roll_back(registry)
    assert (decision.action, decision.champion_before, decision.champion_after) == (
        "rolled-back",
        2,
        1,
    )
    assert champion_of(registry) == 1
    assert roll_back(registry, 2).champion_after == 2
    actions = [d.action for d in read_decisions(home / "decisions" / "model.jsonl")]
    assert actions == ["first", "promoted", "rolled-back", "rolled-back"]


@pytest.mark.parametrize(
    ("version", "said"),
    [(9, "no version 9"), (2, "already the champion"), (None, "no other champion")],
)
def test_a_rollback_that_cannot_be_moves_nothing(
    home: Path, version: int | None, said: str
) -> None:
    registry = open_registry(home)
    publish(home, "a", 2.0)
    if version is not None:
        publish(home, "b", 1.0)
    before = champion_of(registry)
    with pytest.raises(UserError, match=said):
        roll_back(registry, version)
    assert champion_of(registry) == before


@pytest.mark.parametrize("damage", ["gone", "cut short", "answers otherwise"])
def test_a_broken_version_is_not_rolled_back_to(home: Path, damage: str) -> None:
    publish(home, "a", 2.0)
    publish(home, "b", 1.0)
    first = next(
        path
        for path in (home / "mlartifacts").rglob("model.keras")
        if bias_of(keras.saving.load_model(path)) == 2.0
    )
    if damage == "gone":
        first.unlink()
    elif damage == "cut short":
        first.write_bytes(first.read_bytes()[:-100])
    else:
        shutil.copy(make_release(home, "c", 7.0).model, first)
    registry = open_registry(home)
    with pytest.raises(UserError, match="cannot be used"):
        roll_back(registry, 1)
    assert champion_of(registry) == 2


DYING = """
import os, sys
from pathlib import Path
from regrow.registry.reviews import roll_back
from tests.support.registries import open_registry
def die(*_arguments): os._exit(9)
opened = open_registry(Path(sys.argv[1]))
if sys.argv[2] == "before the alias":
    opened.client.set_registered_model_alias = die
else:
    opened.log_decision = die
roll_back(opened)
"""


@pytest.mark.parametrize("moment", ["before the alias", "before the log"])
def test_a_rollback_that_died_is_ended_and_logged_once_by_the_next_act(
    home: Path, moment: str, launcher: Launcher
) -> None:
    publish(home, "a", 2.0)
    publish(home, "b", 1.0)
    died = launcher.run("-c", DYING, home, moment, cwd=REPOSITORY)
    assert died.returncode == 9, died.stderr
    publish(home, "c", 3.0)
    registry = open_registry(home)
    assert champion_of(registry) == 1
    log = read_decisions(home / "decisions" / "model.jsonl")
    assert [d.action for d in log] == ["first", "promoted", "rolled-back", "kept"]
    assert log[-1].champion_before == 1
