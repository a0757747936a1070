"""The registry's state is read without MLflow's client, and as the client reads it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from regrow.base.errors import Unreachable, UserError
from regrow.base.home import Home
from regrow.registry.lookup import Standing, read_standing
from regrow.registry.names import LIBRARIES
from regrow.registry.versions import Registry
from tests.support.http_servers import Handler, serve_http
from tests.support.registries import open_registry, publish


def by_client(registry: Registry) -> Standing:
    champion = registry.champion()
    return Standing(
        int(champion.version) if champion else None,
        frozenset(int(version.version) for version in registry.versions()),
        registry.frozen(),
        champion.tags.get(LIBRARIES) if champion else None,
    )


def check_every_state(registry: Registry, home: Path) -> None:
    """The two agree on an empty registry, and while versions and aliases come and go."""

    def agreed() -> Standing:
        found = read_standing(registry.tracking_uri, registry.name, Home(home))
        assert found == by_client(registry)
        return found

    assert agreed() == Standing()
    publish(home, "a", 2.0, registry)
    publish(home, "b", 1.0, registry)
    assert agreed() == Standing(2, frozenset({1, 2}))
    registry.set_tag(1, LIBRARIES, "of another version")
    registry.set_tag(2, LIBRARIES, '{"keras": "3.15"}')
    registry.freeze("audit")
    assert agreed() == Standing(2, frozenset({1, 2}), "audit", '{"keras": "3.15"}')
    registry.freeze(None)
    registry.client.delete_registered_model_alias(registry.name, "champion")
    assert agreed() == Standing(None, frozenset({1, 2}))
    registry.client.delete_model_version(registry.name, "1")
    assert agreed() == Standing(None, frozenset({2}))


def test_a_database_is_read_as_the_client_reads_it(home: Path) -> None:
    check_every_state(open_registry(home), home)


def test_a_server_is_asked_as_the_client_asks_it(home: Path, server: str) -> None:
    check_every_state(open_registry(home, server), home)


def test_a_database_that_does_not_exist_holds_nothing(tmp_path: Path) -> None:
    uri = f"sqlite:///{tmp_path / 'absent # %20.db'}"
    assert read_standing(uri, "model", Home(tmp_path)) == Standing()
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database, but long enough to be taken for one" * 9)
    with pytest.raises(UserError, match="so the champion is unknown"):
        read_standing(f"sqlite:///{tmp_path / 'mlflow.db'}", "model", Home(tmp_path))
    with pytest.raises(Unreachable, match="does not respond"):
        read_standing("http://127.0.0.1:9", "model", Home(tmp_path))


@pytest.mark.parametrize("answer", [b"[]", b"null", b'{"registered_model": 3}', b"<html>"])
@pytest.mark.parametrize("status", [200, 404])
def test_an_answer_that_is_not_mlflow_s_is_an_error(
    answer: bytes, status: int, tmp_path: Path
) -> None:
    class Answer(Handler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(answer)

    with (
        serve_http(Answer) as server,
        pytest.raises(Unreachable, match="does not respond"),
    ):
        read_standing(server.address, "model", Home(tmp_path))


def test_a_proxy_that_no_client_can_use_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:port")
    with pytest.raises(UserError, match="proxy address is not valid"):
        read_standing("http://127.0.0.1:9", "model", Home(tmp_path))


def test_looking_up_imports_no_mlflow(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from regrow.base.home import Home\n"
        "from regrow.registry.lookup import read_standing\n"
        f"read_standing('sqlite:///x.db', 'model', Home(Path({str(tmp_path)!r})))\n"
        "assert 'mlflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)
