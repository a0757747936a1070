"""The page of a finished run in a browser: its figures and its pictures."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers import PATIENCE_S, run_server, wait_for

pytestmark = [pytest.mark.slow, pytest.mark.e2e]
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")


@pytest.mark.skipif(BROWSER is None, reason="there is no Chromium: apt-get install chromium")
def test_the_artifact_page_of_a_finished_run_shows_figures_and_pictures(tmp_path: Path) -> None:
    def render(url: str) -> str:
        """The page as it stands once its scripts have run."""
        done = subprocess.run(
            [
                *(str(BROWSER), "--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"),
                *("--virtual-time-budget=30000", f"--user-data-dir={tmp_path / 'browser'}", url),
            ],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        return done.stdout

    with run_server(tmp_path) as server:
        server.regrow("run", "air-quality", "--sample", "--preset", "quick")
        (artifact,) = server.post(
            "artifacts/filter", {"artifacts": {"key": {"any_": ["air-quality"]}}}
        )
        ui = server.url.removesuffix("/api")

        def shown() -> str:
            page = render(f"{ui}/v2/artifacts/artifact/{artifact['id']}")
            return page if "linear regression" in page else ""

        page = wait_for("the page with its figures", shown)
        assert "Sample data" in page
        assert page.count('src="data:image/png;base64,') >= 1
        runs = wait_for("the list of runs", lambda: render(f"{ui}/v2/runs"))
        assert "air-quality quick data sample-" in runs
