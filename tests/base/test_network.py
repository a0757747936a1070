"""The variables of proxies: their mistakes are found before an HTTP library fails with them."""

from __future__ import annotations

import httpx
import pytest

from regrow.base.network import PROXIES, find_problem, reach_this_machine_directly

LOCAL = "localhost,127.0.0.1,::1,10.0.0.0/8,.example.org,*.example.org,host:80,http://x"


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*PROXIES, "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        # Set first, so that what a test makes the code set is removed as well.
        for variable in (name, name.lower()):
            monkeypatch.setenv(variable, "")
            monkeypatch.delenv(variable)


@pytest.mark.parametrize("proxy", [None, "http://127.0.0.1:9"])
def test_an_address_in_brackets_is_an_exception_that_httpx_can_use(
    proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "localhost, [::1]")
    if proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy)
    with pytest.raises(httpx.InvalidURL):
        httpx.Client()
    reach_this_machine_directly()
    httpx.Client().close()
    assert find_problem() is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PROXY", "http://proxy:port"),
        ("https_proxy", "http://[::1"),
        ("ALL_PROXY", "http://999.1.1.1"),
        ("HTTP_PROXY", "proxy:99999999"),
        ("HTTP_PROXY", "ftp://proxy"),
        ("NO_PROXY", "localhost,[::1]:80"),
        ("no_proxy", "localhost:all"),
    ],
)
def test_what_no_client_can_be_made_with_is_a_problem_of_the_variable(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    found = find_problem()
    assert found is not None
    assert found.where == f"the environment variable {name}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PROXY", "http://user:p%40ss@proxy.example.org:3128/"),
        ("HTTP_PROXY", "proxy:3128"),
        ("HTTPS_PROXY", "HTTP://[::1]:3128"),
        ("NO_PROXY", LOCAL),
        ("NO_PROXY", "*,localhost:all"),
    ],
)
def test_what_clients_can_be_made_with_is_none(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert find_problem() is None
    httpx.Client().close()
