"""Starts Python as forks of a process that has imported the libraries already.

TensorFlow, MLflow and Great Expectations take some ten seconds to import, which the tests would
pay for every command. A fork has memory, environment, files and an exit code of its own, and
imports the modules of the project anew.

python launcher.py LIBRARY...: reads one JSON object per line (arguments, env, cwd, stdout,
stderr), where arguments are those of `python` (-m MODULE, -c CODE or a script), and answers with
two lines each: the id of the process, and its exit code.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import sys
from pathlib import Path
from typing import Any

exit_code = 0


def leave() -> None:
    """Ends the process without taking the libraries' modules apart, which copies their memory."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(exit_code)


def serve() -> dict[str, Any] | None:
    """Forks for every line; returns the order in each fork, and None at the end of the input."""
    for line in sys.stdin:
        if (pid := os.fork()) == 0:
            os.setpgid(0, 0)  # a group of its own: it can be killed with all that it starts
            order: dict[str, Any] = json.loads(line)
            return order
        with contextlib.suppress(OSError):  # it has ended already, or done so itself
            os.setpgid(pid, pid)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
    return None


def become(order: dict[str, Any]) -> None:
    """Gives this process the environment, the folder and the files of another one."""
    os.environ.clear()
    os.environ.update(order["env"])
    os.chdir(order["cwd"])
    for descriptor, path in enumerate((os.devnull, order["stdout"], order["stderr"])):
        opened = os.open(path, os.O_RDWR)
        os.dup2(opened, descriptor)
        os.close(opened)


def run(arguments: list[str]) -> None:
    """Does what `python` does with these arguments."""
    what, *rest = arguments
    if what == "-m":
        sys.path[0], sys.argv = os.getcwd(), rest
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif what == "-c":
        sys.path[0], sys.argv = "", ["-c", *rest[1:]]
        exec(rest[0], {"__name__": "__main__"})
    else:
        sys.path[0], sys.argv = str(Path(what).parent), arguments
        runpy.run_path(what, run_name="__main__")


if __name__ == "__main__":
    atexit.register(leave)  # the first to be registered is the last to be called
    for name in sys.argv[1:]:
        importlib.import_module(name)
    # Else the collector of each fork would go through the libraries' objects, and copy them.
    gc.collect()
    gc.freeze()
    if order := serve():
        become(order)
        exit_code = 1  # of an error that nobody catches
        try:
            run(order["arguments"])
            exit_code = 0
        except SystemExit as ended:
            exit_code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
            raise
