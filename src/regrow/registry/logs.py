"""Where the decisions are logged: one log for each registered model and tracking address.

Version 3 on one MLflow server is not version 3 on another. `decisions/` belongs to the tracking
address that wrote there first, which `decisions/tracking` names; any other has a folder in it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from regrow.base.addresses import is_own_database
from regrow.base.files import write_text
from regrow.base.home import Home
from regrow.base.locks import exclusive
from regrow.base.secrets import strip_user_info

OWN = "home"


def log_folder(home: Home, tracking_uri: str) -> Path:
    """The folder of the logs of one tracking address. Writes nothing."""
    asked = _identify(home, tracking_uri)
    owner = _read_owner(home)
    if owner is None:  # a home of before, or a new one
        owner = OWN if home.database.exists() else asked
    return home.decisions if asked == owner else home.decisions / asked


def decision_log(home: Home, tracking_uri: str, registered: str) -> Path:
    """The append-only log of the decisions on a registered model."""
    return log_folder(home, tracking_uri) / f"{registered}.jsonl"


def claim_log(home: Home, tracking_uri: str) -> None:
    """Records whose the logs are, before the first line is written."""
    with exclusive(home.lock("decisions")):
        if _read_owner(home) is None:
            mine = log_folder(home, tracking_uri) == home.decisions
            write_text(_owner(home), _identify(home, tracking_uri) if mine else OWN)


def _owner(home: Home) -> Path:
    return home.decisions / "tracking"


def _read_owner(home: Home) -> str | None:
    try:
        return _owner(home).read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None


def _identify(home: Home, tracking_uri: str) -> str:
    """A short name of a tracking address without its password; "home" for the home's database."""
    if is_own_database(tracking_uri, home):
        return OWN
    return hashlib.sha256(strip_user_info(tracking_uri).encode()).hexdigest()[:12]
