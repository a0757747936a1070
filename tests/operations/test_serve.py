"""The champion behind HTTP, by MLflow's own application, on a real registry."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from regrow.base.addresses import reroot_database
from regrow.base.home import Home
from regrow.operations.serve import MAX_BODY_BYTES, VERSION_HEADER, Champions, ServeApp
from regrow.registry.versions import Registry
from tests.support.second_version import publish_changed

NAME = "air-quality.sample"
READING = {"timestamp": "2005-04-04T14:00:00", "pt08_s2_nmhc": 1046.0}


@pytest.fixture(scope="module")
def registry(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """The sample's champion, and a second version that answers twice as much."""
    home = Path(shutil.copytree(trained, tmp_path_factory.mktemp("serve") / "home"))
    reroot_database(Home(home))
    registry = Registry(f"sqlite:///{home / 'mlflow.db'}", NAME, Home(home))
    assert publish_changed(registry, home.parent / "second", 2.0) == 2
    return registry


@pytest.fixture(scope="module")
def champions(registry: Registry) -> Champions:
    champions = Champions(registry)
    champions.update()
    return champions


@pytest.fixture
def client(champions: Champions) -> TestClient:
    return TestClient(ServeApp(champions))


def ask(client: TestClient, *rows: dict[str, Any]) -> Any:
    return client.post("/invocations", json={"dataframe_records": rows or [READING]})


def test_the_champion_answers_with_named_columns_and_says_its_version(client: TestClient) -> None:
    answer = ask(client, READING, {"pt08_s2_nmhc": 900.0, "timestamp": "2005-04-04T15:00:00"})
    assert answer.status_code == 200
    assert answer.headers[VERSION_HEADER] == "1"
    first, second = answer.json()["predictions"]
    assert first.keys() == {"timestamp", "benzene_ug_m3_predicted"}
    assert first["timestamp"].startswith("2005-04-04T14:00:00")
    assert 0 < second["benzene_ug_m3_predicted"] < first["benzene_ug_m3_predicted"] < 100


def test_csv_and_mlflows_other_paths_answer_as_in_mlflow(client: TestClient) -> None:
    kind = {"content-type": "text/csv"}
    as_csv = client.post("/invocations", content="pt08_s2_nmhc\n1046\n", headers=kind)
    [found], [expected] = as_csv.json()["predictions"], ask(client).json()["predictions"]
    assert found == {"benzene_ug_m3_predicted": expected["benzene_ug_m3_predicted"]}
    timed = "timestamp,pt08_s2_nmhc\n2005-04-04T14:00:00,1046\n2005-04-04T15:00:00,\n"
    answer = client.post("/invocations", content=timed, headers=kind).json()["predictions"]
    assert (
        answer
        == ask(
            client, READING, {**READING, "timestamp": "2005-04-04T15:00:00", "pt08_s2_nmhc": None}
        ).json()["predictions"]
    )
    refused = client.post("/invocations", content="pt08_s2_nmhc\ninf\n", headers=kind)
    assert refused.status_code == 400
    assert "infinite" in refused.json()["message"]
    for wrong in (b"", b"\xff\xfe,\n1,2\n"):
        refused = client.post("/invocations", content=wrong, headers=kind)
        assert refused.status_code == 400
        assert "not valid CSV" in refused.json()["message"]
    assert client.get("/ping").status_code == client.get("/health").status_code == 200
    assert client.get("/version").text.startswith("3.")
    assert client.post("/invocations", content="x").status_code == 415


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"dataframe_records": [{"timestamp": "2005-04-04T14:00:00"}]}, "pt08_s2_nmhc"),
        ({"dataframe_records": [{**READING, "pt08_s2_nmhc": "much"}]}, "pt08_s2_nmhc"),
        ({"dataframe_records": [{**READING, "pt08_s2_nmhc": 1e39}]}, "infinite"),
        ({"rows": []}, "dataframe_records"),
    ],
)
def test_input_that_cannot_be_used_gets_400_with_the_column(
    client: TestClient, body: dict[str, Any], message: str
) -> None:
    answer = client.post("/invocations", json=body)
    assert answer.status_code == 400
    assert message in answer.json()["message"]
    assert "Failed to predict data" not in answer.text
    assert "stack_trace" not in answer.json()
    assert answer.headers[VERSION_HEADER] == "1"


@pytest.mark.parametrize("raw", [b"\xff\xfe{", b"{", b"[1, 2]", b"null", b"\x00" * 10])
@pytest.mark.parametrize("kind", ["application/json", "text/csv"])
def test_bytes_that_are_no_request_get_400_and_lose_nothing(
    client: TestClient, raw: bytes, kind: str
) -> None:
    answer = client.post("/invocations", content=raw, headers={"content-type": kind})
    assert answer.status_code == 400
    assert len(answer.content) < 5000
    assert ask(client).status_code == 200


def test_missing_infinite_and_unknown_columns(client: TestClient) -> None:
    expected = ask(client).json()
    many = {**READING, **{f"column_{n}": n for n in range(10_000)}}
    assert ask(client, many).json() == expected
    missing = client.post(
        "/invocations",
        content=json.dumps({"dataframe_records": [{**READING, "co_mg_m3": float("nan")}]}),
        headers={"content-type": "application/json"},
    )
    assert missing.json() == expected


def test_a_request_that_is_too_large_is_refused_before_it_is_read(client: TestClient) -> None:
    length = {"content-length": str(MAX_BODY_BYTES + 1), "content-type": "text/csv"}
    answer = client.post("/invocations", content=b"a\n1\n", headers=length)
    assert answer.status_code == 413
    assert "67,108,864 bytes" in answer.json()["message"]


def test_what_is_served_is_described_and_counted(client: TestClient) -> None:
    ask(client)
    found = client.get("/regrow/model").json()
    assert (found["model"], found["version"]) == (NAME, 1)
    assert "pt08_s2_nmhc" in [column["name"] for column in found["inputs"]]
    assert client.get("/ready").json() == {"version": 1}
    metrics = client.get("/metrics").text
    labels = 'model="air-quality.sample",status="200",version="1"'
    assert f"regrow_serve_requests_total{{{labels}}} 1.0" in metrics
    assert 'regrow_serve_version{model="air-quality.sample"} 1.0' in metrics
    assert "regrow_serve_request_seconds_bucket" in metrics


def test_the_next_champion_takes_over_and_a_broken_one_does_not(
    registry: Registry, champions: Champions, client: TestClient
) -> None:
    before = ask(client).json()["predictions"][0]["benzene_ug_m3_predicted"]
    code = registry.files(registry.find(2)) / "served_model.py"
    kept = code.read_text()
    code.write_text(kept + "\n")
    registry.set_alias("champion", 2)
    with pytest.raises(Exception, match="is not what was registered"):
        champions.update()
    assert ask(client).headers[VERSION_HEADER] == "1"
    code.write_text(kept)
    champions.update()
    answer = ask(client)
    assert answer.headers[VERSION_HEADER] == "2"
    after = answer.json()["predictions"][0]["benzene_ug_m3_predicted"]
    assert after == pytest.approx(2 * before, rel=1e-4)

    registry.delete_alias("champion")
    champions.update()
    assert ask(client).status_code == client.get("/ready").status_code == 503
    assert "has no champion" in ask(client).json()["message"]
    assert client.get("/metrics").status_code == 200
    registry.set_alias("champion", 1)
    champions.update()
    assert client.get("/ready").status_code == 200
