"""The layout version of a home, and how a home of an older layout is brought up to date.

`layout.json` in the home holds `{"layout": 3}`. A home without it has layout 1, or is new.

- 1: up to the release before the engine was split into sub-packages.
- 2: the fingerprints of all stages and the format of checkpoints have changed.
- 3: the digest of its model is a tag of each registered version.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping

from regrow.base.errors import LockTimeout, UserError
from regrow.base.files import remove_abandoned, remove_empty_parents, write_json
from regrow.base.home import Home
from regrow.base.locks import exclusive
from regrow.base.model_digests import record_old_versions

log = logging.getLogger(__name__)

LAYOUT = 3


def check_layout(home: Home) -> int:
    """Reads the layout version of a home. Writes nothing.

    Raises:
        UserError: the home has a newer layout than this regrow knows, or its file is damaged.
    """
    try:
        text = home.layout.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return 1
    try:
        layout = int(json.loads(text)["layout"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as error:
        raise UserError(
            "the layout version of the home cannot be read",
            where=str(home.layout),
            received=text[:80],
            expected=json.dumps({"layout": LAYOUT}),
            remedies=["restore the file from a backup", "write the expected line to the file"],
        ) from error
    if layout > LAYOUT:
        raise UserError(
            "this home was written by a newer version of regrow",
            where=str(home),
            received=f"layout {layout}",
            expected=f"layout {LAYOUT} or older",
            remedies=[
                "install the newer version of regrow",
                "set REGROW_HOME to another directory",
            ],
        )
    return layout


def ensure_layout(home: Home) -> None:
    """Migrates a home of an older layout; whoever writes into a home calls this first.

    The layout version is written last: a migration that was killed is started again by the next
    process that writes. Of two processes one migrates while the other waits.

    Raises:
        UserError: as `check_layout`.
    """
    if check_layout(home) == LAYOUT:
        return
    with exclusive(home.lock("layout")):
        remove_abandoned(home.path, home.layout.name, older_than_s=0)
        for layout in range(check_layout(home), LAYOUT):
            MIGRATIONS[layout](home)
            write_json(home.layout, {"layout": layout + 1})


def _remove_interrupted_work(home: Home) -> None:
    """Removes checkpoints of layout 1, which nothing resumes: all fingerprints have changed."""
    found = sorted(home.scratch.glob("*/*/*"))
    for folder in found:
        try:
            # The lock of who builds this entry: a run of the older regrow may be under way.
            # What that run leaves behind is removed by `regrow gc`.
            with exclusive(home.lock("-".join(folder.parts[-3:])), timeout_s=0):
                shutil.rmtree(folder)
        except LockTimeout:
            continue
        remove_empty_parents(folder, home.path)
    if found:
        log.warning(
            "%s: removed interrupted trainings of an older version of regrow, "
            "because they cannot be resumed",
            home,
        )


# By layout version, what makes the next one of it. Each can be repeated after it was killed.
MIGRATIONS: Mapping[int, Callable[[Home], None]] = {
    1: _remove_interrupted_work,
    2: record_old_versions,
}
