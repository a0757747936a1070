"""Publishing a release: one version for each key, and the gate's decision on the champion.

The process may be killed at any moment, so the order matters: the run and its model, then the
version (which marks them as complete), then the decision as a tag of the version, then the alias,
then the mark that the decision was carried out, then the log. Publishing again under the same key
continues where it stopped.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from regrow.base.decision import Decision, Hold, parse_decision
from regrow.base.errors import DataError, Unreachable
from regrow.base.locks import exclusive
from regrow.registry.gate import find_veto, hold_back, now, read_decisions
from regrow.registry.names import CHAMPION, ChampionRef
from regrow.registry.release import Published, Release
from regrow.registry.reviews import check_answers, finish_reviews
from regrow.registry.versions import CARRIED_OUT, CHALLENGER, DECISION, KEY, Registry

# Between a release's key and the time, in the keys of further decisions on the same version.
AGAIN = "@"


@dataclass(frozen=True)
class Champion:
    """The present champion, as a challenger is compared with it.

    Attributes:
        model: the Keras model; None if its file is refused.
        trouble: why it is refused.
        recorded: its figure when it was judged itself.
    """

    version: int
    model: Any | None
    trouble: str | None
    recorded: float | None


Judge = Callable[[int, Champion | None], Decision]
"""Called as `judge(version, champion)`."""


def publish_release(registry: Registry, release: Release, judge: Judge) -> Published:
    """Registers a release unless its key is registered, and lets `judge` decide on the champion."""
    with exclusive(registry.lock):
        finish_reviews(registry)
        version = next((v for v in registry.versions() if v.tags.get(KEY) == release.key), None)
        if version is None:
            registry.remove_runs(release.key)  # a killed attempt left a run without a version
            version = registry.register(release)
            registry.set_alias(CHALLENGER, int(version.version))
        decision = _decide(registry, version, judge)
        registry.log_decision(decision)
    url = registry.run_url(version.run_id)
    return Published(int(version.version), version.run_id, url, decision)


def decision_on(version: Any) -> Decision | None:
    """The decision that was made when a version was published; None if there is none yet."""
    found = version.tags.get(DECISION)
    return parse_decision(json.loads(found)) if found else None


def _decide(registry: Registry, version: Any, judge: Judge) -> Decision:
    """Makes the decision and carries it out, or continues with one that a kill interrupted.

    A decision that was carried out holds as long as the champion is the one that it left; otherwise
    the version is judged again, now against the present champion. So is a version that is held, as
    the reason may be gone. Before a version becomes champion it answers its example, out of the
    registry.

    Raises:
        UserError: it does not answer as it did when it was trained; the champion stays.
    """
    number = int(version.version)
    version = registry.find(number)  # with the tags that it has now
    decision = decision_on(version)
    carried_out = decision is not None and _is_carried_out(decision, version)
    champion = registry.champion()
    present = int(champion.version) if champion else None
    # A person's decision came between a kill and now.
    overtaken = (
        decision is not None
        and not carried_out
        and decision.moves_alias
        and present != number
        and (decision.champion_before != present or registry.frozen() is not None)
    )
    if decision is None or overtaken:
        decision = _judge(registry, number, judge)
        registry.set_tag(number, DECISION, json.dumps(asdict(decision)))
    elif carried_out and (decision.champion_after != present or decision.action == "held"):
        again = _judge_again(registry, number, present, judge, decision)
        if present == decision.champion_after and (
            replace(again, key=decision.key, at=decision.at) == decision
        ):
            return decision
        decision, carried_out = again, False
        registry.set_tag(number, DECISION, json.dumps(asdict(decision)))
    if not carried_out:
        if decision.moves_alias:
            check_answers(registry, version)
            registry.set_alias(CHAMPION, number)
            registry.end_challenge(number)
        registry.set_tag(number, CARRIED_OUT, decision.key)
    return decision


def _is_carried_out(decision: Decision, version: Any) -> bool:
    """Whether this decision was carried out, and not an earlier one on the same version."""
    marked = version.tags.get(CARRIED_OUT)
    return marked is not None and (marked == decision.key or AGAIN not in decision.key)


def _judge_again(
    registry: Registry, number: int, present: int | None, judge: Judge, before: Decision
) -> Decision:
    """Judges a version again, unless a person decided against it."""
    key = f"{before.key.partition(AGAIN)[0]}{AGAIN}{now()}"
    veto = find_veto(read_decisions(registry.decisions), number)
    if present is not None and veto is not None:
        done = "was rolled back" if veto.action == "rolled-back" else "was rejected"
        return replace(
            before,
            action="kept",
            champion_before=present,
            champion_after=present,
            champion=None,
            reason=f"champion {present} stays: version {number} {done}",
            key=key,
            at=now(),
            hold=None,
            by="",
        )
    return replace(_judge(registry, number, judge), key=key)


def _judge(registry: Registry, number: int, judge: Judge) -> Decision:
    decision = judge(number, _read_champion(registry))
    frozen = registry.frozen() if decision.moves_alias else None
    return hold_back(decision, [Hold("frozen", f"the champion is frozen: {frozen}")] * bool(frozen))


def _read_champion(registry: Registry) -> Champion | None:
    """The champion with its model.

    Raises:
        Unreachable: the model cannot be read; the challenger must not profit from that.
    """
    champion = registry.champion()
    if champion is None:
        return None
    number, decided = int(champion.version), decision_on(champion)
    model, trouble = None, None
    try:
        model = registry.load(number)
    except DataError as error:
        trouble = error.what
    except Exception as error:  # MLflow's stores fail in many ways
        raise Unreachable(
            f"champion {number} of {registry.name} cannot be read, so nothing was promoted",
            where=registry.tracking_uri,
            received=f"{type(error).__name__}: {error}".splitlines()[0],
            expected="a readable model, to score it on the current test data",
            remedies=[
                "run again when the storage is available",
                "if its files are lost, restore them or choose another champion: "
                f"regrow rollback {ChampionRef.parse(registry.name).arguments} VERSION",
            ],
        ) from error
    return Champion(number, model, trouble, decided.challenger if decided else None)
