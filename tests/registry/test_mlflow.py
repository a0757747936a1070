"""What the registry keeps in MLflow: databases, models by their digests, and a real server."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from pathlib import Path

import pytest

from regrow.base.digests import digest_file
from regrow.base.errors import DataError, UserError
from regrow.base.model_digests import TAG
from regrow.registry.reviews import roll_back
from tests.support.registries import (
    bias_of,
    make_release,
    open_registry,
    publish,
)


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


def test_a_model_that_was_exchanged_is_not_loaded_whatever_mlmodel_says(home: Path) -> None:
    publish(home, "a", 2.0)
    registry = open_registry(home)
    [file] = (home / "mlartifacts").rglob("model.keras")
    stated = json.loads(registry.find(1).tags[TAG])
    assert next(iter(stated.items())) == ("artifacts/model.keras", digest_file(file))
    described = file.parents[1] / "MLmodel"
    described.write_text(described.read_text().replace("mlflow.pyfunc", "tests.nothing"))
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
    name = "artifacts/model.keras"
    before = json.loads(registry.find(1).tags[TAG])[name]
    registry.delete_tag(1, TAG)
    assert bias_of(registry.load(1)) == 2.0
    assert json.loads(registry.find(1).tags[TAG]) == {name: before}
    assert "model version 1 was registered by an older version of regrow" in caplog.text


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
    from regrow.base.errors import Unreachable, is_transient

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(Unreachable) as raised:
        open_registry(home, "http://127.0.0.1:9")
    assert is_transient(raised.value)
    assert raised.value.where == "http://127.0.0.1:9"
    assert "MLFLOW_TRACKING_URI" in str(raised.value)


@pytest.mark.slow
def test_a_shared_server(home: Path, server: str) -> None:
    registry = open_registry(home / "client", server)
    published = publish(home, "a", 2.0, registry)
    assert published.run_url.startswith(f"{server}/#/experiments/")
    assert publish(home, "b", 1.0, registry).decision.action == "promoted"
    assert roll_back(registry).champion_after == 1
