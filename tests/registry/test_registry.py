"""Releases and champions on a real MLflow database."""

from __future__ import annotations

import os
import random
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from regrow.base.errors import Unreachable, UserError
from regrow.registry.gate import read_decisions
from regrow.registry.mlflow import RUN_VARIABLES
from regrow.registry.publication import publish_release
from tests.conftest import REPOSITORY
from tests.support.commands import Launcher, wait_for
from tests.support.registries import (
    aliases_of,
    bias_of,
    champion_of,
    judge_by_bias,
    make_release,
    open_registry,
    publish,
)


def test_only_a_better_model_takes_the_champions_place(home: Path) -> None:
    registry = open_registry(home)
    assert registry.champion() is None
    assert publish(home, "a", 2.0).decision.action == "first"
    assert aliases_of(registry) == {"champion": 1}
    assert publish(home, "b", 3.0).decision.action == "kept"
    assert aliases_of(registry) == {"champion": 1, "challenger": 2}
    assert publish(home, "c", 1.0).decision.action == "promoted"
    assert champion_of(registry) == 3
    assert bias_of(registry.load(3)) == 1.0
    log = read_decisions(home / "decisions" / "model.jsonl")
    assert [(d.action, d.champion_after) for d in log] == [
        ("first", 1),
        ("kept", 1),
        ("promoted", 3),
    ]


def test_the_same_key_is_one_version_and_a_worse_one_stays_beaten(home: Path) -> None:
    publish(home, "a", 2.0)
    publish(home, "b", 1.0)
    for _ in range(2):
        again = publish(home, "a", 2.0)
        assert (again.version, again.decision.action) == (1, "kept")
    registry = open_registry(home)
    assert champion_of(registry) == 2
    assert len(registry.versions()) == 2
    log = read_decisions(home / "decisions" / "model.jsonl")
    assert [(d.action, d.version) for d in log] == [("first", 1), ("promoted", 2), ("kept", 1)]


def test_a_version_is_judged_again_when_the_champion_is_another(home: Path) -> None:
    registry = open_registry(home)
    publish(home, "a", 2.0)
    publish(home, "b", 1.0)
    # The data are as they were before: on them the first version is the better one.
    back = publish_release(registry, make_release(home, "a", 2.0), judge_by_bias("a", 0.5))
    assert (back.version, back.decision.action, champion_of(registry)) == (1, "promoted", 1)
    registry.client.delete_registered_model_alias("model", "champion")
    assert publish(home, "a", 2.0).decision.action == "first"
    assert champion_of(registry) == 1


def test_a_second_decision_that_was_interrupted_is_carried_out(home: Path) -> None:
    registry = open_registry(home)
    publish(home, "a", 2.0)
    publish(home, "b", 1.0)
    back = publish_release(registry, make_release(home, "a", 2.0), judge_by_bias("a", 0.5))
    registry.set_alias("champion", 2)
    registry.set_tag(1, "regrow.carried_out", "a")  # of the first decision
    assert publish(home, "a", 2.0).decision == back.decision
    assert champion_of(registry) == 1
    assert len(read_decisions(home / "decisions" / "model.jsonl")) == 3


def test_a_champion_whose_file_is_another_keeps_its_place(home: Path) -> None:
    publish(home, "a", 2.0)
    for path in (home / "mlartifacts").rglob("model.keras"):
        path.write_bytes(b"another file")
    decision = publish(home, "b", 0.1).decision
    assert (decision.action, decision.hold) == ("held", "incompatible")
    assert champion_of(open_registry(home)) == 1


def test_while_the_champions_files_are_out_of_reach_nothing_is_promoted(home: Path) -> None:
    publish(home, "a", 2.0)
    (home / "mlartifacts").rename(home / "not mounted")
    with pytest.raises(Unreachable, match="nothing was promoted") as refused:
        publish(home, "b", 0.1)
    assert refused.value.transient
    assert champion_of(open_registry(home)) == 1
    for path in (home / "not mounted" / "model").rglob("*"):
        if path.is_file():
            back = home / "mlartifacts" / path.relative_to(home / "not mounted")
            back.parent.mkdir(parents=True, exist_ok=True)
            path.rename(back)
    assert publish(home, "b", 0.1).decision.action == "promoted"
    assert [d.version for d in read_decisions(home / "decisions" / "model.jsonl")] == [1, 2]


