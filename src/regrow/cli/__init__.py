"""The `regrow` command."""

from __future__ import annotations

import sys

from regrow.cli.app import app
from regrow.cli.output import errors
from regrow.engine.errors import RegrowError, UserError


def main() -> None:
    """Runs the command line; a user's error ends it with one message and exit code 2."""
    try:
        app(prog_name="regrow")
    except UserError as error:
        errors.print(f"[bold red]error:[/] {escape_markup(str(error))}", soft_wrap=True)
        sys.exit(error.exit_code)
    except RegrowError as error:
        errors.print(f"[bold red]error:[/] {escape_markup(str(error))}", soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        errors.print("interrupted; run the same command again to go on", style="yellow")
        sys.exit(130)


def escape_markup(text: str) -> str:
    """Keeps square brackets in a message from being read as styles."""
    from rich.markup import escape

    return escape(text)
