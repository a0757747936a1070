"""Log lines: in a file below the home and on standard error, with run, model and stage."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from regrow.base import logs
from regrow.base.errors import UserError
from regrow.base.home import Home
from regrow.base.logs import log_context, log_to_file, log_to_terminal

LOG = logging.getLogger("regrow.something")


@pytest.fixture(autouse=True)
def _own_handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    logger = logging.getLogger("regrow")
    handlers, level = list(logger.handlers), logger.level
    monkeypatch.delenv("REGROW_LOG_LEVEL", raising=False)
    monkeypatch.delenv("REGROW_LOG_FORMAT", raising=False)
    yield
    for handler in logger.handlers:
        if handler not in handlers:
            handler.close()
    logger.handlers, logger.level = handlers, level


def read(home: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (home / "logs" / "regrow.log").read_text().splitlines()]


def test_lines_say_which_run_model_and_stage_they_belong_to(tmp_path: Path) -> None:
    log_to_file(Home(tmp_path))
    log_to_file(Home(tmp_path))  # a second run in the process
    LOG.info("before")
    with log_context(run="r1", model="air-quality"), log_context(stage="train"):
        LOG.warning("within %d", 1)
        try:
            raise ValueError("a reason")
        except ValueError:
            LOG.exception("failed")
    LOG.debug("not by default")
    before, within, failed = read(tmp_path)
    assert [before[name] for name in ("run", "model", "stage")] == [None, None, None]
    assert {"level": "WARNING", "message": "within 1"}.items() <= within.items()
    assert [within[name] for name in ("run", "model", "stage")] == ["r1", "air-quality", "train"]
    assert "ValueError: a reason" in failed["traceback"]


def test_standard_error_gets_warnings_or_what_the_level_says(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def say() -> str:
        log_to_terminal()
        LOG.info("some")
        LOG.warning("more")
        LOG.error("failed", extra={"told": True})  # the command tells it itself
        return capsys.readouterr().err

    assert say() == "more\n"
    monkeypatch.setenv("REGROW_LOG_LEVEL", "info")
    assert say() == "some\nmore\n"
    monkeypatch.setenv("REGROW_LOG_LEVEL", "error")
    assert say() == ""
    monkeypatch.delenv("REGROW_LOG_LEVEL")
    monkeypatch.setenv("REGROW_LOG_FORMAT", "json")
    lines = [json.loads(line) for line in say().splitlines()]
    assert [line["message"] for line in lines] == ["some", "more", "failed"]


def test_files_are_rotated_and_the_oldest_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "MAX_FILE_BYTES", 100)
    for number in range(8):
        log_to_file(Home(tmp_path))
        LOG.info("process %d", number)
    kept = sorted(path.name for path in (tmp_path / "logs").iterdir())
    assert kept == ["regrow.log", *(f"regrow.log.{n}" for n in range(1, 5))]
    assert [line["message"] for line in read(tmp_path)] == ["process 7"]
    assert "process 3" in (tmp_path / "logs" / "regrow.log.4").read_text()


def test_secrets_are_hidden_in_every_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGROW_NOTIFY_URL", "https://chat/hooks/t0ken-abcdef")
    log_to_file(Home(tmp_path))
    LOG.error("posted to %s", "https://chat/hooks/t0ken-abcdef")
    assert "t0ken" not in (tmp_path / "logs" / "regrow.log").read_text()


@pytest.mark.parametrize("name", ["REGROW_LOG_LEVEL", "REGROW_LOG_FORMAT"])
def test_other_values_are_refused(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "loud")
    with pytest.raises(UserError, match="the log setting is not valid") as raised:
        log_to_terminal()
    assert name in str(raised.value)


def test_a_home_that_cannot_be_written_to_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file where the folder should be")
    log_to_file(Home(tmp_path))
    LOG.info("unheard")
