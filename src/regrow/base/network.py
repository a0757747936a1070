"""The variables of proxies and certificates that every HTTP library reads, and their mistakes."""

from __future__ import annotations

import importlib.util
import ipaddress
import os
import re
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from regrow.base.errors import UserError
from regrow.base.secrets import hide_secrets

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
EXCEPTIONS = "NO_PROXY"
THIS_MACHINE = ("127.0.0.1", "localhost")
SOCKS = ("socks4", "socks4a", "socks5", "socks5h")
# How some programs write an IPv6 address among the exceptions; httpx expects it without brackets.
BRACKETS = re.compile(r"\[([0-9A-Fa-f:.]+)\]")


def reach_this_machine_directly() -> None:
    """Has this process and its children use no proxy for servers of this machine."""
    given = _list_exceptions(_get(EXCEPTIONS))
    names = [BRACKETS.sub(r"\1", name) if BRACKETS.fullmatch(name) else name for name in given]
    if "*" not in names and any(_get(name) for name in PROXIES):
        names += [name for name in THIS_MACHINE if name not in names]
    if names != given:
        for name in (EXCEPTIONS, EXCEPTIONS.lower()):
            os.environ[name] = ",".join(names)


def check_network() -> None:
    """Makes sure that HTTP libraries can be used with the variables as they are.

    Raises:
        UserError: one of them has a value that every request would fail with.
    """
    if (problem := find_problem()) is not None:
        raise problem


def find_problem() -> UserError | None:
    """What is wrong with a variable of proxies or certificates; None if nothing is."""
    for name in PROXIES:
        for variable in (name.lower(), name):
            if problem := _find_proxy_problem(variable, os.environ.get(variable, "")):
                return problem
    return _find_exceptions_problem() or _find_certificate_problem()


def _get(name: str) -> str:
    return os.environ.get(name.lower()) or os.environ.get(name, "")


def _list_exceptions(value: str) -> list[str]:
    return [name.strip() for name in value.split(",") if name.strip()]


def _find_proxy_problem(variable: str, value: str) -> UserError | None:
    scheme = value.partition("://")[0].lower() if "://" in value else "http"
    if scheme in SOCKS and importlib.util.find_spec("socksio") is None:
        return UserError(
            "a SOCKS proxy requires a package that is not installed",
            where=f"the environment variable {variable}",
            received=hide_secrets(value),
            expected="the package socksio, or the address of an HTTP proxy",
            remedies=["pip install 'httpx[socks]'", f"or unset {variable}"],
        )
    known = scheme in ("http", "https", *SOCKS)
    problem = _find_url_problem(value if "://" in value else f"http://{value}") if value else None
    if not known or problem is not None:
        return UserError(
            "the proxy address is not valid",
            where=f"the environment variable {variable}",
            received=hide_secrets(value) + (f": {problem}" if known else ""),
            expected="an address such as http://proxy.example.org:3128",
            remedies=["correct it", f"or unset {variable}"],
        )
    return None


def _find_exceptions_problem() -> UserError | None:
    value = _get(EXCEPTIONS)
    # Both have the value where `reach_this_machine_directly` has written it.
    variable = EXCEPTIONS if os.environ.get(EXCEPTIONS) == value else EXCEPTIONS.lower()
    names = _list_exceptions(value)
    for name in () if "*" in names else names:
        # As httpx looks at it; a network such as 10.0.0.0/8 or an IPv6 address is no problem there.
        url = name if "://" in name else f"all://*{name}"
        if not _is_address(name) and (problem := _find_url_problem(url)) is not None:
            return UserError(
                "an exception from the proxies is not valid",
                where=f"the environment variable {variable}",
                received=f"{hide_secrets(name)}: {problem}",
                expected="names and addresses with commas between them: localhost,10.0.0.1,::1",
                remedies=["correct it", f"or unset {variable}"],
            )
    return None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.partition("/")[0])
    except ValueError:
        return False
    return True


def _find_url_problem(url: str) -> str | None:
    """What HTTP libraries would say of the address of a proxy or an exception."""
    import httpx

    try:
        _ = urlsplit(url).port  # httpx does not know the largest number of a port
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL) as error:
        return str(error)
    return None


def _find_certificate_problem() -> UserError | None:
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    variable, value, problem = "SSL_CERT_FILE", file or "", None
    if file:
        try:
            ssl.create_default_context(cafile=file)
        except OSError as error:  # SSLError, too
            problem = error.strerror or str(error)
    elif folder and not Path(folder).is_dir():
        variable, value, problem = "SSL_CERT_DIR", folder, "no such folder"
    if problem is None:
        return None
    return UserError(
        "the certificates for encrypted connections cannot be read",
        where=f"the environment variable {variable}",
        received=f"{value}: {problem}",
        expected="certificates in PEM form",
        remedies=["correct it", f"or unset {variable} to use the default certificates"],
    )
