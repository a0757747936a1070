"""A source upstream, and the settings of a project that reads it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from regrow.base.home import Home
from regrow.base.keras_settings import KerasSettings
from regrow.base.settings import Settings
from tests.support.refreshing import (
    FIRST,
    declare,
)
from tests.support.upstreams import Upstream, pack, serve


@pytest.fixture
def upstream(monkeypatch: pytest.MonkeyPatch) -> Iterator[Upstream]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serve() as upstream:
        upstream.publish("air.zip", pack({"air.csv": FIRST}))
        yield upstream


@pytest.fixture
def settings(tmp_path: Path, upstream: Upstream) -> Settings:
    declare(tmp_path / "project", upstream.url)
    return Settings(
        Home(tmp_path / "home"), None, "sqlite://", KerasSettings(), tmp_path / "project"
    )
