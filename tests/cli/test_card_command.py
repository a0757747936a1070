"""The command that a model card names works as it is printed."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pandas as pd
import pytest
from typer.main import get_command

from regrow.base.project import get_spec, list_models
from regrow.cli.app import app
from tests.conftest import SAMPLE
from tests.support.commands import Launcher, own_environment

BLOCK = re.compile(r"## How to load\n\n```shell\n(.*?)\n```", re.DOTALL)


def test_the_cards_command_predicts_with_the_champion(
    trained: Path, launcher: Launcher, tmp_path: Path
) -> None:
    shutil.copytree(trained, tmp_path / "home")
    (card,) = (tmp_path / "home" / "store").glob("*/publish/*/card.md")
    found = BLOCK.search(card.read_text(encoding="utf-8"))
    assert found is not None
    words = shlex.split(found[1])
    assert words[:3] == ["regrow", "predict", "air-quality"]
    shutil.copyfile(SAMPLE, tmp_path / "AirQualityUCI.csv")  # the file that it names
    command = ("-m", "regrow.cli", *words[1:])
    done = launcher.run(*command, env=own_environment(tmp_path), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(pd.read_parquet(tmp_path / "predictions.parquet")) > 100


@pytest.mark.parametrize("model", list_models())
def test_every_cards_command_is_understood(model: str) -> None:
    card = get_spec(model).card
    assert card is not None
    name, command, *words = shlex.split(card.command)
    assert name == "regrow"
    found = get_command(app).get_command(None, command)  # type: ignore[attr-defined]
    found.make_context(command, words)
