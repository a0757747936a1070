"""`regrow rollback`, `approve`, `reject`, `freeze`, `unfreeze`: a person decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from regrow.base.errors import UserError
from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.cli.options import Json, Model, Sample, Scope
from regrow.cli.output import print_json, print_text, waiting
from regrow.cli.terminal import prepare_terminal

if TYPE_CHECKING:
    from regrow.base.decision import Decision
    from regrow.registry.versions import Registry

Why = Annotated[str, typer.Option("--why", help="The reason, which is written to the log.")]
By = Annotated[str, typer.Option("--by", help="Who decides, for the log [default: user@host].")]
Held = Annotated[int, typer.Argument(help="The version that is waiting; see regrow status.")]

app = typer.Typer()


@app.command(
    epilog="Examples: [bold]regrow rollback air-quality[/]   "
    '[bold]regrow rollback air-quality 3 --why "wrong units"[/]'
)
def rollback(
    model: Model,
    version: Annotated[
        int | None,
        typer.Argument(help="The version to go back to. [default: the previous champion]"),
    ] = None,
    why: Why = "",
    by: By = "",
    scope: Scope = "",
    sample: Sample = False,
    as_json: Json = False,
) -> None:
    """Makes an earlier version the champion again, after testing that it works."""
    prepare_terminal()
    from regrow.registry.reviews import roll_back

    _decide(model, scope, partial(roll_back, version=version, why=why, by=by), sample, as_json)


@app.command(epilog='Example: [bold]regrow approve air-quality 4 --why "checked on May\'s data"[/]')
def approve(
    model: Model,
    version: Held,
    why: Why = "",
    by: By = "",
    scope: Scope = "",
    sample: Sample = False,
    as_json: Json = False,
) -> None:
    """Makes a version that the gate held the champion, after testing that it works."""
    prepare_terminal()
    from regrow.registry.reviews import approve

    _decide(model, scope, partial(approve, version=version, why=_need(why), by=by), sample, as_json)


@app.command(epilog='Example: [bold]regrow reject air-quality 4 --why "its data is wrong"[/]')
def reject(
    model: Model,
    version: Held,
    why: Why = "",
    by: By = "",
    scope: Scope = "",
    sample: Sample = False,
    as_json: Json = False,
) -> None:
    """Rejects a version that the gate held."""
    prepare_terminal()
    from regrow.registry.reviews import reject

    _decide(model, scope, partial(reject, version=version, why=_need(why), by=by), sample, as_json)


@app.command(epilog='Example: [bold]regrow freeze air-quality --why "audit until Friday"[/]')
def freeze(
    model: Model,
    version: Annotated[int | None, typer.Argument(help="Make this version champion first.")] = None,
    why: Why = "",
    by: By = "",
    scope: Scope = "",
    sample: Sample = False,
    as_json: Json = False,
) -> None:
    """Keeps the champion until unfreeze. Runs continue; new versions wait for approval."""
    prepare_terminal()
    from regrow.registry.reviews import freeze

    _decide(model, scope, partial(freeze, version=version, why=_need(why), by=by), sample, as_json)


@app.command(epilog='Example: [bold]regrow unfreeze air-quality --why "the audit is over"[/]')
def unfreeze(
    model: Model,
    why: Why = "",
    by: By = "",
    scope: Scope = "",
    sample: Sample = False,
    as_json: Json = False,
) -> None:
    """Allows better versions to become champion again."""
    prepare_terminal()
    from regrow.registry.reviews import unfreeze

    _decide(model, scope, partial(unfreeze, why=_need(why), by=by), sample, as_json)


def _need(why: str) -> str:
    if not why.strip():
        raise UserError(
            "a reason is required, because it is written to the log",
            where="--why",
            received="nothing",
            expected='for example --why "checked on last month\'s data"',
        )
    return why.strip()


def _decide(
    model: str, scope: str, act: Callable[[Registry], Decision], sample: bool, as_json: bool
) -> None:
    from regrow.pipeline.notifications import describe_decision, send_webhook
    from regrow.registry.names import ChampionRef

    champion = ChampionRef(get_spec(model).name, scope, sample)
    with waiting(f"reading the registry for {champion.registered}..."):
        from regrow.registry.champions import open_registry

        decision = act(open_registry(champion, read_environment()))
    if decision.moves_alias:
        send_webhook(describe_decision(decision))
    if as_json:
        print_json(asdict(decision))
    else:
        print_text(decision.reason)
