"""Decisions by a person: rollback, approval, rejection, and freezing a champion.

A decision is written as a tag of the version first and then carried out, so that one whose process
was killed is finished by the next publication or review.
"""

from __future__ import annotations

import getpass
import json
import platform
from dataclasses import asdict
from typing import Any

from regrow.base.decision import Action, Decision, parse_decision
from regrow.base.errors import UserError
from regrow.base.layout import ensure_layout
from regrow.base.locks import exclusive
from regrow.registry.gate import find_veto, now, read_decisions
from regrow.registry.names import CHAMPION, ChampionRef
from regrow.registry.versions import CARRIED_OUT, DECISION, Registry

# A decision that was made and is not yet both carried out and logged.
REVIEW = "regrow.rollback"


def roll_back(
    registry: Registry, version: int | None = None, why: str = "", by: str = ""
) -> Decision:
    """Makes an earlier version the champion again, after it was loaded and run.

    Args:
        version: which one; None for the champion before the present one.
        why: the reason, for the log.

    Raises:
        UserError: there is no such version, its answers changed, or the champion is frozen.
            Nothing is changed then.
    """
    ensure_layout(registry.home)
    with exclusive(registry.lock):
        finish_reviews(registry)
        _refuse_frozen(registry)
        return _roll_back(registry, version, why, by)


def approve(registry: Registry, version: int, why: str, by: str = "") -> Decision:
    """Makes a version champion that is held, after it was loaded and run.

    Raises:
        UserError: the version is not held, its answers changed, or the champion is frozen. Nothing
            is changed then.
    """
    ensure_layout(registry.home)
    with exclusive(registry.lock):
        finish_reviews(registry)
        _refuse_frozen(registry)
        target = _find_held(registry, version)
        check_answers(registry, target)
        return _review(registry, target, "approved", f"version {version} was approved: {why}", by)


def reject(registry: Registry, version: int, why: str, by: str = "") -> Decision:
    """Decides that a version that is held does not become champion.

    Raises:
        UserError: the version is not held.
    """
    ensure_layout(registry.home)
    with exclusive(registry.lock):
        finish_reviews(registry)
        target = _find_held(registry, version)
        return _review(registry, target, "rejected", f"version {version} was rejected: {why}", by)


def freeze(registry: Registry, version: int | None, why: str, by: str = "") -> Decision:
    """Keeps the champion whatever is trained, until `unfreeze`.

    Args:
        version: the version that becomes champion first; None for the present one.

    Raises:
        UserError: there is no champion, or no such version; or it is frozen already.
    """
    ensure_layout(registry.home)
    with exclusive(registry.lock):
        finish_reviews(registry)
        _refuse_frozen(registry)
        champion = registry.find(None)
        if version is not None and version != int(champion.version):
            _roll_back(registry, version, why, by)
            champion = registry.find(None)
        return _review(
            registry, champion, "frozen", f"champion {champion.version} was frozen: {why}", by
        )


def unfreeze(registry: Registry, why: str, by: str = "") -> Decision:
    """Lets better versions become champion again.

    Raises:
        UserError: there is no champion, or it is not frozen.
    """
    ensure_layout(registry.home)
    with exclusive(registry.lock):
        finish_reviews(registry)
        champion = registry.find(None)
        if registry.frozen() is None:
            raise UserError(f"the champion of {registry.name} is not frozen")
        return _review(
            registry, champion, "unfrozen", f"champion {champion.version} was unfrozen: {why}", by
        )


def finish_reviews(registry: Registry) -> None:
    """Carries out and logs what was decided: just now, or by a process that was killed."""
    for version in registry.versions():
        if REVIEW in version.tags:
            number, decision = (
                int(version.version),
                parse_decision(json.loads(version.tags[REVIEW])),
            )
            if decision.moves_alias:
                registry.set_alias(CHAMPION, number)
                registry.end_challenge(number)
            if decision.action in ("frozen", "unfrozen"):
                frozen = f"{decision.reason} ({decision.by}, {decision.at})"
                registry.freeze(frozen if decision.action == "frozen" else None)
            if decision.is_review:
                registry.set_tag(number, DECISION, json.dumps(asdict(decision)))
                registry.set_tag(number, CARRIED_OUT, decision.key)
            registry.log_decision(decision)
            registry.delete_tag(number, REVIEW)


