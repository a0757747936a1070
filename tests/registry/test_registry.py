"""The registry on a real MLflow database, and once on a real MLflow server."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import keras
import numpy as np
import pytest

from regrow.base.decision import Decision
from regrow.base.digests import digest_file
from regrow.base.errors import DataError, Unreachable, UserError
from regrow.base.home import Home
from regrow.base.model_digests import TAG
from regrow.base.spec import Gate
from regrow.registry.gate import decide, read_decisions
from regrow.registry.mlflow import RUN_VARIABLES
from regrow.registry.publication import Champion, Judge, publish_release
from regrow.registry.release import Published, Release
from regrow.registry.reviews import roll_back
from regrow.registry.versions import Registry
from tests.conftest import REPOSITORY
from tests.support.commands import Launcher, wait_for

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
    run = registry.client.get_run(published.run_id)
    (training,) = registry.client.search_runs(
        [run.info.experiment_id], f"tags.`mlflow.parentRunId` = '{published.run_id}'"
    )
    assert training.info.run_name == "seed-0"
    curve = registry.client.get_metric_history(training.info.run_id, "loss")
    assert [(point.step, point.value) for point in curve] == [(0, 3.0), (1, 2.0), (3, 1.0)]
    assert registry.artifact(registry.champion(), "card.md").read_text() == "card"
    champion = registry.champion()
    assert champion is not None
    assert champion.tags["regrow.data_version"] == "d1"
    import mlflow

    signature = mlflow.models.get_model_info("models:/model/1").signature
    assert signature is not None
    assert signature.inputs.to_dict()[0]["tensor-spec"]["shape"] == (-1, 3)


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


def test_a_model_that_was_exchanged_is_not_loaded_whatever_mlmodel_says(home: Path) -> None:
    publish(home, "a", 2.0)
    registry = open_registry(home)
    [file] = (home / "mlartifacts").rglob("model.keras")
    assert json.loads(registry.find(1).tags[TAG]) == {"data/model.keras": digest_file(file)}
    described = file.parents[1] / "MLmodel"
    described.write_text(described.read_text().replace("mlflow.keras", "tests.nothing"))
    shutil.copy(file, file.parents[1] / "another-model.keras")
    assert bias_of(registry.load(1)) == 2.0
    whole = file.read_bytes()
    for damage in (make_release(home, "c", 7.0).model.read_bytes(), whole[:-1], None):
        file.write_bytes(damage) if damage else file.unlink()
        for use in (lambda: registry.load(1), lambda: registry.release_of(registry.find(1))):
            with pytest.raises(DataError, match="differs from the registered model") as raised:
                use()
            assert raised.value.expected == f"sha256 {hashlib.sha256(whole).hexdigest()}"
    file.write_bytes(whole)
    assert bias_of(registry.load(1)) == 2.0


def test_a_version_without_a_digest_gets_it_at_the_first_load(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    publish(home, "a", 2.0)
    registry = open_registry(home)
    before = registry.find(1).tags[TAG]
    registry.delete_tag(1, TAG)
    assert bias_of(registry.load(1)) == 2.0
    assert registry.find(1).tags[TAG] == before
    assert "model version 1 was registered by an older version of regrow" in caplog.text


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
    from regrow.base.errors import is_transient

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(ConnectionError) as raised:
        open_registry(home, "http://127.0.0.1:9")
    assert is_transient(raised.value)


CHILD = """
import sys
from pathlib import Path
from tests.registry.test_registry import publish
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


@pytest.fixture
def server(home: Path) -> Iterator[str]:
    """The address of an MLflow server."""
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
        yield url
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


@pytest.mark.slow
def test_a_shared_server(home: Path, server: str) -> None:
    registry = open_registry(home / "client", server)
    published = publish(home, "a", 2.0, registry)
    assert published.run_url.startswith(f"{server}/#/experiments/")
    assert publish(home, "b", 1.0, registry).decision.action == "promoted"
    assert roll_back(registry).champion_after == 1


DYING = """
import os, sys
from pathlib import Path
from regrow.registry.reviews import roll_back
from tests.registry.test_registry import open_registry
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
