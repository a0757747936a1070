"""Mistakes in the environment: one message each, which names the variable."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.test_cli import environment
from tests.support.commands import REGROW

UNREACHABLE = "http://127.0.0.1:9/api"
PROFILE = f'active = "old"\n[profiles.old]\nPREFECT_API_URL = "{UNREACHABLE}"\n'
LEFT_OUT = ("NO_PROXY", "no_proxy", "PREFECT_HOME", "PREFECT_API_URL")
DOCTOR = ("doctor", "--json")
SERVER = "Prefect server (PREFECT_API_URL)"
# Variables, files in the folder, and what the message says.
MISTAKES: dict[str, tuple[Mapping[str, str], Mapping[str, str], list[str]]] = {
    "a profile's server": (
        {"PREFECT_HOME": "."},
        {"profiles.toml": PROFILE},
        ["does not respond", "the Prefect profile 'old'"],
    ),
    "the server of a file .env": (
        {},
        {".env": f"PREFECT_API_URL={UNREACHABLE}\n"},
        ["does not respond", "PREFECT_API_URL in ", ".env"],
    ),
    "a server that is off": ({"PREFECT_API_URL": UNREACHABLE}, {}, ["variable PREFECT_API_URL"]),
    "PREFECT_HOME": (
        {"PREFECT_HOME": "/proc/nowhere"},
        {},
        ["the environment variable PREFECT_HOME", "/proc/nowhere"],
    ),
    "a SOCKS proxy": (
        {"ALL_PROXY": "socks5://127.0.0.1:9"},
        {},
        ["the environment variable ALL_PROXY", "httpx[socks]"],
    ),
    "an odd proxy": (
        {"https_proxy": "ftp://me:secret@127.0.0.1"},
        {},
        ["the environment variable https_proxy", "ftp://[hidden]@127.0.0.1"],
    ),
    "a proxy's port": (
        {"HTTP_PROXY": "http://proxy:port"},
        {},
        ["the environment variable HTTP_PROXY", "http://proxy:port"],
    ),
    "an incomplete proxy": (
        {"http_proxy": "http://[::1"},
        {},
        ["the environment variable http_proxy", "http://[::1"],
    ),
    "an exception from the proxies": (
        {"NO_PROXY": "localhost:all"},
        {},
        ["the environment variable NO_PROXY", "localhost:all"],
    ),
    "a profile that is not TOML": (
        {"PREFECT_HOME": "."},
        {"profiles.toml": "active = \n"},
        ["profiles.toml", "TOML"],
    ),
    "prefect.toml beside a server's address": (
        {"PREFECT_API_URL": UNREACHABLE},
        {"prefect.toml": "[api\n"},
        ["prefect.toml", "TOML"],
    ),
    "certificates": (
        {"SSL_CERT_FILE": "/nowhere.pem"},
        {},
        ["the environment variable SSL_CERT_FILE", "/nowhere.pem"],
    ),
    "KERAS_BACKEND": ({"KERAS_BACKEND": "theano"}, {}, ["KERAS_BACKEND", "theano"]),
    "a folder for MLflow": (
        {"MLFLOW_TRACKING_URI": "mlruns"},
        {},
        ["the environment variable MLFLOW_TRACKING_URI", "mlruns", "sqlite:///"],
    ),
}
# Which no command gets by.
ALWAYS_READ = ("KERAS_BACKEND", "a folder for MLflow")


def run(
    tmp_path: Path, variables: Mapping[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    env = {k: v for k, v in environment(tmp_path / "home").items() if k not in LEFT_OUT}
    return subprocess.run(
        [sys.executable, *REGROW, *arguments],
        env={**env, "HOME": str(tmp_path), **variables},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_message_that_names_the_variable(mistake: str, tmp_path: Path) -> None:
    variables, files, said = MISTAKES[mistake]
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    done = run(tmp_path, variables, "run", "air-quality", "--sample", "--preset", "quick")
    assert done.returncode == 2, done.stderr
    assert done.stderr.count("error:") == 1
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
    for text in said:
        assert text in done.stderr
    if mistake not in ALWAYS_READ:
        doctor = run(tmp_path, variables, "doctor", "--json")
        bad = [check["found"] for check in json.loads(doctor.stdout) if check["level"] == "bad"]
        assert any(said[-1] in found or said[0] in found for found in bad), doctor.stdout


def test_doctor_says_where_the_server_of_a_run_keeps_its_database(tmp_path: Path) -> None:
    chosen = {"PREFECT_HOME": str(tmp_path / "chosen")}
    for variables, place in (({}, tmp_path / "home" / "prefect"), (chosen, tmp_path / "chosen")):
        answer = json.loads(run(tmp_path, variables, *DOCTOR).stdout)
        found = {check["check"]: check["found"] for check in answer}
        assert f"which uses {place}" in found[SERVER]


# Values of keras.json, and what a trained model's next run says of them.
KERAS: dict[str, tuple[Mapping[str, object], list[str]]] = {
    "the defaults": ({"floatx": "float32", "epsilon": 1e-7}, []),
    "a width": ({"floatx": "float64"}, ["Keras's setting floatx changed: float32 -> float64"]),
    "an epsilon": ({"epsilon": 1e-5}, ["Keras's setting epsilon changed: 1e-07 -> 1e-05"]),
}


@pytest.mark.parametrize("case", KERAS)
def test_no_stored_result_is_taken_for_one_of_other_settings_of_keras(
    case: str, trained: Path, tmp_path: Path
) -> None:
    stored, reasons = KERAS[case]
    (tmp_path / "keras.json").write_text(json.dumps(stored))
    variables = {"REGROW_HOME": str(trained), "KERAS_HOME": str(tmp_path)}
    command = ("why", "air-quality", "--sample", "--preset", "quick", "--json")
    verdicts = {one["stage"]: one for one in json.loads(run(tmp_path, variables, *command).stdout)}
    assert verdicts["clean"]["cached"]
    assert verdicts["train"]["reasons"] == reasons
    assert verdicts["train"]["cached"] == (not reasons)


def test_doctor_names_what_keras_json_says(tmp_path: Path) -> None:
    stored = {"floatx": "float64", "epsilon": 1e-5, "backend": "jax"}
    (tmp_path / "keras.json").write_text(json.dumps(stored))
    for variables, backend in (
        ({"KERAS_BACKEND": ""}, "jax"),
        ({"KERAS_BACKEND": "torch"}, "torch"),
    ):
        answer = run(tmp_path, {**variables, "KERAS_HOME": str(tmp_path)}, *DOCTOR).stdout
        found = {check["check"]: check["found"] for check in json.loads(answer)}
        assert f"in use: {backend}, float64, epsilon 1e-05" in found["Keras backends"]


@pytest.mark.e2e
def test_a_proxy_is_not_used_for_the_server_of_a_run(tmp_path: Path) -> None:
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")
    command = ("run", "air-quality", "--sample", "--preset", "quick", "--json")
    for variables in (proxies, {**proxies, "NO_PROXY": "example.org"}):
        done = run(tmp_path, variables, *command)
        assert done.returncode == 0, done.stderr
