"""The variables of proxies and certificates that every HTTP library reads, and their mistakes."""

from __future__ import annotations

import importlib.util
import os
import ssl
from pathlib import Path
from urllib.parse import urlsplit

from regrow.base.errors import UserError
from regrow.base.secrets import hide_secrets

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
EXCEPTIONS = "NO_PROXY"
THIS_MACHINE = ("127.0.0.1", "localhost")
SOCKS = ("socks4", "socks4a", "socks5", "socks5h")


def reach_this_machine_directly() -> None:
    """Has this process and its children use no proxy for servers of this machine."""
    if not any(_get(name) for name in PROXIES):
        return
    names = [name.strip() for name in _get(EXCEPTIONS).split(",") if name.strip()]
    if "*" not in names:
        names += [name for name in THIS_MACHINE if name not in names]
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
    return _find_certificate_problem()


def _get(name: str) -> str:
    return os.environ.get(name.lower()) or os.environ.get(name, "")


def _find_proxy_problem(variable: str, value: str) -> UserError | None:
    scheme = urlsplit(value).scheme if "://" in value else "http"
    if scheme in SOCKS and importlib.util.find_spec("socksio") is None:
        return UserError(
            "a SOCKS proxy requires a package that is not installed",
            where=f"the environment variable {variable}",
            received=hide_secrets(value),
            expected="the package socksio, or the address of an HTTP proxy",
            remedies=["pip install 'httpx[socks]'", f"or unset {variable}"],
        )
    if scheme not in ("http", "https", *SOCKS):
        return UserError(
            "the proxy address is not valid",
            where=f"the environment variable {variable}",
            received=hide_secrets(value),
            expected="an address such as http://proxy.example.org:3128",
            remedies=["correct it", f"or unset {variable}"],
        )
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
