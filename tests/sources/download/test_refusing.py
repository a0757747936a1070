"""Answers that are tried again or refused, of a real server that misbehaves as it is told."""

from __future__ import annotations

import hashlib
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from regrow.sources import download as module
from regrow.sources import http
from regrow.sources.download import Expected
from regrow.sources.http import explain_page
from regrow.sources.retries import LocationError, Retries
from tests.support.downloads import (
    CONTENT,
    EXPECTED,
    OTHER,
    QUICK,
    Answer,
    Serve,
    fail,
    get,
)


@pytest.mark.parametrize("status", [503, 500, 429, 408])
def test_passing_trouble_is_tried_again(serve: Serve, part: Path, status: int) -> None:
    server = serve(Answer(status=status), Answer(status=status), Answer())

    get(server.url, part)

    assert len(server.requests) == 3
    assert part.read_bytes() == CONTENT


def test_lasting_trouble_ends_as_transient(serve: Serve, part: Path) -> None:
    server = serve(Answer(status=503))

    error = fail(server.url, part)

    assert len(server.requests) == QUICK.attempts
    assert "503" in error.reason
    assert (error.kind, error.transient) == ("unreachable", True)


@pytest.mark.parametrize("status", [403, 404, 410])
def test_refusals_are_final(serve: Serve, part: Path, status: int) -> None:
    server = serve(Answer(status=status, headers={"Content-Type": "text/html"}))

    error = fail(server.url, part)

    assert len(server.requests) == 1
    assert str(status) in error.reason
    assert not error.transient


def test_refused_connection_is_transient(part: Path) -> None:
    with socket.socket() as bound:  # a port that nobody listens on
        bound.bind(("127.0.0.1", 0))
        error = fail(f"http://127.0.0.1:{bound.getsockname()[1]}/file.bin", part)

    assert "refused" in error.reason.lower()
    assert (error.kind, error.transient) == ("unreachable", True)


def test_unknown_host_is_transient(part: Path) -> None:
    error = fail("http://no-such-host.invalid/file.bin", part)

    assert (error.kind, error.transient) == ("unreachable", True)


def test_silent_server_times_out(serve: Serve, part: Path) -> None:
    release = threading.Event()
    server = serve(Answer(stop_after=1000, hold=release))
    retries = Retries(attempts=2, first_delay_s=0.001, read_timeout_s=0.2)
    try:
        with pytest.raises(LocationError) as caught:
            get(server.url, part, retries=retries)
    finally:
        release.set()

    assert "timed out" in caught.value.reason
    assert caught.value.transient
    assert part.read_bytes() == CONTENT[:2000]  # a thousand from each attempt


@pytest.mark.parametrize(
    "answer",
    [
        Answer(content=b"<!DOCTYPE html><title>Log in</title>"),
        Answer(content=b"\xef\xbb\xbf \n<HTML><body>Proxy</body></HTML>"),
        Answer(content=b'<?xml version="1.0"?>\n<!-- x --><!DOCTYPE html PUBLIC "y"><html/>'),
        Answer(content=CONTENT, headers={"Content-Type": "text/html; charset=utf-8"}),
        Answer(content=CONTENT, headers={"Content-Type": "application/xhtml+xml"}),
    ],
    ids=["doctype", "html", "xhtml", "content-type", "content-type of xhtml"],
)
def test_html_page_is_never_kept(serve: Serve, part: Path, answer: Answer) -> None:
    server = serve(answer)

    error = fail(server.url, part, Expected(hashlib.sha256(answer.content).hexdigest()))

    assert "HTML page" in error.reason
    assert not error.transient
    assert len(server.requests) == 1
    assert list(part.parent.iterdir()) == []


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(content=b'{"error": "quota exceeded"}'), "JSON"),
        (Answer(content=b'[{"message": 1}]'), "JSON"),
        (Answer(content=CONTENT, headers={"Content-Type": "application/json"}), "JSON"),
        (Answer(content=b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'), "XML"),
        (Answer(content=b""), "0 bytes"),
    ],
    ids=["object", "list", "content-type", "xml", "nothing"],
)
def test_a_message_of_the_server_and_nothing_are_no_data(
    serve: Serve, part: Path, answer: Answer, reason: str
) -> None:
    server = serve(answer)

    error = fail(server.url, part, Expected("0" * 64))

    assert reason in error.reason
    assert error.kind == "refused"
    assert list(part.parent.iterdir()) == []


@pytest.mark.parametrize("size", [len(OTHER), 1000, len(OTHER) * 2])
def test_other_file_served_whole_twice_is_a_change(serve: Serve, part: Path, size: int) -> None:
    other = (OTHER + OTHER)[:size]
    server = serve(Answer(content=other))

    error = fail(server.url, part)

    assert error.kind == "changed"
    assert "changed upstream" in error.reason
    assert hashlib.sha256(other).hexdigest() in error.reason
    assert EXPECTED.sha256 in error.reason
    assert len(server.requests) == 2
    assert not error.transient
    assert list(part.parent.iterdir()) == []


