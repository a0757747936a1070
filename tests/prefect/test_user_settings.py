"""What the user has set for Prefect, read without Prefect: compared with Prefect itself."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from regrow.base.errors import UserError
from regrow.base.home import Home
from regrow.prefect.own_server import run_server
from regrow.prefect.user_settings import (
    API_URL,
    DATABASE_URLS,
    check_files,
    find_choice,
    keep_below,
)

URL = "http://127.0.0.1:9/api"
PROFILES = f'active = "old"\n[profiles.old]\nPREFECT_API_URL = "{URL}"\n[profiles.new]\n'
# Files in the folder (profiles.toml in PREFECT_HOME), and variables.
CASES: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    "nothing": ({}, {}, ""),
    "the environment": ({".env": "PREFECT_API_URL=http://x/api"}, {API_URL: URL}, "variable"),
    "an empty variable": ({".env": f"PREFECT_API_URL={URL}"}, {API_URL: ""}, ""),
    "a file .env": ({".env": f"PREFECT_API_URL={URL}\n"}, {}, ".env"),
    "prefect.toml": ({"prefect.toml": f'[api]\nurl = "{URL}"\n'}, {}, "prefect.toml"),
    "pyproject.toml": (
        {"pyproject.toml": f'[tool.prefect.api]\nurl = "{URL}"\n'},
        {},
        "tool.prefect.api.url",
    ),
    "the active profile": ({"profiles.toml": PROFILES}, {}, "'old'"),
    "another profile": ({"profiles.toml": PROFILES}, {"PREFECT_PROFILE": "new"}, ""),
    "a profile that is not there": ({"profiles.toml": PROFILES}, {"PREFECT_PROFILE": "none"}, ""),
}


@pytest.mark.parametrize("case", CASES)
def test_the_server_is_the_one_that_prefect_would_use(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import Settings

    files, variables, where = CASES[case]
    for name in (API_URL, "PREFECT_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = find_choice(API_URL)
    assert (found.value if found else None) == (Settings().api.url or None)
    assert (found is not None) == bool(where)
    assert where in (found.where if found else "")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("profiles.toml", b"active = "),
        ("prefect.toml", b"[api"),
        ("pyproject.toml", b"[tool.prefect\n"),
        ("prefect.toml", b"# caf\xe9"),
        (".env", b"NAME=caf\xe9"),
    ],
)
def test_a_file_that_prefect_cannot_read_is_named(
    name: str, content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path))
    monkeypatch.delenv(API_URL, raising=False)
    check_files()
    (tmp_path / name).write_bytes(content)
    for look in (check_files, partial(find_choice, API_URL)):
        with pytest.raises(UserError, match="Prefect cannot read its settings") as raised:
            look()
        assert raised.value.where == str(tmp_path / name)


def test_what_prefect_keeps_is_in_the_home_unless_the_user_chose_a_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.settings import Settings

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "chosen"))
    home = Home(tmp_path / "home?")
    assert keep_below(home) == {}
    monkeypatch.delenv("PREFECT_HOME")
    monkeypatch.setenv("PREFECT_PROFILES_PATH", str(tmp_path / "none.toml"))
    for name, value in keep_below(home).items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.results.local_storage_path == home.prefect / "storage"
    assert settings.server.memo_store_path == home.prefect / "memo_store.toml"
    for name in DATABASE_URLS:
        monkeypatch.setenv(name, "sqlite+aiosqlite:///elsewhere.db")
        assert not set(DATABASE_URLS) & set(keep_below(home))


@pytest.mark.e2e
def test_variables_of_another_server_do_not_hide_that_of_a_run_or_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREFECT_HOME", raising=False)
    monkeypatch.setenv("PREFECT_SERVER_API_BASE_PATH", "/x")
    with run_server(Home(tmp_path)) as server:
        server.wait()
    monkeypatch.setenv(DATABASE_URLS[1], "nonsense://x")
    with run_server(Home(tmp_path)) as server, pytest.raises(UserError) as raised:
        server.wait()
    assert raised.value.remedies[0] == f"check the environment variable {DATABASE_URLS[1]}"
