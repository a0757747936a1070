"""`regrow serve`: the champion behind MLflow's scoring protocol."""

from __future__ import annotations

import socket
import threading
from typing import Annotated

import typer

from regrow.base.errors import UserError
from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from regrow.cli.options import Model, Sample, Scope, Version
from regrow.cli.output import console, waiting
from regrow.cli.terminal import prepare_terminal
from regrow.registry.lookup import check_version
from regrow.registry.names import ChampionRef

HOST = "127.0.0.1"
HOSTS = [HOST, "localhost"]
FOLLOW_S = 2.0

app = typer.Typer()


@app.command(
    epilog="Examples: [bold]regrow serve air-quality[/]   "
    "[bold]regrow serve air-quality --sample --port 8080[/]"
)
def serve(
    model: Model,
    port: Annotated[int, typer.Option(min=1, max=65_535, help="The port to listen on.")] = 5001,
    version: Version = None,
    scope: Scope = "",
    sample: Sample = False,
) -> None:
    """Answers requests on this machine with the champion, by MLflow's scoring server.

    POST /invocations takes MLflow's formats and answers with named columns; the header
    X-Regrow-Version says which version did. When another version becomes champion, it takes over
    without a dropped request. /ready, /regrow/model and /metrics are for monitoring. Ctrl-C ends
    it.
    """
    prepare_terminal(verbose=True)
    settings = read_environment()
    champion = ChampionRef(get_spec(model).name, scope, sample, version)
    check_version(champion, settings.tracking_uri, settings.home)
    _check_port(port)
    with waiting(f"loading {champion.registered}..."):
        import uvicorn
        from starlette.middleware.trustedhost import TrustedHostMiddleware

        from regrow.operations.serve import Champions, ServeApp
        from regrow.registry.champions import open_registry

        champions = Champions(open_registry(champion, settings), version)
        champions.update()
    assert champions.scorer is not None
    console.print(
        f"{champion.registered} version {champions.scorer.version}: "
        f"http://{HOST}:{port}/invocations",
        markup=False,
        soft_wrap=True,
    )
    if version is None:
        follow = threading.Thread(target=champions.follow, args=(FOLLOW_S,), daemon=True)
        follow.start()
    checked = TrustedHostMiddleware(ServeApp(champions), HOSTS, www_redirect=False)
    uvicorn.run(checked, host=HOST, port=port, lifespan="off", log_level="warning")
    champions.stop()


def _check_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise UserError(
                f"port {port} cannot be used",
                where=f"{HOST}:{port}",
                received=error.strerror or str(error),
                remedies=["name another one: --port 5002"],
            ) from error