def test_change_is_told_after_a_part_of_the_old_file(serve: Serve, part: Path) -> None:
    part.write_bytes(CONTENT[:1000])
    server = serve(Answer(content=OTHER))

    error = fail(server.url, part)

    assert error.kind == "changed"
    assert hashlib.sha256(OTHER).hexdigest() in error.reason
    assert len(server.requests) == 3


def test_bytes_that_vary_are_corrupt(serve: Serve, part: Path) -> None:
    server = serve(Answer(content=OTHER), Answer(content=CONTENT[:-1] + b"?"))

    error = fail(server.url, part)

    assert error.kind == "corrupt"
    assert EXPECTED.sha256 in error.reason


def test_second_look_may_be_right(serve: Serve, part: Path) -> None:
    server = serve(Answer(content=OTHER), Answer())

    get(server.url, part)

    assert part.read_bytes() == CONTENT


def test_always_cut_short_is_corrupt_with_both_digests(serve: Serve, part: Path) -> None:
    server = serve(Answer(stop_after=100_000, ranges=False))

    error = fail(server.url, part)

    assert (error.kind, error.transient) == ("corrupt", True)
    assert "100000 of 300000 bytes" in error.reason
    assert hashlib.sha256(CONTENT[:100_000]).hexdigest() in error.reason
    assert EXPECTED.sha256 in error.reason
    assert len(server.requests) == QUICK.attempts
    assert part.read_bytes() == CONTENT[:100_000]  # for the next time


def test_cut_without_any_length_is_noticed(serve: Serve, part: Path) -> None:
    server = serve(Answer(length=False, stop_after=100_000), Answer(length=False))

    get(server.url, part)

    assert part.read_bytes() == CONTENT
    assert server.requests[1]["range"] == "bytes=100000-"


@pytest.mark.parametrize("length", [True, False])
def test_no_more_is_read_than_allowed(
    serve: Serve, part: Path, length: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "SLACK_BYTES", 1000)
    release = threading.Event()
    # After the first bytes the server would wait: the client must not wait with it.
    endless = Answer(content=bytes(10_000_000), length=length, stop_after=500_000, hold=release)
    server = serve(endless)
    try:
        error = fail(server.url, part)
    finally:
        release.set()

    assert error.kind == "changed"
    assert "changed upstream" in error.reason
    assert list(part.parent.iterdir()) == []


def test_redirect_is_followed(serve: Serve, part: Path) -> None:
    target = serve(Answer())
    server = serve(Answer(status=302, headers={"Location": target.url}, content=b""))

    get(server.url, part)

    assert part.read_bytes() == CONTENT


def test_redirects_in_a_circle(serve: Serve, part: Path) -> None:
    server = serve(Answer(status=302, headers={"Location": "/again"}, content=b""))

    assert "redirects" in fail(server.url, part).reason
    assert len(server.requests) == http.MAX_REDIRECTS + 1


def test_redirect_from_https_to_http_is_not_followed(
    serve: Serve,
    part: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path_factory.mktemp("tls")
    make_certificate(folder)
    plain = serve(Answer())
    secure = serve(Answer(status=302, headers={"Location": plain.url}, content=b""))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    secure.http.socket = context.wrap_socket(secure.http.socket, server_side=True)
    url = secure.url.replace("http://", "https://")

    error = fail(url, part)  # nobody vouches for the certificate yet
    assert "certificate" in error.reason
    assert not error.transient

    monkeypatch.setenv("SSL_CERT_FILE", str(folder / "cert.pem"))
    assert "from https to http" in fail(url, part).reason
    assert plain.requests == []


def make_certificate(folder: Path) -> None:
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    from ipaddress import ip_address

    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert.pem").write_bytes(certificate.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def test_waits_grow_up_to_a_bound_and_follow_the_server() -> None:
    retries = Retries(first_delay_s=1, max_delay_s=20)

    waits = [retries.delay_s(failures) for failures in range(1, 4)]
    for wait, most in zip(waits, (1, 2, 4), strict=True):
        assert most / 2 <= wait <= most
    assert retries.delay_s(10) == 20
    assert retries.delay_s(1, asked_s=7) == 7
    assert retries.delay_s(1, asked_s=3600) == 20


@pytest.mark.parametrize(
    "head", [b"<!DOCTYPE lewis SYSTEM", b'<?xml version="1.0"?><rows/>', b"<errorbars>"]
)
def test_documents_in_sgml_and_xml_may_be_data(head: bytes) -> None:
    assert explain_page(head, "/all") is None
    assert explain_page(b"<errors>", "/all.xml") is None
