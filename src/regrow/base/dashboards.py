"""Where the dashboards of a home are: the addresses of the servers that `regrow ui` starts."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import quote

from regrow.base.files import write_json
from regrow.base.home import Home
from regrow.base.secrets import strip_user_info

REPORTS = "/reports"


@dataclass(frozen=True)
class Dashboards:
    """The addresses of both servers.

    Attributes:
        prefect: the pages of Prefect's server, which also serves the reports.
        mlflow: the pages of MLflow's server.
    """

    prefect: str = "http://127.0.0.1:4200"
    mlflow: str = "http://127.0.0.1:5000"

    def link_report(self, report: Path) -> str:
        """The address of a report of the home."""
        return f"{self.prefect}{REPORTS}/{quote(report.name)}"


def link_mlflow(server: str, path: str) -> str:
    """A page of MLflow, without credentials: a person opens it with their own.

    Without the last part, MLflow shows traces of language models in place of runs.
    """
    return f"{strip_user_info(server)}/#/{path}?workflowType=machine_learning"


def find_dashboards(home: Home) -> Dashboards | None:
    """The dashboards that this home has or had last; None if it never had any."""
    try:
        return Dashboards(**json.loads(home.dashboards.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def keep_dashboards(home: Home, dashboards: Dashboards) -> None:
    """Records where the dashboards are, for the links of runs."""
    write_json(home.dashboards, asdict(dashboards))


def link_report(home: Home, report: Path) -> str:
    """A link that a browser opens from Prefect's pages; file:// where no server ever ran."""
    dashboards = find_dashboards(home)
    return dashboards.link_report(report) if dashboards else report.as_uri()
