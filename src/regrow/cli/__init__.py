"""The `regrow` command."""

from __future__ import annotations

import os
import sys

from regrow.base.interruption import interruptible


def main() -> None:
    """Runs the command line; a user's error ends it with one message and exit code 2."""
    if os.environ.get("_REGROW_COMPLETE", "").startswith("complete_"):
        from regrow.cli.completion import SHELLS, VARIABLE, complete

        if os.environ[VARIABLE] in SHELLS:
            sys.exit(complete())
    with interruptible(_announce):
        code = _run()
    sys.exit(code)


def _run() -> int:
    from regrow.base.foreign_variables import ignore_foreign_variables

    ignore_foreign_variables()
    from regrow.base.errors import RegrowError, UserError
    from regrow.base.network import reach_this_machine_directly
    from regrow.base.system_errors import explain
    from regrow.cli.app import app
    from regrow.cli.output import print_error

    reach_this_machine_directly()
    try:
        app(prog_name="regrow")
    except SystemExit as end:  # how typer ends, with 130 after KeyboardInterrupt
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except RegrowError as error:
        print_error(error)
        return error.exit_code if isinstance(error, UserError) else 1
    except Exception as error:
        explained = explain(error)
        if explained is None:
            raise
        print_error(explained)
        return explained.exit_code
    return 0


def _announce(stage: str | None) -> None:
    """Says what becomes of an interrupted command, above its progress bars."""
    where = f" in {stage}" if stage else ""
    text = f"interrupted{where}; run the same command to continue"
    output = sys.modules.get("regrow.cli.output")
    if output is None:  # Ctrl-C came before anything was shown
        print(text, file=sys.stderr, flush=True)
    else:
        output.error_console.show_cursor(True)  # which a bar hides, and may not show again
        output.error_console.print(text, style="yellow")
