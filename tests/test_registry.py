"""The registry on a real MLflow database, and once on a real MLflow server."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import keras
import numpy as np
import pytest

from regrow.engine.errors import UserError
from regrow.engine.gate import Decision, decide, read_decisions
from regrow.engine.registry import Judge, Published, Registry, Release
from regrow.engine.spec import Gate

GATE = Gate(score="", metric="rmse")


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database; making one takes seconds, copying it none."""
    home = tmp_path_factory.mktemp("mlflow")
    open_registry(home)
    return home / "mlflow.db"


@pytest.fixture
def home(tmp_path: Path, migrated: Path) -> Path:
    shutil.copy(migrated, tmp_path / "mlflow.db")
    return tmp_path


def open_registry(home: Path, uri: str | None = None) -> Registry:
    uri = uri or f"sqlite:///{home / 'mlflow.db'}"
    return Registry(uri, "model", home=home, decisions=home / "decisions" / "model.jsonl")


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
    def judge(version: int, champion: int | None, model: Any, trouble: str | None) -> Decision:
        old = None if model is None else {"rmse": bias_of(model)}
        return decide(
            GATE,
            model="model",
            version=version,
            champion_version=champion,
            challenger={"rmse": bias},
            champion=old,
            trouble=trouble,
            key=key,
        )

    return judge


def publish(home: Path, key: str, bias: float, registry: Registry | None = None) -> Published:
    registry = registry or open_registry(home)
    return registry.publish(make_release(home, key, bias), judge_by_bias(key, bias))


def champion_of(registry: Registry) -> int | None:
    champion = registry.champion()
    return None if champion is None else int(champion.version)


def aliases_of(registry: Registry) -> dict[str, int]:
    found = registry.client.get_registered_model("model").aliases
    return {alias: int(version) for alias, version in found.items()}


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


def test_the_environment_stays_as_it_was(home: Path) -> None:
    before = dict(os.environ)
    publish(home, "a", 2.0)
    assert {n: v for n, v in os.environ.items() if n.endswith("_URI")} == {
        n: v for n, v in before.items() if n.endswith("_URI")
    }


