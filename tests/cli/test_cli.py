"""The command line as a person or a script meets it: processes, exit codes, printed words."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from regrow.cli.output import print_json
from tests.conftest import REPOSITORY, Regrow

SAMPLE = REPOSITORY / "data" / "samples" / "air-quality.csv"
LIGHT = [
    ["--help"],
    ["list"],
    ["status"],
    ["why", "air-quality"],
    ["doctor", "--json"],
    ["log", "air-quality"],
]
HEAVY = (
    "tensorflow",
    "keras",
    "great_expectations",
    "mlflow",
    "nltk",
    "sklearn",
    "prefect",
    "pandas",
)
QUICK = ("run", "air-quality", "--preset", "quick", "--no-prefect", "--json")


def environment(home: Path, **more: str) -> dict[str, str]:
    import os

    kept = {name: value for name, value in os.environ.items() if name != "REGROW_MIRROR"}
    return {**kept, "REGROW_HOME": str(home), **more}


@pytest.mark.parametrize("arguments", LIGHT, ids=" ".join)
def test_light_commands_import_nothing_heavy(arguments: list[str], tmp_path: Path) -> None:
    code = (
        "import sys\nfrom regrow.cli import main\n"
        f"sys.argv = ['regrow', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert end.code in (0, None), end.code\n"
        f"loaded = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "assert not loaded, loaded\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "command", ["list", "run", "status", "why", "log", "predict", "rollback", "doctor"]
)
def test_every_command_has_help_with_an_example(command: str, regrow: Regrow) -> None:
    done = regrow(command, "--help", env={"COLUMNS": "200"})
    assert done.returncode == 0
    assert f"regrow {command}" in done.stdout.partition("Example")[2]


@pytest.mark.parametrize(
    ("over", "received"),
    [
        (["batch_size=[32]", "batch_size=[64]"], "batch_size=[32], batch_size=[64]"),
        (["batch_size=3"], "batch_size=3"),
    ],
    ids=str,
)
def test_a_sweep_is_over_one_list_for_each_setting(
    over: list[str], received: str, regrow: Regrow
) -> None:
    options = [part for one in over for part in ("--over", one)]
    done = regrow("sweep", "stacked-autoencoder", *options, env={"COLUMNS": "200"})
    assert done.returncode == 2
    assert f"received: {received}" in done.stderr


def test_a_second_run_is_all_cached_and_imports_no_tensorflow(trained: Path) -> None:
    code = (
        "import sys\nfrom regrow.cli import main\n"
        f"sys.argv = ['regrow', *{[*QUICK, '--sample']!r}]\n"
        "main_failed = None\ntry:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
        "assert 'mlflow' not in sys.modules and 'great_expectations' not in sys.modules\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=environment(trained),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    stages = json.loads(done.stdout)["stages"]
    assert len(stages) == 6
    assert all(stage["cached"] for stage in stages)


def test_the_sample_is_never_passed_off_as_real(trained: Path, regrow: Regrow) -> None:
    (report,) = (trained / "reports").glob("*.html")
    assert report.name == "air-quality.sample-v1.html"
    assert "sample" in report.read_text().lower()
    status = json.loads(regrow("status", "--json", home=trained).stdout)
    assert status[0]["champion"] is None
    assert status[0]["champion_on_sample"]["version"] == 1
    done = regrow("predict", "air-quality", SAMPLE, home=trained)
    assert done.returncode == 2
    assert "no champion" in done.stderr
    assert "use --sample for the champion of the shipped sample" in done.stderr


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_predict_writes_predictions(
    trained: Path, regrow: Regrow, tmp_path: Path, suffix: str
) -> None:
    import pandas as pd

    out = tmp_path / f"benzene{suffix}"
    done = regrow("predict", "air-quality", SAMPLE, "--sample", "-o", out, home=trained)
    assert done.returncode == 0, done.stderr
    frame = pd.read_csv(out) if suffix == ".csv" else pd.read_parquet(out)
    assert len(frame) == 1500
    assert frame["benzene_ug_m3_predicted"].notna().all()
    assert [path.name for path in tmp_path.iterdir()] == [out.name]


def test_why_names_what_changed(trained: Path, regrow: Regrow, tmp_path: Path) -> None:
    verdicts = json.loads(regrow("why", "air-quality", "--json", home=trained).stdout)
    assert all(verdict["cached"] for verdict in verdicts)
    changed = regrow(
        *("why", "air-quality", "--sample", "--preset", "quick", "--set", "seeds=3", "--json"),
        home=trained,
    )
    by_stage = {verdict["stage"]: verdict for verdict in json.loads(changed.stdout)}
    assert by_stage["clean"]["cached"]
    assert by_stage["train"]["reasons"] == ["setting seeds changed: 1 -> 3"]
    assert by_stage["evaluate"]["reasons"] == ["depends on the new result of train"]


def test_a_changed_file_is_noticed_and_trained_on(
    trained: Path, regrow: Regrow, tmp_path: Path
) -> None:
    home = shutil.copytree(trained, tmp_path / "home")
    changed = tmp_path / "AirQualityUCI.csv"
    lines = SAMPLE.read_bytes().splitlines(keepends=True)
    changed.write_bytes(b"".join(lines[:1401] + lines[-3:]))
    done = regrow(*QUICK, "--source", f"air-quality={changed}", home=home)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert not any(stage["cached"] for stage in summary["stages"])
    assert summary["data_kind"] == "local"
    assert summary["registered_name"] == "air-quality"


def test_rollback_needs_an_earlier_champion(trained: Path, regrow: Regrow) -> None:
    done = regrow("rollback", "air-quality", "--sample", home=trained)
    assert done.returncode == 2
    assert "no other champion" in done.stderr
    assert "Traceback" not in done.stderr


ERRORS: dict[str, tuple[list[str | Path], str]] = {
    "unknown model": (["run", "air-qualty"], "did you mean air-quality?"),
    "unknown preset": (["run", "air-quality", "--preset", "worst"], "best, book, quick"),
    "unknown setting": (["run", "air-quality", "--set", "seed=1"], "did you mean seeds?"),
    "bad value": (["run", "air-quality", "--set", "seeds=0"], "greater than or equal to 1"),
    "no value": (["run", "air-quality", "--set", "seeds"], "NAME=VALUE"),
    "unknown source": (["run", "air-quality", "--source", "water=x.csv"], "air-quality"),
    "no such file": (
        ["run", "air-quality", "--source", "air-quality=nothing.csv", "--no-prefect"],
        "nothing.csv",
    ),
    "sample and source": (
        ["run", "air-quality", "--sample", "--source", "air-quality=x"],
        "cannot be combined",
    ),
    "nothing to predict from": (["predict", "air-quality", "nothing.csv"], "no such file"),
    "unknown kind of output": (["predict", "air-quality", SAMPLE, "-o", "out.xlsx"], ".parquet"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_a_users_mistake_is_one_message_and_exit_code_2(name: str, regrow: Regrow) -> None:
    arguments, said = ERRORS[name]
    done = regrow(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr + done.stdout


def spoil(tmp_path: Path, change: str) -> Path:
    path = tmp_path / "spoiled.csv"
    data = SAMPLE.read_bytes()
    if change == "renamed column":
        data = data.replace(b";RH;", b";Humidity;", 1)
    elif change == "text in a number":
        data = data.replace(b";698;", b";n/a;", 1)
    elif change == "cut short":
        data = data.rstrip(b";\r\n")[:-4]
    elif change == "duplicated hour":
        lines = data.splitlines(keepends=True)
        data = b"".join([*lines[:50], lines[49], *lines[50:]])
    elif change == "empty":
        data = b""
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("renamed column", "line 1"),
        ("text in a number", "line 2"),
        ("cut short", "line 15"),
        ("duplicated hour", "2 of 1,501"),
        ("empty", "empty"),
    ],
)
@pytest.mark.slow
def test_bad_data_stops_the_run_and_harms_nothing(
    change: str, said: str, trained: Path, regrow: Regrow, tmp_path: Path
) -> None:
    home = shutil.copytree(trained, tmp_path / "home")
    before = sorted(path.relative_to(home) for path in (home / "store").rglob("manifest.json"))
    done = regrow(*QUICK, "--source", f"air-quality={spoil(tmp_path, change)}", home=home)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    after = sorted(path.relative_to(home) for path in (home / "store").rglob("manifest.json"))
    assert set(before) <= set(after)
    assert not any("train" in path.parts for path in set(after) - set(before))
    again = json.loads(regrow(*QUICK, "--sample", home=home).stdout)["stages"]
    # All but publishing, which knows that its database has another place in this copy.
    assert all(stage["cached"] for stage in again[:5])


def test_no_network_and_no_mirror_names_every_place_and_way_out(
    regrow: Regrow, tmp_path: Path
) -> None:
    done = regrow(
        *QUICK,
        env={"REGROW_MIRROR": str(tmp_path / "no-mirror"), "HTTPS_PROXY": "http://127.0.0.1:9"},
    )
    assert done.returncode == 2
    assert "no-mirror" in done.stderr
    assert done.stderr.count("archive.ics.uci.edu") >= 2
    for way_out in ("REGROW_MIRROR", "--sample", "--source"):
        assert way_out in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_or_sample_says_that_it_took_the_sample(regrow: Regrow) -> None:
    arguments = [argument for argument in QUICK if argument != "--json"]
    done = regrow(*arguments, "--or-sample", env={"HTTPS_PROXY": "http://127.0.0.1:9"})
    assert done.returncode == 0, done.stderr
    assert "trained on the shipped sample" in done.stdout


def test_json_is_printed_without_nan(capsys: pytest.CaptureFixture[str]) -> None:
    """NaN is no JSON: other languages' readers stop at it."""
    missing = float("nan")
    print_json({"rows": [{"a": missing, "b": 1.5}, (float("-inf"), True)], "c": missing})
    printed = capsys.readouterr().out
    assert "NaN" not in printed
    assert json.loads(printed) == {"rows": [{"a": None, "b": 1.5}, [None, True]], "c": None}


def test_rows_outside_what_training_has_seen_are_predicted_and_counted(
    trained: Path, regrow: Regrow, tmp_path: Path
) -> None:
    header, *lines = SAMPLE.read_text().splitlines()
    temperature = header.split(";").index("T")
    rows = [line.split(";") for line in lines[:20]]
    for row in rows[:3]:
        row[temperature] = "60,5"
    hot = tmp_path / "hot.csv"
    hot.write_text("\n".join([header, *(";".join(row) for row in rows)]) + "\n")
    done = regrow("predict", "air-quality", hot, "--sample", "--json", home=trained)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert len(found["predictions"]) == found["ranges"]["rows"] == 20
    assert found["ranges"]["outside"] == found["ranges"]["columns"]["temperature_c"]["rows"] == 3
    assert "3 of 20 rows are outside" in done.stderr
