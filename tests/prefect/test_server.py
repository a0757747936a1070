"""A real Prefect server with a real worker: deployments, schedules, and a run on the worker.

Two of Prefect's dependencies, if too new, leave a server that looks healthy and schedules nothing;
this is the test that notices.
"""

from __future__ import annotations

import dataclasses
import os
import sqlite3
import stat
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
import yaml
from prefect.client.orchestration import get_client
from prefect.settings import (
    PREFECT_API_AUTH_STRING,
    PREFECT_API_URL,
    PREFECT_SERVER_API_AUTH_STRING,
    temporary_settings,
)
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.typing import Origin, Subprotocol

from regrow.base.errors import UserError
from regrow.base.home import Home
from regrow.base.project import get_spec, list_models
from regrow.pipeline.request import DataChoice
from regrow.pipeline.stages import STAGES
from regrow.prefect.password import make_password
from regrow.prefect.schedules import Overdue, list_overdue, notify_once
from regrow.prefect.ui import choose_password
from tests.conftest import REPOSITORY
from tests.support.commands import wait_for
from tests.support.http_servers import Chat
from tests.support.servers import Server, run_server

pytestmark = pytest.mark.slow
TOKEN_HEADERS = ("Prefect-Csrf-Client", "Prefect-Csrf-Token")
FOREIGN_PAGE = "http://evil.example"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The server of `regrow ui` with its password: everything here goes through it."""
    folder = tmp_path_factory.mktemp("server")
    password, _generated = make_password(Home(folder / "home"))
    with run_server(folder, password=password) as server:
        yield server


@pytest.fixture(scope="module")
def deployed(server: Server) -> list[str]:
    done: list[str] = server.regrow("deploy")
    return done


def inventory(server: Server) -> dict[str, Any]:
    """What `make deploy` makes, without ids and times."""
    deployments = server.post("deployments/filter", {})
    queues = server.post("work_queues/filter", {})
    return {
        "deployments": sorted(
            (d["name"], d["entrypoint"], d["work_pool_name"], d["work_queue_name"], str(d["tags"]))
            for d in deployments
        ),
        "schedules": sorted(s["schedule"]["cron"] for d in deployments for s in d["schedules"]),
        "automations": sorted(a["name"] for a in server.post("automations/filter", {})),
        "pools": sorted(
            (pool["name"], pool["type"], pool["concurrency_limit"])
            for pool in server.post("work_pools/filter", {})
        ),
        "queues": sorted((q["name"], q["concurrency_limit"] or 0) for q in queues),
    }


def test_deploying_makes_pools_automations_and_deployments_and_again_nothing_more(
    server: Server, deployed: list[str]
) -> None:
    made = inventory(server)
    declared = yaml.safe_load((REPOSITORY / "prefect.yaml").read_text())["deployments"]
    assert len(made["deployments"]) == len(declared)
    assert [name for name, *_ in made["deployments"]].count("daily") == len(list_models())
    assert ("gpu", "process", 1) in made["pools"]
    assert ("training", 2) in made["queues"]
    assert {"regrow-dead-runs", "regrow-stuck-runs"} <= set(made["automations"])
    assert "air-quality-when-air-quality-refreshed" in made["automations"]
    assert server.regrow("deploy") == deployed
    server.prefect("deploy", "--all")  # Prefect's own command, by itself
    assert inventory(server) == made


def test_every_deployment_has_a_form_with_descriptions_and_every_model_a_limit(
    server: Server, deployed: list[str]
) -> None:
    for deployment in server.post("deployments/filter", {}):
        assert deployment["description"]
        assert deployment["tags"]
        form = deployment["parameter_openapi_schema"]["properties"]
        assert all(field["description"] for field in form.values()), deployment["name"]
        if deployment["name"] == "daily":
            assert deployment["global_concurrency_limit"]["limit"] == 1
            assert deployment["concurrency_options"]["collision_strategy"] == "ENQUEUE"
            assert deployment["schedules"][0]["schedule"]["timezone"] == "Etc/UTC"


@pytest.mark.parametrize("model", list_models())
def test_a_models_form_is_its_presets_its_settings_class_and_its_sources(
    model: str, server: Server, deployed: list[str]
) -> None:
    spec = get_spec(model)
    found = server.post(f"deployments/name/{model}/daily", None, method="GET")
    form = found["parameter_openapi_schema"]
    assert list(form["properties"]) == ["preset", "config", "data", "sources", "versions", "on"]
    assert form["properties"]["preset"]["enum"] == list(spec.presets)
    assert form["properties"]["preset"]["default"] == next(iter(spec.presets))
    assert form["properties"]["data"]["enum"] == list(get_args(DataChoice))
    for name in ("sources", "versions"):
        keys = form["properties"][name]["anyOf"][0]["propertyNames"]
        assert keys.get("enum", [keys.get("const")]) == list(spec.sources)
    assert form["properties"]["on"]["anyOf"][0]["propertyNames"]["enum"] == list(STAGES)
    # Every setting with its type, bounds, default and description, nested settings included.
    settings = spec.config.model_json_schema(ref_template="#/definitions/{model}")
    nested = settings.pop("$defs", {})
    name = spec.config.__name__
    assert form["properties"]["config"]["anyOf"][0] == {"$ref": f"#/definitions/{name}"}
    assert form["definitions"] == {**nested, name: settings}


def test_a_value_out_of_bounds_is_refused_by_the_server(
    server: Server, deployed: list[str]
) -> None:
    found = server.post("deployments/name/air-quality/daily", None, method="GET")
    refused: list[dict[str, Any]] = [
        {"preset": "bset"},
        {"config": {"seeds": 0}},
        {"config": {"variants": {"all-sensors": {"degree": 7}}}},
        {"sources": {"water": "x.csv"}},
        {"on": {"trian": "gpu"}},
    ]
    for parameters in refused:
        path = f"{server.url}/deployments/{found['id']}/create_flow_run"
        answer = server.client.post(path, json={"parameters": parameters})
        assert answer.status_code == 409, parameters


def without_password(server: Server) -> dict[str, str]:
    """An environment of its clients that holds no password."""
    return {name: value for name, value in server.env.items() if "AUTH_STRING" not in name}


def test_the_password_is_generated_once_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    password, generated = make_password(home)
    assert generated
    assert len(password.removeprefix("regrow:")) == 32
    assert stat.S_IMODE(home.prefect_password.stat().st_mode) == 0o600
    home.prefect_password.chmod(0o644)
    assert make_password(home) == (password, False)
    assert stat.S_IMODE(home.prefect_password.stat().st_mode) == 0o600
    home.prefect_password.write_text("no colon")
    with pytest.raises(UserError, match="cannot be read") as raised:
        make_password(home)
    assert "no colon" not in str(raised.value)


def test_a_password_of_ones_own_is_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with temporary_settings({PREFECT_SERVER_API_AUTH_STRING: "ann:of my own"}):
        assert choose_password(Home(tmp_path)) == "ann:of my own"
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""
    generated = choose_password(Home(tmp_path))
    assert generated in capsys.readouterr().out
    assert choose_password(Home(tmp_path)) == generated
    assert generated not in capsys.readouterr().out  # printed only once


def test_a_foreign_host_is_refused(server: Server) -> None:
    for host in ("evil.example", "evil.example:4200", "127.0.0.1.evil.example"):
        for path in ("health", "flow_runs/filter", "../runs"):
            answer = server.client.get(f"{server.url}/{path}", headers={"Host": host})
            assert answer.status_code == 400, (host, path)
    port = httpx.URL(server.url).port
    answer = server.client.get(f"{server.url}/health", headers={"Host": f"localhost:{port}"})
    assert answer.status_code == 200


def test_a_foreign_origin_is_refused_even_with_the_password(server: Server) -> None:
    preflight = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type,authorization",
    }
    address = f"{server.url}/flow_runs/"
    own = server.url.removesuffix("/api")
    for origin in (FOREIGN_PAGE, "null", own.replace("http:", "https:"), "http://127.0.0.1:1"):
        asked = server.client.options(address, headers={"Origin": origin, **preflight})
        sent = server.client.post(f"{address}filter", json={}, headers={"Origin": origin})
        for answer in (asked, sent):
            assert answer.status_code == 403
            assert "access-control-allow-origin" not in answer.headers
    with pytest.raises(InvalidStatus, match="403"):
        connect(
            f"{server.url.replace('http', 'ws', 1)}/events/in",
            origin=Origin(FOREIGN_PAGE),
            subprotocols=[Subprotocol("prefect")],
        )
    asked = server.client.options(address, headers={"Origin": own, **preflight})
    assert asked.headers["access-control-allow-origin"] == own
    sent = server.client.post(f"{address}filter", json={}, headers={"Origin": own})
    assert sent.status_code == 200


def test_without_the_password_nobody_gets_in(server: Server, tmp_path: Path) -> None:
    token = {name: server.client.headers[name] for name in TOKEN_HEADERS}
    url = f"{server.url}/flow_runs/filter"
    assert httpx.post(url, json={}, headers=token).status_code == 401
    wrong = httpx.post(url, json={}, headers=token, auth=("regrow", "a guess"))
    assert wrong.status_code == 401
    assert httpx.get(f"{server.url}/csrf-token", params={"client": "x"}).status_code == 401
    assert httpx.post(url, json={}, auth=server.client.auth).status_code == 403  # no token
    env = without_password(server)
    for command in (["deploy"], ["run", "air-quality", "--sample"]):
        done = subprocess.run(
            [sys.executable, "-m", "regrow.cli", *command],
            env={**env, "REGROW_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == 2
        assert "PREFECT_API_AUTH_STRING" in done.stderr
        assert "Traceback" not in done.stderr


def test_commands_read_the_kept_password_themselves(server: Server, deployed: list[str]) -> None:
    here = dataclasses.replace(server, env=without_password(server))
    assert here.regrow("deploy") == deployed
    found = {check["check"]: check["found"] for check in here.regrow("doctor")}
    assert found["password (PREFECT_API_AUTH_STRING)"] == "taken"
    assert "answers 200" in found["Prefect server (PREFECT_API_URL)"]


def test_a_source_takes_its_secret_from_a_block(server: Server) -> None:
    code = (
        "from prefect.blocks.system import Secret; import sys\n"
        "from regrow.base.placeholders import SecretMissing, fill_secrets\n"
        "Secret(value='s3cret').save('warehouse', overwrite=True)\n"
        "print(fill_secrets('${block:warehouse}@db'))\n"
        "try: fill_secrets('${block:none}')\n"
        "except SecretMissing as error: print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=server.env,
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = done.stdout.splitlines()[:2]
    assert first == "s3cret@db"
    assert second.startswith("Prefect's Secret block none cannot be read:")


def test_an_automation_starts_a_run(server: Server, deployed: list[str]) -> None:
    resource = {
        "prefect.resource.id": "regrow.source.air-quality",
        "regrow.version": "1" * 64,
    }
    event = {
        "id": str(uuid.uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": "regrow.source.refreshed",
        "resource": resource,
        "payload": {"version": "1" * 64},
    }
    server.post("events", [event])

    def triggered() -> list[str]:
        runs = server.flow_runs("SCHEDULED", flow="air-quality")
        return [run["id"] for run in runs if run["parameters"].get("versions")]

    (run_id,) = wait_for("the run that the automation starts", triggered, 120)
    server.post(f"flow_runs/{run_id}", None, method="DELETE")  # there is no such version


def test_a_schedule_without_a_success_within_its_interval_is_notified_once(
    server: Server, deployed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hourly = {"refresh/hourly", "predict/hourly", "check-schedules/hourly"}
    now = datetime.now(UTC)

    def names(later: timedelta) -> set[str]:
        access = {
            PREFECT_API_URL: server.url,
            PREFECT_API_AUTH_STRING: server.env["PREFECT_API_AUTH_STRING"],
        }
        with temporary_settings(access), get_client(sync_client=True) as client:
            found = {one.name: one for one in list_overdue(client, now + later)}
        late.update(found)
        return set(found)

    late: dict[str, Overdue] = {}
    assert names(timedelta()) == set()
    assert names(timedelta(hours=2)) == hourly  # those that are daily had no time yet
    # A run of the hour before counts until the next one has had its hour.
    run_id = server.run_deployment("predict/hourly")
    done = {"state": {"type": "COMPLETED"}, "force": True}
    server.post(f"flow_runs/{run_id}/set_state", done)
    ended = (now + timedelta(hours=1)).strftime("%Y-%m-%d %H:%M:%S.%f")
    database = Path(server.env["PREFECT_HOME"]) / "prefect.db"
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        changed = connection.execute(
            "UPDATE flow_run SET end_time = ? WHERE id = ?", (ended, run_id)
        )
        assert changed.rowcount == 1
    assert names(timedelta(hours=2)) == hourly - {"predict/hourly"}
    assert names(timedelta(days=3)) > {*hourly, "gc/nightly", "air-quality/daily"}
    server.post(f"flow_runs/{run_id}", None, method="DELETE")
    chat = Chat()
    monkeypatch.setenv("REGROW_NOTIFY_URL", f"{chat.address}/hook")
    for _ in range(2):
        notify_once([late["air-quality/daily"]], Home(tmp_path))
    chat.close()
    [posted] = chat.posted
    assert posted["event"] == "overdue"
    assert posted["command"] == "regrow run air-quality"
    assert "air-quality/daily has not succeeded since" in posted["text"]
    page, _, deployment_id = posted["link"].rpartition("/")
    assert page == f"{server.url.removesuffix('/api')}/deployments/deployment"
    assert server.post(f"deployments/{deployment_id}", None, method="GET")["name"] == "daily"
    assert server.regrow("notify", "--overdue") == {"late": []}


def test_without_a_server_deploying_says_what_is_missing(tmp_path: Path) -> None:
    env = {name: value for name, value in os.environ.items() if name != "PREFECT_API_URL"}
    done = subprocess.run(
        [sys.executable, "-m", "regrow.cli", "deploy"],
        env={**env, "REGROW_HOME": str(tmp_path), "PREFECT_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )
    assert done.returncode == 2
    assert "make ui" in done.stderr


def test_the_schedule_makes_runs_and_a_worker_does_one(server: Server, deployed: list[str]) -> None:
    scheduled = wait_for(
        "a scheduled run", lambda: server.flow_runs("SCHEDULED", flow="air-quality")
    )
    assert all(run["auto_scheduled"] for run in scheduled)
    run_id = server.run_deployment("air-quality/daily", preset="quick", data="sample")
    with server.worker("local"):
        run = server.wait_for_end(run_id)
    assert run["state_type"] == "COMPLETED", (server.folder / "worker-local.log").read_text()
    assert (server.home / "reports" / "air-quality.sample-v1.html").is_file()
    # A command in another terminal, which finds the password itself: all is cached.
    here = dataclasses.replace(server, env=without_password(server))
    here.regrow("run", "air-quality", "--preset", "quick", "--sample")
    assert len(server.flow_runs("COMPLETED", flow="air-quality")) == 2
    # What the automation for dead runs asks for is refused for one that has ended.
    asked = server.post(f"flow_runs/{run_id}/set_state", {"state": {"type": "CRASHED"}})
    assert asked["status"] == "ABORT"
    assert server.read_run(run_id)["state_type"] == "COMPLETED"
