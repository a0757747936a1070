"""Champions by scope: their names, and which there are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from regrow.base.errors import UserError
from regrow.base.home import Home
from regrow.base.settings import Settings, read_environment
from regrow.cli.ask import _choose_scope
from regrow.registry.names import ChampionRef, list_champions

MODEL = "question-answering"


def settings_of(home: Home, **environment: str) -> Settings:
    return read_environment({"REGROW_HOME": str(home), **environment})


def decide(home: Home, *names: str) -> None:
    for name in names:
        path = home.decisions / f"{name}.jsonl"
        path.parent.mkdir(exist_ok=True)
        path.touch()


@pytest.mark.parametrize(
    ("ref", "name"),
    [
        (ChampionRef(MODEL), MODEL),
        (ChampionRef(MODEL, "qa02"), f"{MODEL}.qa02"),
        (ChampionRef(MODEL, "qa02", sample=True), f"{MODEL}.qa02.sample"),
        (ChampionRef(MODEL, sample=True), f"{MODEL}.sample"),
        (ChampionRef(MODEL, "mobilenet.small"), f"{MODEL}.mobilenet.small"),
    ],
)
def test_a_registered_name_contains_scope_and_sample(ref: ChampionRef, name: str) -> None:
    assert ref.registered == name
    assert ChampionRef.parse(name) == ref
    assert ChampionRef.parse(name, 3) == replace(ref, version=3)


def test_champions_with_a_decision_are_listed(tmp_path: Path) -> None:
    home = Home(tmp_path)
    assert list_champions(settings_of(home), MODEL) == []
    decide(home, f"{MODEL}.qa02", f"{MODEL}.qa01.sample", "other-model", f"{MODEL}-2")
    found = [ChampionRef(MODEL, "qa02"), ChampionRef(MODEL, "qa01", sample=True)]
    assert list_champions(settings_of(home), MODEL) == found
    decide(home, MODEL, f"{MODEL}.sample")
    assert list_champions(settings_of(home), MODEL) == [
        ChampionRef(MODEL),
        found[0],
        ChampionRef(MODEL, sample=True),
        found[1],
    ]


def test_the_widest_champion_answers_or_the_only_one(tmp_path: Path) -> None:
    assert (
        _choose_scope(settings_of(Home(tmp_path)), False) == ""
    )  # the registry says what to train
    decide(Home(tmp_path), f"{MODEL}.qa02")
    assert _choose_scope(settings_of(Home(tmp_path)), False) == "qa02"
    decide(Home(tmp_path), f"{MODEL}.qa01")
    with pytest.raises(UserError, match="several champions") as raised:
        _choose_scope(settings_of(Home(tmp_path)), False)
    assert "one of qa01, qa02" in str(raised.value)
    decide(Home(tmp_path), MODEL)
    assert _choose_scope(settings_of(Home(tmp_path)), False) == ""
