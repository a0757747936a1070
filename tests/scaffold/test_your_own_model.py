"""docs/your-own-model.md, word by word, in a folder of its own, and its deployments on a server."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from regrow.base.errors import UserError
from regrow.scaffold.new import KINDS, Template
from tests.conftest import REPOSITORY
from tests.support.commands import REGROW, Launcher, own_environment
from tests.support.wheels import unpack_wheel

DOC = REPOSITORY / "docs" / "your-own-model.md"
WALK = re.compile(r"<!-- walk -->\n```shell\n(.*?)```", re.DOTALL)

pytestmark = pytest.mark.e2e


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder, in which nothing of this checkout is found by looking upwards."""
    folder = tmp_path / "project"
    folder.mkdir()
    return folder


def shell(command: str, folder: Path, environment: Mapping[str, str]) -> str:
    """Runs a line of shell in which `regrow` is this checkout's; returns what it printed."""
    done = subprocess.run(
        ["bash", "-ec", command],
        cwd=folder,
        env={**environment, "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Without a home: results are kept in the project."""
    values = own_environment(tmp_path)
    values.pop("REGROW_HOME", None)
    return values


def test_the_walk_of_the_page_with_the_wheel(
    folder: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "wheel").mkdir()
    environment["PYTHONPATH"] = str(site := unpack_wheel(tmp_path / "wheel"))
    where = shell("python -c 'import regrow; print(regrow.__file__)'", folder, environment)
    assert Path(where.strip()).is_relative_to(site)
    lines = [line for block in WALK.findall(DOC.read_text()) for line in block.splitlines()]
    assert len(lines) >= 7
    printed = {line: shell(line, folder, environment) for line in lines}
    assert (folder / "predictions.csv").read_text().count("\n") == 601
    model = (folder / "churn" / "model.py").read_text().splitlines()
    assert len([line for line in model if line.strip()]) <= 80
    # The shorter file is another version of the data, on which a second version was trained.
    log = printed["regrow log churn"]
    assert "version 1 is the first champion" in log
    assert "version 2" in log
    again = shell("regrow run churn", folder, environment)
    assert again.count("cached") == 6
    # The project's own test passes as well.
    shell(f"{sys.executable} -m pytest -q tests", folder, environment)


@pytest.mark.parametrize(
    ("name", "template"), [("opinions", "text"), ("curve", "stages"), ("shapes", "pictures")]
)
def test_the_other_templates_run_and_train_again_with_other_data(
    folder: Path, environment: dict[str, str], launcher: Launcher, name: str, template: Template
) -> None:
    def regrow(*arguments: str) -> str:
        done = launcher.run(*REGROW, *arguments, env=environment, cwd=folder)
        assert done.returncode == 0, done.stderr
        return done.stdout

    kind = KINDS[template]
    data = folder / "data" / f"{name}{kind.suffix}"
    regrow("new", name, "--template", template)
    for tool in (
        "ruff check .",
        "ruff format --check --line-length 100 .",
        f"mypy --strict {name}",
    ):
        shell(tool, folder, environment)
    run = ("run", name, "--preset", "quick", "--no-prefect")
    regrow(*run)
    kind.write_example(data, seed=1)
    regrow(*run)
    assert "version 2" in regrow("log", name)
    if template == "pictures":
        with zipfile.ZipFile(data) as archive:
            archive.extract("circle/000.png", folder)
        regrow("predict", name, "circle/000.png", "-o", "found.csv")
        assert (folder / "found.csv").read_text().splitlines()[1].startswith("000.png,")
    else:
        regrow("predict", name, str(data), "-o", "found.csv")
        assert len((folder / "found.csv").read_text().splitlines()) == 601


def test_mistakes_are_told_before_anything_is_trained(
    folder: Path, environment: dict[str, str], launcher: Launcher
) -> None:
    launcher.run(*REGROW, "new", "churn", env=environment, cwd=folder)
    path = folder / "churn" / "model.py"
    good = path.read_text()
    for old, new, expected in (
        ("inputs.head(x)", "x", "the network does not match the table"),
        ('"monthly_fee"', '"fee"', "columns are missing from the table"),
        ('"age", ', '"plan", "age", ', "plan more than once"),
        ("keras.layers.Dense(units", "keras.layers.Dens(units", "has no attribute 'Dens'"),
        ("data/churn.csv", "data/none.csv", "no location could be checked for churn"),
    ):
        assert old in good
        path.write_text(good.replace(old, new))
        done = launcher.run(*REGROW, "check", "churn", env=environment, cwd=folder)
        assert done.returncode == 2, (old, done.stdout)
        assert expected in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
    path.write_text(good)
    done = launcher.run(*REGROW, "check", "churn", env=environment, cwd=folder)
    assert done.returncode == 0, done.stderr


def test_a_project_is_deployed_and_its_trigger_reads_its_source(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from prefect.client.orchestration import get_client
    from prefect.settings import get_current_settings

    from regrow.prefect.deploy import deploy
    from regrow.scaffold.new import make_model
    from tests.support.servers import use_server

    make_model(folder, "churn")
    monkeypatch.chdir(folder)
    monkeypatch.delenv("REGROW_HOME", raising=False)
    with use_server(tmp_path / "prefect"):
        monkeypatch.setenv("PREFECT_API_URL", str(get_current_settings().api.url))
        done = deploy()
        assert [line for line in done if line.startswith("deployment")] == [
            "deployment regrow.prefect.models.churn daily (deployments.yaml)",
            "deployment regrow.prefect.refresh.refresh hourly (deployments.yaml)",
        ]
        with get_client(sync_client=True) as client:
            found = client.read_deployment_by_name("churn/daily")
            assert found.schedules[0].schedule.cron == "0 4 * * *"  # type: ignore[union-attr]
            assert found.job_variables
            assert found.job_variables["env"]["REGROW_PROJECT"] == str(folder)
            assert found.parameter_openapi_schema
            properties = found.parameter_openapi_schema["definitions"]["Config"]["properties"]
            assert "hidden_units" in properties
    monkeypatch.chdir(folder.parent)
    with pytest.raises(UserError, match="no Prefect server"):
        deploy()