def test_a_deleted_experiment_and_a_run_of_the_environment_stop_no_release(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(home, "a", 2.0)
    registry = open_registry(home)
    registry.client.delete_experiment(registry.client.get_experiment_by_name("model").experiment_id)
    for name in RUN_VARIABLES:
        monkeypatch.setenv(name, "0123456789abcdef0123456789abcdef")
    monkeypatch.setenv("MLFLOW_ENABLE_ASYNC_LOGGING", "true")
    monkeypatch.setenv("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")
    assert publish(home, "b", 1.0).decision.action == "promoted"
    assert os.environ["MLFLOW_RUN_ID"].startswith("0123")
    assert bias_of(registry.load(2)) == 1.0


def test_a_version_that_answers_otherwise_does_not_become_champion(home: Path) -> None:
    publish(home, "a", 2.0)
    release = make_release(home, "b", 1.0)
    with np.load(release.example) as example:
        np.savez(release.example, inputs=example["inputs"], outputs=example["outputs"] + 1)
    registry = open_registry(home)
    with pytest.raises(UserError, match="cannot be used; the champion stays"):
        publish_release(registry, release, judge_by_bias("b", 1.0))
    assert champion_of(registry) == 1


def test_a_version_is_complete_only_when_its_files_are_on_disk(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a power cut may take is what nobody waited for."""
    synced: set[int] = set()
    fsync = os.fsync

    def record(opened: int) -> None:
        fsync(opened)
        synced.add(os.fstat(opened).st_ino)

    monkeypatch.setattr(os, "fsync", record)
    registry = open_registry(home)
    create = registry.client.create_model_version
    unsynced: list[Path] = []

    def create_version(*arguments: Any, **named: Any) -> Any:
        written = [home / "mlartifacts", *(home / "mlartifacts").rglob("*")]
        assert len(written) > 5
        unsynced.extend(path for path in written if path.stat().st_ino not in synced)
        return create(*arguments, **named)

    monkeypatch.setattr(registry.client, "create_model_version", create_version)
    publish(home, "a", 2.0, registry)
    assert unsynced == []


CHILD = """
import sys
from pathlib import Path
from tests.support.registries import publish
print("ready", flush=True)
publish(Path(sys.argv[1]), "b", 1.0)
"""


@pytest.mark.slow
def test_killed_at_any_moment_a_release_is_whole_after_the_next_attempt(
    home: Path, launcher: Launcher
) -> None:
    publish(home, "a", 2.0)
    registry = open_registry(home)
    chance = random.Random(3)
    for delay_s in (0.1, 0.3, 0.6, 1.0, 1.5, chance.uniform(0, 2)):
        process = launcher.start("-c", CHILD, home, cwd=REPOSITORY)
        wait_for("the child", process.stdout.read_text, every_s=0.01)
        time.sleep(delay_s)
        process.kill()
        assert champion_of(registry) in (1, 2)
    publish(home, "b", 1.0)
    assert aliases_of(registry) == {"champion": 2}
    assert len(registry.versions()) == 2
    log = read_decisions(home / "decisions" / "model.jsonl")
    assert [(d.key, d.champion_after) for d in log] == [("a", 1), ("b", 2)]
    experiment = registry.client.get_experiment_by_name("model")
    assert experiment is not None
    runs = registry.client.search_runs([experiment.experiment_id])
    assert sorted(run.info.run_name for run in runs) == ["a", "b", "seed-0", "seed-0"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(list((home / "mlartifacts").rglob("model.keras"))) == 2
    assert not list(home.rglob("*.lock"))
