from __future__ import annotations

import dataclasses
import math
import multiprocessing
from pathlib import Path
from typing import Literal

import pytest

from regrow.base.decision import Decision, Hold, HoldKind
from regrow.base.spec import Gate
from regrow.registry.gate import append_decision, decide, read_decisions

GATE = Gate(score="", metric="rmse", margin=0.01, unit="µg/m³")


def judge(new: float, old: float | None, gate: Gate = GATE, champion: int | None = 1) -> Decision:
    return decide(
        gate,
        model="model",
        version=2,
        champion_version=champion,
        challenger={gate.metric: new},
        champion=None if old is None else {gate.metric: old},
        key="key",
    )


def test_the_first_model_is_champion() -> None:
    decision = judge(2.0, None, champion=None)
    assert (decision.action, decision.champion_after) == ("first", 2)


@pytest.mark.parametrize(
    ("new", "old", "action"),
    [
        (0.98, 1.0, "promoted"),
        (0.995, 1.0, "kept"),  # better, but by less than the margin
        (1.0, 1.0, "kept"),
        (1.1, 1.0, "kept"),
        (math.nan, 1.0, "refused"),
        (math.inf, 1.0, "refused"),
        (0.1, math.nan, "held"),
    ],
)
def test_smaller_is_better_by_the_margin(new: float, old: float, action: str) -> None:
    decision = judge(new, old)
    assert decision.action == action
    assert decision.champion_after == (2 if action == "promoted" else 1)
    assert decision.moves_alias == (action == "promoted")


@pytest.mark.parametrize(("new", "action"), [(0.92, "promoted"), (0.9, "kept"), (0.5, "kept")])
def test_larger_can_be_better(new: float, action: str) -> None:
    gate = Gate(score="", metric="accuracy", direction="maximize", margin=0.01)
    assert judge(new, 0.9, gate).action == action


@pytest.mark.parametrize(
    "kind",
    ["incompatible", "drift", "override", "trial", "frozen", "baseline", "approval"],
)
@pytest.mark.parametrize("champion", [None, 1])
def test_a_version_that_is_held_moves_nothing_however_good_it_is(
    kind: HoldKind, champion: int | None
) -> None:
    old = None if champion is None or kind == "incompatible" else {"rmse": 5.0}
    decision = decide(
        GATE,
        model="model",
        version=2,
        champion_version=champion,
        challenger={"rmse": 0.001},
        champion=old,
        holds=[Hold(kind, "of the other inputs")],
    )
    assert (decision.action, decision.hold) == ("held", kind)
    assert (decision.champion_after, decision.moves_alias) == (champion, False)
    assert "of the other inputs" in decision.reason


def test_what_would_not_be_promoted_waits_for_nobody() -> None:
    decision = decide(
        GATE,
        model="model",
        version=2,
        champion_version=1,
        challenger={"rmse": 9.0},
        champion={"rmse": 1.0},
        holds=[Hold("override", "of other data")],
    )
    assert (decision.action, decision.hold) == ("kept", None)


@pytest.mark.parametrize("champion", [None, 1])
@pytest.mark.parametrize(
    ("direction", "minimum", "new", "old"),
    [("minimize", 2.0, 3.0, 5.0), ("maximize", 0.8, 0.7, 0.5)],
)
def test_a_version_below_the_minimum_waits_whatever_it_is_compared_with(
    direction: Literal["minimize", "maximize"],
    minimum: float,
    new: float,
    old: float,
    champion: int | None,
) -> None:
    gate = Gate(score="", metric="figure", direction=direction, minimum=minimum)
    decision = judge(new, old if champion else None, gate, champion)
    assert (decision.action, decision.hold, decision.champion_after) == (
        "held",
        "minimum",
        champion,
    )
    assert f"worse than the minimum, {minimum:g}" in decision.reason
    # At the minimum it is good enough.
    good = judge(minimum, old if champion else None, gate, champion)
    assert good.action == ("promoted" if champion else "first")


def test_a_missing_metric_is_refused() -> None:
    decision = decide(
        GATE, model="m", version=1, champion_version=None, challenger={"mae": 1.0}, champion=None
    )
    assert decision.action == "refused"
    assert decision.champion_after is None


def test_the_log_keeps_order_and_takes_a_key_once(tmp_path: Path) -> None:
    log = tmp_path / "decisions" / "model.jsonl"
    first, second = judge(0.9, 1.0), dataclasses.replace(judge(0.8, 1.0), key="other")
    for decision in (first, second, first):
        append_decision(log, decision)
    assert read_decisions(log) == [first, second]
    assert [path.name for path in log.parent.iterdir()] == ["model.jsonl"]


def test_a_line_that_a_kill_cut_short_spoils_only_itself(tmp_path: Path) -> None:
    log = tmp_path / "model.jsonl"
    append_decision(log, judge(0.9, 1.0))
    with log.open("a") as stream:
        stream.write('{"model": "mod')
    other = dataclasses.replace(judge(0.8, 1.0), key="other")
    append_decision(log, other)
    assert [decision.key for decision in read_decisions(log)] == ["key", "other"]


def _append_many(log: Path, name: str) -> None:
    for number in range(20):
        append_decision(log, dataclasses.replace(judge(0.9, 1.0), key=f"{name}-{number}"))


def test_two_processes_may_append(tmp_path: Path) -> None:
    log = tmp_path / "model.jsonl"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=_append_many, args=(log, name)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert len({decision.key for decision in read_decisions(log)}) == 40
    assert len(log.read_text().splitlines()) == 40
