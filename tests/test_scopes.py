"""Champions by scope: their names, and which there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from regrow.cli.ask import _choose_scope
from regrow.engine.config import decisions_path, list_scopes, registered_name
from regrow.engine.errors import UserError

MODEL = "question-answering"


def decide(home: Path, *names: str) -> None:
    for name in names:
        path = decisions_path(home, name)
        path.parent.mkdir(exist_ok=True)
        path.touch()


def test_names_tell_scope_and_sample() -> None:
    assert registered_name(MODEL, sample=False) == MODEL
    assert registered_name(MODEL, "qa02", sample=False) == f"{MODEL}.qa02"
    assert registered_name(MODEL, "qa02", sample=True) == f"{MODEL}.qa02.sample"
    assert registered_name(MODEL, sample=True) == f"{MODEL}.sample"


def test_scopes_with_a_decision_are_listed(tmp_path: Path) -> None:
    assert list_scopes(tmp_path, MODEL, sample=False) == []
    decide(tmp_path, f"{MODEL}.qa02", f"{MODEL}.qa01.sample", "other-model", f"{MODEL}-2")
    assert list_scopes(tmp_path, MODEL, sample=False) == ["qa02"]
    assert list_scopes(tmp_path, MODEL, sample=True) == ["qa01"]
    decide(tmp_path, MODEL, f"{MODEL}.sample")
    assert list_scopes(tmp_path, MODEL, sample=False) == ["", "qa02"]
    assert list_scopes(tmp_path, MODEL, sample=True) == ["", "qa01"]


def test_the_widest_champion_answers_or_the_only_one(tmp_path: Path) -> None:
    assert _choose_scope(tmp_path, False) == ""  # the registry says what to train
    decide(tmp_path, f"{MODEL}.qa02")
    assert _choose_scope(tmp_path, False) == "qa02"
    decide(tmp_path, f"{MODEL}.qa01")
    with pytest.raises(UserError, match="several champions") as raised:
        _choose_scope(tmp_path, False)
    assert "one of qa01, qa02" in str(raised.value)
    decide(tmp_path, MODEL)
    assert _choose_scope(tmp_path, False) == ""