def test_what_a_run_shows_in_mlflow(home: Path) -> None:
    registry = open_registry(home)
    published = publish(home, "a", 2.0, registry)
    run = registry.client.get_run(published.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.params == {"epochs": "3"}
    assert run.data.metrics["rmse"] == 2.0
    curve = registry.client.get_metric_history(published.run_id, "seed-0/loss")
    assert [(point.step, point.value) for point in curve] == [(0, 3.0), (1, 2.0), (3, 1.0)]
    assert registry.artifact(registry.champion(), "card.md").read_text() == "card"
    champion = registry.champion()
    assert champion is not None
    assert champion.tags["regrow.data_version"] == "d1"
    import mlflow

    signature = mlflow.models.get_model_info("models:/model/1").signature
    assert signature is not None
    assert signature.inputs.to_dict()[0]["tensor-spec"]["shape"] == (-1, 3)


def test_the_same_key_is_one_version_and_never_moves_the_champion_back(home: Path) -> None:
    publish(home, "a", 2.0)
    publish(home, "b", 1.0)
    again = publish(home, "a", 2.0)
    registry = open_registry(home)
    assert again.version == 1
    assert again.decision.action == "first"
    assert champion_of(registry) == 2
    assert len(registry.versions()) == 2
    assert len(read_decisions(home / "decisions" / "model.jsonl")) == 2


def test_rollback_to_the_champion_before(home: Path) -> None:
    publish(home, "a", 2.0)
    publish(home, "b", 1.0)
    registry = open_registry(home)
    decision = registry.rollback()
    assert (decision.action, decision.champion_before, decision.champion_after) == (
        "rolled-back",
        2,
        1,
    )
    assert champion_of(registry) == 1
    assert registry.rollback(2).champion_after == 2
    actions = [d.action for d in read_decisions(home / "decisions" / "model.jsonl")]
    assert actions == ["first", "promoted", "rolled-back", "rolled-back"]


@pytest.mark.parametrize(
    ("version", "said"), [(9, "no version 9"), (2, "champion already"), (None, "no other champion")]
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
        registry.rollback(version)
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
        registry.rollback(1)
    assert champion_of(registry) == 2


def test_a_broken_champion_does_not_stop_a_release(home: Path) -> None:
    publish(home, "a", 2.0)
    for path in (home / "mlartifacts").rglob("model.keras"):
        path.unlink()
    decision = publish(home, "b", 5.0).decision
    assert decision.action == "promoted"
    assert "could not be scored" in decision.reason


def test_a_broken_database_is_one_clear_error(home: Path) -> None:
    (home / "mlflow.db").write_bytes(b"no database" * 100)
    with pytest.raises(UserError, match="cannot be opened"):
        open_registry(home)


def test_a_database_whose_making_was_killed_is_made_again(tmp_path: Path) -> None:
    half = tmp_path / ".mlflow.db.making"
    half.mkdir()
    (half / "mlflow.db").write_bytes(b"half")
    (half / "mlflow.db-journal").write_bytes(b"half")
    open_registry(tmp_path)
    assert [path.name for path in tmp_path.glob("*mlflow*")] == ["mlflow.db"]


def test_an_absent_server_is_worth_another_try(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from regrow.engine.errors import is_transient

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ConnectionError) as raised:
        open_registry(home, "http://127.0.0.1:9")
    assert is_transient(raised.value)


CHILD = """
import sys
from pathlib import Path
from tests.test_registry import publish
print("ready", flush=True)
sys.stdin.readline()
publish(Path(sys.argv[1]), "b", 1.0)
"""


@pytest.mark.slow
def test_killed_at_any_moment_a_release_is_whole_after_the_next_attempt(home: Path) -> None:
    publish(home, "a", 2.0)
    registry = open_registry(home)
    chance = random.Random(3)
    for delay_s in (0.1, 0.3, 0.6, 1.0, 1.5, chance.uniform(0, 2)):
        process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(home)],
            cwd=Path(__file__).resolve().parents[1],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.stdin.write("\n")
        process.stdin.flush()
        time.sleep(delay_s)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
        assert champion_of(registry) in (1, 2)
    publish(home, "b", 1.0)
    assert aliases_of(registry) == {"champion": 2}
    assert len(registry.versions()) == 2
    log = read_decisions(home / "decisions" / "model.jsonl")
    assert [(d.key, d.champion_after) for d in log] == [("a", 1), ("b", 2)]
    experiment = registry.client.get_experiment_by_name("model")
    assert experiment is not None
    runs = registry.client.search_runs([experiment.experiment_id])
    assert sorted(run.info.run_name for run in runs) == ["a", "b"]
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert len(list((home / "mlartifacts").rglob("model.keras"))) == 2
    assert not list(home.rglob("*.lock"))


@pytest.mark.slow
def test_a_shared_server(home: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [str(Path(sys.executable).with_name("mlflow")), "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--backend-store-uri", f"sqlite:///{home / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(home / "served"), "--workers", "1"]
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=home, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        for _ in range(240):
            try:
                if httpx.get(f"{url}/health", timeout=1).status_code == 200:
                    break
            except httpx.HTTPError:
                time.sleep(0.5)
        registry = open_registry(home / "client", url)
        published = publish(home, "a", 2.0, registry)
        assert published.run_url.startswith(f"{url}/#/experiments/")
        assert publish(home, "b", 1.0, registry).decision.action == "promoted"
        assert registry.rollback().champion_after == 1
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


DYING = """
import os, sys
from pathlib import Path
import regrow.engine.registry as registry
from tests.test_registry import open_registry
def die(*_arguments): os._exit(9)
opened = open_registry(Path(sys.argv[1]))
if sys.argv[2] == "before the alias":
    opened.client.set_registered_model_alias = die
else:
    registry.append_decision = die
opened.rollback()
"""


@pytest.mark.parametrize("moment", ["before the alias", "before the log"])
def test_a_rollback_that_died_is_ended_and_logged_once_by_the_next_act(
    home: Path, moment: str
) -> None:
    publish(home, "a", 2.0)
    publish(home, "b", 1.0)
    command = [sys.executable, "-c", DYING, str(home), moment]
    root = Path(__file__).resolve().parents[1]
    assert subprocess.run(command, cwd=root, check=False).returncode == 9
    publish(home, "c", 3.0)
    registry = open_registry(home)
    assert champion_of(registry) == 1
    log = read_decisions(home / "decisions" / "model.jsonl")
    assert [d.action for d in log] == ["first", "promoted", "rolled-back", "kept"]
    assert log[-1].champion_before == 1
