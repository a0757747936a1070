"""Settings from presets, `.env`, the environment, files and options: their order and origin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from regrow.base.errors import UserError
from regrow.base.project import get_spec
from regrow.pipeline.request import find_origins, make_request
from regrow.pipeline.settings_layers import Layer, read_settings_file
from tests.conftest import Regrow

SPEC = get_spec("air-quality")
PREFIX = "REGROW_SET_AIR_QUALITY__"
EPOCHS = "variants.all-sensors.epochs"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, in which a `.env` is looked for."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_stronger_origin_wins(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / ".env").write_text(
        f"{PREFIX}SEEDS=2\n{PREFIX}TEST_SHARE=0.2\n{PREFIX}DETERMINISTIC=false\n"
        "REGROW_SET_OTHER__SEEDS=9\n"
    )
    monkeypatch.setenv(f"{PREFIX}SEEDS", "3")
    monkeypatch.setenv(f"{PREFIX}VARIANTS", '{"all-sensors": {"epochs": 7}}')
    file = Layer("settings.toml", {"seeds": 4, "recipe": "best"})
    option = Layer("--set", {"seeds": 6})
    found = find_origins(SPEC, "quick", [file, option])
    assert found["seeds"] == (6, "--set")
    assert found["recipe"] == ("best", "settings.toml")
    assert found[EPOCHS] == (7, "environment")
    assert found["test_share"] == (0.2, ".env")
    assert found["deterministic"] == (False, ".env")
    assert found["variants.all-sensors.min_steps"] == (500, "preset quick")
    assert found["validation_share"] == (0.15, "default")
    assert find_origins(SPEC, "quick", [file])["seeds"] == (4, "settings.toml")
    assert find_origins(SPEC, "quick", [])["seeds"] == (3, "environment")
    monkeypatch.delenv(f"{PREFIX}SEEDS")
    assert find_origins(SPEC, "quick", [])["seeds"] == (2, ".env")
    (folder / ".env").unlink()
    assert find_origins(SPEC, "quick", [])["seeds"] == (1, "preset quick")


def test_a_run_has_the_settings_that_are_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}SEEDS", "3")
    request = make_request(SPEC, overrides={"test_share": 0.4})
    listed = find_origins(SPEC, None, [Layer("--set", {"test_share": 0.4})])
    assert (request.config["seeds"], request.config["test_share"]) == (3, 0.4)
    assert (listed["seeds"][0], listed["test_share"][0]) == (3, 0.4)
    # A form that states every setting is complete: nothing of this machine gets between.
    assert make_request(SPEC, config=request.config | {"seeds": 2}).config["seeds"] == 2
    assert make_request(get_spec("stacked-autoencoder")).config["seeds"] == 5


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("SEDS", "3", "did you mean seeds"),
        ("SEEDS", "many", "seeds: Input should be a valid integer"),
        ("SEEDS", "0", "greater than or equal to 1"),
        ("VARIANTS", "{all", "JSON for a list or a mapping"),
    ],
)
def test_a_wrong_variable_is_one_clear_error(
    name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{PREFIX}{name}", value)
    with pytest.raises(UserError) as raised:
        make_request(SPEC)
    assert said in str(raised.value)


def test_files_are_toml_or_yaml(folder: Path) -> None:
    (folder / "a.toml").write_text("seeds = 2\n[variants.all-sensors]\nepochs = 9\n")
    (folder / "a.yaml").write_text("seeds: 2\nvariants: {all-sensors: {epochs: 9}}\n")
    (folder / "empty.yml").write_text("# nothing\n")
    expected = {"seeds": 2, "variants": {"all-sensors": {"epochs": 9}}}
    assert read_settings_file(folder / "a.toml") == expected
    assert read_settings_file(folder / "a.yaml") == expected
    assert read_settings_file(folder / "empty.yml") == {}


WRONG: dict[str, tuple[bytes | None, str]] = {
    "none.toml": (None, "No such file"),
    "a.json": (b"{}", "ends in .toml, .yaml or .yml"),
    "a.toml": (b"seeds = = 2", "line 1"),
    "a.yaml": (b"seeds: [1", "line 1"),
    "list.yaml": (b"- 1\n- 2", "received: list"),
    "number.yaml": (b"1: 2", "settings by name"),
    "latin.toml": (b"a = '\xe9'", "not UTF-8"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_cannot_be_used_is_refused(name: str, folder: Path) -> None:
    content, said = WRONG[name]
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(UserError, match="the settings file is not valid") as raised:
        read_settings_file(folder / name)
    assert said in str(raised.value)
    assert name in str(raised.value)


def test_the_command_lists_values_with_their_origin(folder: Path, regrow: Regrow) -> None:
    (folder / "settings.toml").write_text("seeds = 2\n")
    options = ("--config", "settings.toml", "--set", f"{EPOCHS}=4", "--json")
    variables = {f"{PREFIX}TEST_SHARE": "0.25"}
    done = regrow("list", "air-quality", *options, env=variables)
    assert done.returncode == 0, done.stderr
    fields: list[dict[str, Any]] = json.loads(done.stdout)["settings"]
    found = {field["setting"]: (field["value"], field["from"]) for field in fields}
    assert found["seeds"] == (2, "settings.toml")
    assert found[EPOCHS] == (4, "--set")
    assert found["test_share"] == (0.25, "environment")
    shown = regrow("list", "air-quality", env={**variables, "COLUMNS": "160"})
    assert "environment" in shown.stdout
    wrong = regrow("run", "air-quality", "--config", "nothing.toml")
    assert wrong.returncode == 2
    assert "nothing.toml" in wrong.stderr
    assert "Traceback" not in wrong.stderr
