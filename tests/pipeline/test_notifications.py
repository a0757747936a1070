"""Notices to people, and that secrets of the environment are seen nowhere."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from regrow.base.errors import DataError, UserError
from regrow.base.progress import ignore
from regrow.base.project import get_spec
from regrow.base.secrets import hide_secrets
from regrow.base.settings import read_environment
from regrow.pipeline import notifications
from regrow.pipeline.notifications import Notification, send_webhook
from regrow.pipeline.pipeline import Pipeline
from regrow.pipeline.request import make_request
from regrow.pipeline.runs import run_stages
from tests.conftest import SAMPLE, Regrow
from tests.support.http_servers import Chat

TOKEN = "t0ken-abcdef123456"
PASSWORD = "pa55word-xyz"
NOTIFICATION = Notification(event="failure", text="it failed", model="air-quality")
SPEC = get_spec("air-quality")


@pytest.fixture
def chat(monkeypatch: pytest.MonkeyPatch) -> Iterator[Chat]:
    server = Chat()
    monkeypatch.setenv("REGROW_NOTIFY_URL", f"{server.address}/hooks/{TOKEN}")
    yield server
    server.close()


def test_a_notification_is_posted_as_json_that_chats_show(chat: Chat) -> None:
    send_webhook(NOTIFICATION)
    assert chat.paths == [f"/hooks/{TOKEN}"]
    [posted] = chat.posted
    assert posted == {
        "event": "failure",
        "text": "it failed",
        "model": "air-quality",
        "stage": None,
        "error": None,
        "command": None,
        "link": None,
        "details": {},
    }


def test_without_an_address_nothing_is_sent(chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("REGROW_NOTIFY_URL")
    send_webhook(NOTIFICATION)
    assert chat.posted == []


def test_a_service_that_apprise_knows_gets_title_and_message(
    chat: Chat, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = chat.address.removeprefix("http://")
    monkeypatch.setenv("REGROW_NOTIFY_URL", f"json://{host}/hooks/{TOKEN}")
    command = "regrow run air-quality --preset quick"
    link = "http://127.0.0.1:4200/runs/flow-run/1"
    send_webhook(NOTIFICATION.model_copy(update={"command": command, "link": link}))
    [posted] = chat.posted
    assert chat.paths == [f"/hooks/{TOKEN}"]
    assert posted["title"] == "regrow: failure of air-quality"
    assert posted["message"] == f"it failed\nnext: {command}\n{link}"
    assert posted["type"] == "warning"


TROUBLES = ["refused", "nobody there", "too slow", "no address at all", "refused by a service"]


@pytest.mark.parametrize("trouble", TROUBLES)
def test_what_cannot_be_sent_fails_nothing_and_tells_no_address(
    trouble: str, chat: Chat, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    if trouble == "refused":
        chat.status = 403
    elif trouble == "nobody there":
        monkeypatch.setenv("REGROW_NOTIFY_URL", f"http://127.0.0.1:9/hooks/{TOKEN}")
    elif trouble == "too slow":
        chat.delay_s = 1
        monkeypatch.setattr(notifications, "TIMEOUT_S", 0.2)
    elif trouble == "refused by a service":
        chat.status = 403
        host = chat.address.removeprefix("http://")
        monkeypatch.setenv("REGROW_NOTIFY_URL", f"json://{host}/hooks/{TOKEN}")
    else:
        monkeypatch.setenv("REGROW_NOTIFY_URL", f"hooks/{TOKEN}")
    send_webhook(NOTIFICATION)
    said = {
        "refused": "the recipient responded with 403",
        "nobody there": "ConnectError",
        "too slow": "ReadTimeout",
        "no address at all": "it is not a URL that Apprise supports",
        "refused by a service": "the service did not accept it",
    }
    assert said[trouble] in caplog.text
    assert "REGROW_NOTIFY_URL could not be sent" in caplog.text
    assert TOKEN not in caplog.text


def test_a_good_notification_leaves_no_address_in_the_log(
    chat: Chat, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    logging.getLogger("httpx").setLevel(logging.INFO)
    send_webhook(NOTIFICATION)
    assert len(chat.posted) == 1
    assert TOKEN not in caplog.text
    assert logging.getLogger("httpx").level == logging.INFO


def test_secrets_are_hidden_in_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", f"admin:{PASSWORD}")
    monkeypatch.setenv("REGROW_NOTIFY_URL", f"https://chat/hooks/{TOKEN}")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "short")
    for secret in (f"admin:{PASSWORD}", PASSWORD, TOKEN, f"https://chat/hooks/{TOKEN}"):
        assert hide_secrets(f"before {secret} after") == "before [hidden] after"
    assert hide_secrets("short") == "short"
    assert hide_secrets("at postgresql://me:pw@host/db?a@b") == (
        "at postgresql://[hidden]@host/db?a@b"
    )
    plain = "https://archive.ics.uci.edu/static/a@b.zip and a@b"
    assert hide_secrets(plain) == plain
    assert TOKEN not in str(UserError("x", where=f"https://chat/hooks/{TOKEN}"))


def test_the_command_sends_a_test_and_says_what_became_of_it(
    chat: Chat, regrow: Regrow, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{chat.address}/hooks/{TOKEN}"
    done = regrow("notify", "--test", "--json", env={"REGROW_NOTIFY_URL": url})
    assert done.returncode == 0, done.stderr
    sent = {"REGROW_NOTIFY_URL": "sent", "REGROW_NOTIFY_BLOCK": "not set"}
    assert json.loads(done.stdout) == {"recipients": sent}
    [posted] = chat.posted
    assert (posted["event"], posted["command"]) == ("test", "regrow status")
    chat.status = 410
    done = regrow("notify", "--test", env={"REGROW_NOTIFY_URL": url})
    assert done.returncode == 2
    assert "REGROW_NOTIFY_URL: failed: the recipient responded with 410" in done.stderr
    assert TOKEN not in done.stdout + done.stderr
    shown = regrow("notify", "--json", env={"REGROW_NOTIFY_URL": url})
    assert json.loads(shown.stdout)["recipients"]["REGROW_NOTIFY_URL"] == "set"
    assert len(chat.posted) == 2
    nobody = regrow("notify", "--test", env={"REGROW_NOTIFY_URL": ""})
    assert nobody.returncode == 2
    assert "no recipient is configured" in nobody.stderr


def start(home: Path, **request: Any) -> Any:
    pipeline = Pipeline(
        SPEC,
        make_request(SPEC, preset="quick", **request),
        read_environment({"REGROW_HOME": str(home)}),
    )
    return run_stages(pipeline, lambda stage, inputs: pipeline.run_stage(stage, inputs, ignore))


@pytest.mark.e2e
def test_a_failure_and_a_first_champion_are_told_and_what_is_known_is_not(
    chat: Chat, tmp_path: Path
) -> None:
    spoiled = tmp_path / "AirQualityUCI.csv"
    spoiled.write_bytes(SAMPLE.read_bytes().replace(b";698;", b";n/a;", 1))
    with pytest.raises(DataError):
        start(tmp_path / "home", sources={"air-quality": spoiled})
    [failure] = chat.posted
    assert failure["event"] == "failure"
    assert failure["text"].startswith("air-quality (quick), stage clean, failed")
    assert "line 2" in failure["text"]
    assert failure["stage"] == "clean"
    assert failure["error"] in failure["text"]
    command = f"regrow run air-quality --preset quick --source air-quality={spoiled}"
    assert failure["command"] == command
    assert f"next: {command}" in failure["text"]
    start(tmp_path / "home", data="sample")
    champion = chat.posted[1]
    assert (champion["event"], champion["model"]) == ("champion", "air-quality.sample")
    assert champion["details"]["version"] == 1
    assert champion["details"]["report"].endswith("air-quality.sample-v1.html")
    assert "rmse" in champion["text"]
    assert champion["command"] == "regrow status air-quality"
    assert champion["link"].startswith("file:///")
    assert Path(unquote(urlsplit(champion["link"]).path)).is_file()
    start(tmp_path / "home", data="sample")
    assert len(chat.posted) == 2
    # An unreachable chat does not touch the run.
    chat.status = 500
    assert len(start(tmp_path / "home", data="sample")) == 6


@pytest.mark.e2e
def test_a_block_and_a_failing_flow(
    chat: Chat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flow that is no model's tells its failure as well, by the webhook and by a block."""
    monkeypatch.setenv("REGROW_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    from prefect.blocks.notifications import CustomWebhookNotificationBlock
    from prefect.testing.utilities import prefect_test_harness

    from regrow.prefect.decisions import rollback

    with prefect_test_harness(server_startup_timeout=120):
        block = CustomWebhookNotificationBlock(
            name="chat",
            url=f"{chat.address}/hooks/{TOKEN}",
            json_data={"said": "{{subject}}: {{body}}"},
        )
        block.save("chat")
        monkeypatch.setenv("REGROW_NOTIFY_BLOCK", f"{block.get_block_type_slug()}/chat")
        assert rollback("air-quality", return_state=True).is_failed()
        assert [sorted(posted) for posted in chat.posted] == [
            ["command", "details", "error", "event", "link", "model", "stage", "text"],
            ["said"],
        ]
        assert "no other champion" in chat.posted[0]["text"]
        assert chat.posted[1]["said"].startswith("regrow: failure of rollback: ")
        # A block that is not there is said and fails nothing more.
        monkeypatch.setenv("REGROW_NOTIFY_BLOCK", "slack-webhook/nobody")
        assert rollback("air-quality", return_state=True).is_failed()
        assert len(chat.posted) == 3


def find_in_files(folder: Path, *secrets: str) -> list[str]:
    wanted = [secret.encode() for secret in secrets]
    return [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and any(secret in path.read_bytes() for secret in wanted)
    ]


@pytest.mark.e2e
def test_no_secret_of_the_environment_is_printed_or_written(
    regrow: Regrow, tmp_path: Path, chat: Chat
) -> None:
    """A good run, and a bad one under Prefect; then every file and every line is searched."""
    secrets = (TOKEN, PASSWORD, "m1rror-pass")
    chat.status = 500
    mirror = "http://me:m1rror-pass@127.0.0.1:9/mirror"
    env = {
        "REGROW_NOTIFY_URL": f"{chat.address}/hooks/{TOKEN}",
        "REGROW_MIRROR": mirror,
        "PREFECT_API_AUTH_STRING": f"admin:{PASSWORD}",
        "PREFECT_SERVER_API_AUTH_STRING": f"admin:{PASSWORD}",
        "HTTPS_PROXY": "http://127.0.0.1:9",
        "NO_PROXY": "127.0.0.1",
        "PREFECT_LOGGING_EXTRA_LOGGERS": "httpx,httpcore,regrow",
        "PREFECT_LOGGING_LEVEL": "DEBUG",
    }
    quick = ("run", "air-quality", "--preset", "quick")
    good = regrow(*quick, "--or-sample", "--no-prefect", env=env, timeout_s=600)
    assert good.returncode == 0, good.stderr
    # No place has the real data, and what the mirror's address is must not be told in full.
    bad = regrow(*quick, "--verbose", env=env, timeout_s=600)
    assert bad.returncode == 2, bad.stderr
    assert "127.0.0.1:9/mirror" in bad.stderr
    doctor = regrow("doctor", "--json", env=env)
    for done in (good, bad, doctor):
        assert not [secret for secret in secrets if secret in done.stdout + done.stderr]
    events = [posted["event"] for posted in chat.posted]
    assert events == ["champion", "failure"]
    assert "m1rror-pass" not in json.dumps(chat.posted)
    assert (tmp_path / "home" / "mlflow.db").is_file()
    assert len(list((tmp_path / "home" / "runs" / "air-quality").iterdir())) == 2
    assert any((tmp_path / "prefect").rglob("*.db"))
    assert find_in_files(tmp_path, *secrets) == []
    assert os.environ.get("REGROW_MIRROR") != mirror
