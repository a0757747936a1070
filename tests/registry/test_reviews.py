"""Approval, rejection and freezing: a person's decisions, and what the gate does afterwards."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from regrow.base.decision import Decision, Hold
from regrow.base.errors import UserError
from regrow.base.home import Home
from regrow.base.settings import read_environment
from regrow.registry import reviews
from regrow.registry.gate import hold_back, read_decisions
from regrow.registry.logs import claim_log, log_folder
from regrow.registry.lookup import decision_holds, read_standing
from regrow.registry.names import list_champions
from regrow.registry.publication import Champion, publish_release
from regrow.registry.release import Published
from regrow.registry.reviews import approve, freeze, reject, roll_back, unfreeze
from regrow.registry.versions import Registry
from tests.support.registries import (
    aliases_of,
    champion_of,
    judge_by_bias,
    make_release,
    open_registry,
    publish,
)


def publish_held(home: Path, key: str, bias: float) -> Published:
    """Publishes a version that waits for approval if it would be promoted."""

    def judge(version: int, champion: Champion | None) -> Decision:
        decision = judge_by_bias(key, bias)(version, champion)
        return hold_back(decision, [Hold("override", "of other data")])

    return publish_release(open_registry(home), make_release(home, key, bias), judge)


def holds(registry: Registry, published: Published) -> bool:
    """Whether a run would find this publication in the store."""
    return decision_holds(published.decision, registry.tracking_uri, registry.home)


def log_of(registry: Registry) -> list[str]:
    return [decision.action for decision in read_decisions(registry.decisions)]


def test_the_log_keeps_who_decided_as_given(home: Path) -> None:
    registry = open_registry(home)
    publish(home, "a", 2.0)
    publish_held(home, "b", 1.0)
    assert approve(registry, 2, "checked", by="Ann").by == "Ann"
    assert roll_back(registry, why="wrong units", by="Bob").by == "Bob"
    assert [decision.by for decision in read_decisions(registry.decisions)][-2:] == ["Ann", "Bob"]


def test_a_version_that_was_approved_is_champion_and_stays_it(home: Path) -> None:
    registry = open_registry(home)
    publish(home, "a", 2.0)
    held = publish_held(home, "b", 1.0)
    assert (held.decision.action, held.decision.hold) == ("held", "override")
    assert aliases_of(registry) == {"champion": 1, "challenger": 2}
    assert holds(registry, held)

    decision = approve(registry, 2, "measured on last month's readings")
    assert (decision.champion_before, decision.champion_after) == (1, 2)
    assert "last month" in decision.reason
    assert "@" in decision.by
    assert aliases_of(registry) == {"champion": 2}
    # The stored publication is made again, with the person's decision, and then holds.
    assert not holds(registry, held)
    again = publish_held(home, "b", 1.0)
    assert again.decision == decision
    assert holds(registry, again)
    with pytest.raises(UserError, match="does not wait"):
        approve(registry, 2, "once more")
    assert log_of(registry) == ["first", "held", "approved"]


def test_a_version_that_was_overtaken_is_not_approved_by_mistake(home: Path) -> None:
    registry = open_registry(home)
    publish(home, "a", 2.0)
    publish_held(home, "b", 1.5)
    assert publish(home, "c", 1.0).decision.action == "promoted"
    for decide in (approve, reject):
        with pytest.raises(UserError, match="was overtaken by a newer one") as caught:
            decide(registry, 2, "looked at last week")
        assert "regrow rollback model 2" in str(caught.value)
    assert champion_of(registry) == 3
    assert roll_back(registry, 2).champion_after == 2


def test_a_version_that_was_rejected_does_not_come_back(home: Path) -> None:
    registry = open_registry(home)
    publish(home, "a", 2.0)
    held = publish_held(home, "b", 1.0)
    reject(registry, 2, "its sensor was broken")
    assert champion_of(registry) == 1
    assert not holds(registry, held)
    assert publish_held(home, "b", 1.0).decision.action == "rejected"
    publish(home, "c", 1.9)
    # The champion is another now, so the version is judged again, but not promoted.
    assert publish(home, "b", 1.0).decision.action == "kept"
    assert champion_of(registry) == 3


def test_a_hold_that_is_gone_lets_the_gate_decide(home: Path) -> None:
    registry = open_registry(home)
    publish(home, "a", 2.0)
    for _ in range(2):
        assert publish_held(home, "b", 1.0).decision.action == "held"
    assert log_of(registry) == ["first", "held"]
    assert publish(home, "b", 1.0).decision.action == "promoted"
    assert champion_of(registry) == 2


def test_a_frozen_champion_stays_whatever_is_published(home: Path) -> None:
    registry = open_registry(home)
    publish(home, "a", 2.0)
    publish(home, "b", 1.0)
    freeze(registry, 1, "the audit runs until Friday")
    assert champion_of(registry) == 1
    standing = read_standing(registry.tracking_uri, "model", registry.home)
    assert "audit" in (standing.frozen or "")
    better = publish(home, "c", 0.1)
    assert (better.decision.action, better.decision.hold) == ("held", "frozen")
    assert holds(registry, better)
    moves: list[Callable[[], Decision]] = [
        lambda: approve(registry, 3, "it is better"),
        lambda: roll_back(registry, 2),
        lambda: freeze(registry, 2, "again"),
    ]
    for move in moves:
        with pytest.raises(UserError, match="is frozen"):
            move()
    assert champion_of(registry) == 1

    unfreeze(registry, "the audit is over")
    with pytest.raises(UserError, match="is not frozen"):
        unfreeze(registry, "again")
    assert not holds(registry, better)
    assert publish(home, "c", 0.1).decision.action == "promoted"
    assert log_of(registry)[2:] == ["rolled-back", "frozen", "held", "unfrozen", "promoted"]


def test_a_promotion_that_was_killed_does_not_pass_a_freeze(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = open_registry(home)
    publish(home, "a", 2.0)
    with monkeypatch.context() as patch:

        def die(_registry: Registry, alias: str, _version: int) -> None:
            if alias == "champion":
                raise KeyboardInterrupt

        patch.setattr(Registry, "set_alias", die)
        with pytest.raises(KeyboardInterrupt):
            publish(home, "b", 1.0)
    freeze(registry, None, "the audit")
    decision = publish(home, "b", 1.0).decision
    assert (decision.action, decision.hold, champion_of(registry)) == ("held", "frozen", 1)


def test_a_first_version_that_is_held_leaves_the_place_empty(home: Path) -> None:
    registry = open_registry(home)
    assert publish_held(home, "a", 2.0).decision.champion_after is None
    assert champion_of(registry) is None
    with pytest.raises(UserError, match="no champion"):
        freeze(registry, None, "nothing to freeze")
    assert publish(home, "b", 3.0).decision.action == "first"


def test_a_version_whose_file_changed_is_not_approved(home: Path) -> None:
    registry = open_registry(home)
    publish(home, "a", 2.0)
    held = publish_held(home, "b", 1.0)
    registry.model_file(registry.find(held.version)).write_bytes(b"another file")
    with pytest.raises(UserError, match="cannot be used"):
        approve(registry, 2, "looks good")
    assert champion_of(registry) == 1
    assert log_of(registry) == ["first", "held"]


@pytest.mark.parametrize("act", ["approve", "freeze"])
def test_a_review_that_died_is_finished_by_the_next_act(
    act: str,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = open_registry(home)
    publish(home, "a", 2.0)
    publish_held(home, "b", 1.0)

    def die(registry: Registry) -> None:
        if any(reviews.REVIEW in version.tags for version in registry.versions()):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(reviews, "finish_reviews", die)
        review: Callable[[], Decision] = {
            "approve": lambda: approve(registry, 2, "it is better"),
            "freeze": lambda: freeze(registry, None, "the audit"),
        }[act]
        with pytest.raises(KeyboardInterrupt):
            review()
    assert champion_of(registry) == 1
    decision = publish(home, "c", 0.5).decision
    if act == "approve":
        assert log_of(registry) == ["first", "held", "approved", "promoted"]
    else:
        assert log_of(registry) == ["first", "held", "frozen", "held"]
        assert decision.hold == "frozen"


def test_each_tracking_address_has_a_log_of_its_own(home: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    shutil.copy(home / "mlflow.db", other)
    publish(home, "a", 2.0)
    elsewhere = open_registry(home, f"sqlite:///{other}")
    publish(home, "b", 5.0, elsewhere)
    publish(home, "c", 1.0)
    assert log_of(open_registry(home)) == ["first", "promoted"]
    assert log_of(elsewhere) == ["first"]
    refs = {
        uri: list_champions(read_environment({"REGROW_HOME": str(home), **uri_of}), "model")
        for uri, uri_of in {
            "own": {},
            "other": {"MLFLOW_TRACKING_URI": f"sqlite:///{other}"},
            "new": {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"},
        }.items()
    }
    assert {uri: len(found) for uri, found in refs.items()} == {"own": 1, "other": 1, "new": 0}


def test_the_log_of_before_belongs_to_whoever_wrote_it(tmp_path: Path) -> None:
    server = "http://user:secret@127.0.0.1:9"
    served, own = Home(tmp_path / "served"), Home(tmp_path / "own")
    for before in (served, own):
        before.decisions.mkdir(parents=True)
    own.database.touch()
    assert log_folder(served, server) == served.decisions  # no other registry was ever used there
    assert log_folder(own, server) != own.decisions
    assert log_folder(own, f"sqlite:///{own.database}") == own.decisions
    claim_log(served, server)
    served.database.touch()
    assert log_folder(served, "http://127.0.0.1:9/") == served.decisions
    assert log_folder(served, f"sqlite:///{served.database}") == served.decisions / "home"
    assert "secret" not in (served.decisions / "tracking").read_text()
