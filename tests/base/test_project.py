"""Which models there are in a project, and what a person is told where one is wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from regrow.base.errors import UserError
from regrow.base.project import get_spec, list_models, list_packages, load_specs
from regrow.base.project_file import find_project, shipped_project
from regrow.base.settings import read_environment

GOOD = """
import regrow
class Good(regrow.Model):
    data = regrow.csv("good.csv")
    table = regrow.columns(target="y", numbers=["x"])
"""


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A project without models, which is the working directory's."""
    root = tmp_path / "project"
    (root / "below").mkdir(parents=True)
    (root / "regrow.toml").write_text("")
    monkeypatch.chdir(root / "below")
    monkeypatch.delenv("REGROW_HOME", raising=False)
    before, path = {*sys.modules}, [*sys.path]
    yield root
    sys.path[:] = path
    for name in {*sys.modules} - before:
        if not name.startswith("regrow"):
            del sys.modules[name]


def declare(root: Path, toml: str = "", **models: str) -> None:
    """Writes packages of models, and a regrow.toml that lists them."""
    for name, text in models.items():
        (root / name).mkdir()
        (root / name / "model.py").write_text(text)
    names = ", ".join(f'"{name}"' for name in models)
    (root / "regrow.toml").write_text(f"models = [{names}]\n{toml}")


def test_a_project_is_found_above_the_working_directory(root: Path) -> None:
    declare(root, good=GOOD)
    assert find_project() == root
    assert list_models() == ["good"]
    assert get_spec("good").sources == ("good",)
    assert list_packages()["good"] == root / "good"
    assert read_environment().home.path == root / ".regrow"


def test_the_models_of_regrow_run_anywhere_and_are_listed_on_request(root: Path) -> None:
    assert list_models() == []
    assert "air-quality" in list_models(shipped=True)
    assert get_spec("air-quality").name == "air-quality"


def test_another_project_is_named_by_the_environment(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    monkeypatch.setenv("REGROW_PROJECT", str(other))
    with pytest.raises(UserError, match="no project found"):
        find_project()
    (other / "regrow.toml").write_text("")
    assert find_project() == other
    monkeypatch.delenv("REGROW_PROJECT")
    monkeypatch.chdir(tmp_path)
    assert find_project() == shipped_project()


def test_one_broken_model_leaves_the_others_as_they_are(root: Path) -> None:
    declare(root, good=GOOD, broken="import nothing_of_that_name\n", empty="")
    specs, errors = load_specs(list_models())
    assert [spec.name for spec in specs] == ["good"]
    assert sorted(errors) == ["broken", "empty"]
    assert "ModuleNotFoundError: No module named 'nothing_of_that_name'" in str(errors["broken"])
    assert f"{root / 'broken' / 'model.py'}:1" in str(errors["broken"])
    assert "0 subclasses of regrow.Model" in str(errors["empty"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("models = 3", "models: Input should be a valid tuple"),
        ("model = []", "model: Extra inputs are not permitted"),
        ("models = [", "not valid TOML"),
    ],
)
def test_a_wrong_project_file_is_explained(root: Path, text: str, expected: str) -> None:
    (root / "regrow.toml").write_text(text)
    with pytest.raises(UserError, match="the project file is not valid") as caught:
        list_models()
    assert expected in str(caught.value)
    assert str(root / "regrow.toml") in str(caught.value)


WRONG = {
    "no data": (GOOD.replace('data = regrow.csv("good.csv")', "pass"), "wrong.model.Good.data"),
    "no table": (GOOD.replace("table =", "tables ="), "regrow.columns"),
    "no input": (GOOD.replace('numbers=["x"]', ""), "no input column"),
    "a column twice": (GOOD.replace('["x"]', '["x", "y"]'), "y more than once"),
    "a task that is none": (GOOD.replace('target="y"', 'target="y", task="guess"'), "task 'guess'"),
    "other settings": (GOOD + "    Config = dict\n", "a subclass of regrow.TrainingConfig"),
    "a split that cannot be": (
        GOOD + "    split = regrow.Split(by='time')\n",
        "a column for time",
    ),
    "shares that cannot be": (GOOD + "    split = regrow.Split(test=1.5)\n", "between 0 and 1"),
    "two models": (GOOD + GOOD.replace("Good", "Better"), "2 subclasses of regrow.Model"),
    "an error": (GOOD + "    x = 1 / 0\n", "ZeroDivisionError"),
    "no Python": ("class", "SyntaxError"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_model_is_explained(root: Path, name: str) -> None:
    text, expected = WRONG[name]
    declare(root, wrong=text)
    with pytest.raises(UserError) as caught:
        get_spec("wrong")
    assert expected in str(caught.value)


def test_a_name_belongs_to_one_model(root: Path) -> None:
    declare(root, air_quality=GOOD)
    with pytest.raises(UserError, match="two models are named 'air-quality'"):
        get_spec("air-quality")


def test_presets_are_read_from_the_file_beside_the_model(root: Path) -> None:
    declare(root, good=GOOD)
    (root / "good" / "settings.toml").write_text("[quick]\nepochs = 3\n")
    assert get_spec("good").presets == {"default": {}, "quick": {"epochs": 3}}
    (root / "good" / "settings.toml").write_text("[quick]\nepoch = 3\n")
    with pytest.raises(UserError, match=r"quick\.epoch"):
        get_spec("good")
