"""Variables that are meant for other programs: they change nothing here, or are named."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from regrow.base.foreign_variables import IGNORED, find_refused_variable
from regrow.base.home import Home
from regrow.base.system_errors import explain
from regrow.pipeline.records import list_runs
from tests.conftest import QUICK_RUN
from tests.support.commands import REGROW, own_environment

# Nothing but ASCII can be printed, and neither Python nor the locale may change that.
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
TERMINAL = {"COLUMNS": "7", "LINES": "1", "NO_COLOR": "1", "TERM": "dumb"}
PYTHON = {"PYTHONWARNINGS": "error", "PYTHONHASHSEED": "7", "PYTHONSAFEPATH": "1"}
PLACES = {"TMPDIR": "/nowhere", "XDG_CACHE_HOME": "/proc/nowhere", "MPLCONFIGDIR": "/proc/nowhere"}
CLOCK = {"TZ": "Asia/Kathmandu", "SOURCE_DATE_EPOCH": "0"}
POOLS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
THREADS = dict.fromkeys(POOLS, "abc")
LIBRARIES = {
    "CUDA_VISIBLE_DEVICES": "99",
    "JAX_ENABLE_X64": "nonsense",
    "KERAS_MAX_EPOCHS": "1",
    "KERAS_MAX_STEPS_PER_EPOCH": "1",
    "KERAS_NNX_ENABLED": "1",
    "MATPLOTLIBRC": "/nowhere",
    "MPLBACKEND": "nonsense",
    "MLFLOW_ACTIVE_MODEL_ID": "m-0123456789abcdef0123456789abcdef",
    "MLFLOW_ENABLE_ASYNC_LOGGING": "true",
    "MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING": "true",
    "MLFLOW_EXPERIMENT_ID": "77",
    "MLFLOW_EXPERIMENT_NAME": "another",
    "MLFLOW_REGISTRY_URI": "http://127.0.0.1:9",
    "MLFLOW_SQLALCHEMYSTORE_POOLCLASS": "nonsense",
    "MLFLOW_RUN_CONTEXT": '{"another": "tag"}',
    "MLFLOW_RUN_ID": "0123456789abcdef0123456789abcdef",
    "NLTK_DATA": "/nowhere",
    "PANDAS_FUTURE": "nonsense",
    "PREFECT_RESULTS_DEFAULT_STORAGE_BLOCK": "none/none",
    "TF_USE_LEGACY_KERAS": "1",
}
OF_PREFIXES = ("PANDAS_FUTURE", "MLFLOW_SQLALCHEMYSTORE_POOLCLASS")
EVERYTHING = {
    **ASCII,
    **TERMINAL,
    **PYTHON,
    **PLACES,
    **CLOCK,
    **THREADS,
    **LIBRARIES,
}


def run(
    folder: Path, variables: Mapping[str, str], *arguments: str
) -> subprocess.CompletedProcess[bytes]:
    """In a process that imports the libraries itself, under the variables."""
    return subprocess.run(
        [sys.executable, *REGROW, *arguments],
        env={**own_environment(folder), "HOME": str(folder), **variables},
        cwd=folder,
        capture_output=True,
        timeout=600,
        check=False,
    )


def digests_of(summary: Mapping[str, Any]) -> dict[str, str]:
    return {stage["stage"]: stage["digest"] for stage in summary["stages"]}


@pytest.mark.e2e
def test_a_run_under_foreign_variables_has_the_same_results(trained: Path, tmp_path: Path) -> None:
    done = run(tmp_path, EVERYTHING, *QUICK_RUN)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    record = next(iter(list_runs(Home(trained), "air-quality")))
    expected = {stage: ref.digest for stage, ref in record.stages.items() if stage != "publish"}
    found = digests_of(json.loads(done.stdout))
    assert {stage: found[stage] for stage in expected} == expected


def test_light_commands_print_the_same_words(tmp_path: Path) -> None:
    plain = run(tmp_path, {"COLUMNS": "200"}, "list", "air-quality", "--json")
    odd = run(tmp_path, EVERYTHING, "list", "air-quality", "--json")
    assert (plain.returncode, odd.returncode) == (0, 0), odd.stderr
    assert json.loads(odd.stdout.decode("ascii")) == json.loads(plain.stdout)
    shown = run(tmp_path, EVERYTHING, "list", "air-quality")
    assert (shown.returncode, shown.stderr) == (0, b"")


def test_without_docstrings_commands_work(tmp_path: Path) -> None:
    done = run(tmp_path, {"PYTHONOPTIMIZE": "2"}, "run", "--help")
    assert done.returncode == 0, done.stderr
    assert b"--preset" in done.stdout


@pytest.mark.e2e
def test_a_variable_that_a_library_refuses_is_named_or_not_needed(tmp_path: Path) -> None:
    done = run(tmp_path, {"SOURCE_DATE_EPOCH": "yesterday"}, *QUICK_RUN)
    said = done.stderr.decode()
    assert "Traceback" not in said
    assert done.returncode == 0 or "the environment variable SOURCE_DATE_EPOCH" in said


def test_only_a_library_s_variable_that_an_error_names_or_quotes_is_blamed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("JAX_PLATFORMS", "nonsense")
    monkeypatch.setenv("REGROW_X", "quoted")
    monkeypatch.setenv("TF_X", "1")
    for text in ("Unknown backend: 'nonsense' requested", "set JAX_PLATFORMS to another one"):
        found = find_refused_variable(RuntimeError(text))
        assert found is not None
        assert found.where == "the environment variable JAX_PLATFORMS"
        assert found.remedies == ("correct it, or unset JAX_PLATFORMS",)
    # A name counts more than a value, and a message on some variable may have the value unquoted.
    monkeypatch.setenv("GX_Y", "true")
    monkeypatch.setenv("MLFLOW_POOL", "puddle")
    monkeypatch.setenv("PREFECT_POOL_SIZE", "x")
    for text, name in (
        ("MLFLOW_POOL must be one of 'true' and 'false', not puddle", "MLFLOW_POOL"),
        ("Invalid pool: puddle. Set environment variable pool to empty", "MLFLOW_POOL"),
        ("a first line\nand a pool of 'Puddle'", "MLFLOW_POOL"),
        ("1 error for PoolSettings\npool_size\n  input_value='x'", "PREFECT_POOL_SIZE"),
    ):
        found = find_refused_variable(RuntimeError(text))
        assert found is not None
        assert found.where == f"the environment variable {name}"
        assert str(found.received).startswith(f"{os.environ[name]}: ")
    for text in (
        "this is nonsense",
        "a puddle",
        "not 'quoted'",
        "the size of a pool\nis not 'x'",
        "expected '1'",
        "JAX_PLATFORMS_2",
        "",
    ):
        assert find_refused_variable(RuntimeError(text)) is None
    assert explain(KeyError("a mistake in the code")) is None


def test_variables_are_ignored_in_processes_of_regrow_and_nowhere_else(tmp_path: Path) -> None:
    code = (
        "import os, sys, warnings\n"
        "from regrow.base.foreign_variables import ignore_foreign_variables\n"
        "import regrow; regrow.status\n"
        "before = dict(os.environ)\n"
        "ignore_foreign_variables()\n"
        "warnings.warn('no error')\n"
        "print(sorted(before.keys() - os.environ.keys()))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, **dict.fromkeys((*IGNORED, *OF_PREFIXES), "error")},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == str(sorted((*IGNORED, *OF_PREFIXES)))
    assert "no error" in done.stderr


def test_keras_can_be_imported_where_its_settings_require_flax(tmp_path: Path) -> None:
    (tmp_path / "keras.json").write_text('{"nnx_enabled": true}')
    code = (
        "from regrow.base.foreign_variables import ignore_foreign_variables\n"
        "ignore_foreign_variables()\n"
        "import keras; assert not keras.config.is_nnx_enabled()\n"
    )
    for variables in ({}, {"KERAS_NNX_ENABLED": "1"}):
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "KERAS_HOME": str(tmp_path), **variables},
            check=True,
        )


def test_a_terminal_that_lacks_letters_ends_no_command(tmp_path: Path) -> None:
    done = run(tmp_path, ASCII, "run", "µ")
    assert done.returncode == 2
    assert b"Traceback" not in done.stderr
    assert done.stderr.startswith(b"error: ")