def _roll_back(registry: Registry, version: int | None, why: str, by: str) -> Decision:
    present = registry.champion()
    before = int(present.version) if present else None
    target = registry.find(_previous(registry, before) if version is None else version)
    if int(target.version) == before:
        raise UserError(
            f"version {before} of {registry.name} is already the champion",
            expected="an earlier version",
            remedies=[f"regrow log {_arguments(registry)} shows them"],
        )
    check_answers(registry, target)
    reason = f"rolled back from version {before} to version {target.version}"
    return _review(
        registry,
        target,
        "rolled-back",
        f"{reason}, which was loaded and reproduces its example{': ' * bool(why)}{why}",
        by,
    )


def _arguments(registry: Registry) -> str:
    """The model as commands name it, in advice."""
    return ChampionRef.parse(registry.name).arguments


def _refuse_frozen(registry: Registry) -> None:
    if (frozen := registry.frozen()) is not None:
        raise UserError(
            f"the champion of {registry.name} is frozen",
            received=frozen,
            remedies=[f"regrow unfreeze {_arguments(registry)} --why REASON"],
        )


def _find_held(registry: Registry, version: int) -> Any:
    target = registry.find(version)
    decision = json.loads(target.tags.get(DECISION, "{}"))
    if decision.get("action") != "held":
        model = _arguments(registry)
        raise UserError(
            f"version {version} of {registry.name} does not wait for approval",
            received=decision.get("reason", "no decision on it"),
            expected="a version that is held",
            remedies=[
                f"regrow status {registry.name.partition('.')[0]} lists these versions",
                f"regrow rollback {model} {version} makes any version the champion",
            ],
        )
    champion = registry.champion()
    if champion is not None and int(champion.version) > version:
        raise UserError(
            f"version {version} of {registry.name} was overtaken by a newer one",
            received=f"version {champion.version} has become the champion since",
            remedies=[f"regrow rollback {_arguments(registry)} {version} makes it the champion"],
        )
    return target


def _previous(registry: Registry, champion: int | None) -> int:
    """The version that was the champion before the present one, by the log."""
    log = read_decisions(registry.decisions)
    for decision in reversed(log):
        before = decision.champion_before
        if decision.champion_after != champion or before in (None, champion):
            continue
        if before is not None and find_veto(log, before) is None:
            return before
    raise UserError(
        f"{registry.name} has no other champion to roll back to",
        where=str(registry.decisions),
        remedies=[f"choose a version: regrow rollback {_arguments(registry)} VERSION"],
    )


def check_answers(registry: Registry, version: Any) -> None:
    """Loads a version and compares its answers with those that it was published with.

    Raises:
        UserError: it cannot be loaded, or answers otherwise.
    """
    from regrow.training.inference import find_difference

    problem: Exception | None = None
    try:
        model = registry.load(int(version.version))
        received = find_difference(model, registry.artifact(version, "example.npz"))
    except Exception as error:
        problem = error
        received = getattr(error, "received", None) or f"{type(error).__name__}: {error}"
    if received:
        raise UserError(
            f"version {version.version} of {registry.name} cannot be used; the champion stays",
            where=registry.tracking_uri,
            received=received.splitlines()[0][:200],
            expected="the predictions stored with it",
            remedies=["choose another version", "retrain the model: regrow run"],
        ) from problem


def _review(registry: Registry, target: Any, action: Action, reason: str, by: str) -> Decision:
    """Records a decision of a person, carries it out and logs it."""
    number = int(target.version)
    judged = json.loads(target.tags.get(DECISION, "{}"))
    champion = registry.champion()
    before = int(champion.version) if champion else None
    moves = action in ("approved", "rolled-back")
    decision = Decision(
        model=registry.name,
        action=action,
        version=number,
        champion_before=before,
        champion_after=number if moves else before,
        metric=judged.get("metric", ""),
        challenger=judged.get("challenger"),
        champion=judged.get("champion"),
        margin=judged.get("margin", 0.0),
        reason=reason,
        data_version=target.tags.get("regrow.data_version", ""),
        key=f"{action}-{number}-{now()}",
        at=now(),
        hold=judged.get("hold"),
        by=by.strip() or _person(),
    )
    registry.set_tag(number, REVIEW, json.dumps(asdict(decision)))
    finish_reviews(registry)
    return decision


def _person() -> str:
    """Who runs this process: user@host."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        user = "unknown"
    return f"{user}@{platform.node()}"
