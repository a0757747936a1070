"""What is declared of sources."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from regrow.base.errors import UserError
from regrow.sources import fetch as module
from regrow.sources.fetch import load_sources
from tests.conftest import REPOSITORY
from tests.support.fetching import (
    declare,
    version,
)


def test_corpora_that_never_change_are_not_refreshed_and_have_https_where_it_exists() -> None:
    sources = load_sources(REPOSITORY / "data/sources.toml")

    assert not sources.errors
    assert sources.refreshed == ["air-quality"]
    plain = [url for s in sources.values() for url in s.remote.urls if url.startswith("http:")]
    assert plain == ["http://www.thespermwhale.com/jaseweston/babi/tasks_1-20_v1-2.tar.gz"]


def test_the_shipped_list_is_whole() -> None:
    source = load_sources(REPOSITORY / "data/sources.toml")["air-quality"]

    assert source.file == "AirQualityUCI.csv"
    assert version(source).startswith("13277ae5")
    assert [url.startswith("https://archive.ics.uci.edu/") for url in source.remote.urls] == [
        True
    ] * 2


GOOD = """
[readings]
title = "Readings"
homepage = "https://example.org/"
licence = "CC0"
citation = ""
file = "readings.csv"
[readings.plain]
name = "readings.csv"
urls = ["https://example.org/readings.csv"]
sha256 = "{digest}"
""".replace("{digest}", "0" * 64)


@pytest.mark.parametrize(
    ("text", "replacement", "said"),
    [
        ("[readings]", "[readings", "not valid TOML"),
        ("licence =", "license =", "license: Extra inputs are not permitted"),
        ('file = "readings.csv"', "", "file: Field required"),
        ('file = "readings.csv"', 'file = "../readings.csv"', "a path outside the folder"),
        ('file = "readings.csv"', 'file = "/readings.csv"', "absolute path"),
        ('urls = ["https', 'urls = ["ftp', "plain.urls.0"),
        ("urls = ", "# ", "requires urls, a path, a mirror or a package"),
        ("0" * 64, "0" * 63, "plain.sha256"),
        ("[readings.plain]", "[readings.archive]", "archive.members: Field required"),
        ("[readings]", "[Air_Quality]", "name"),
        (GOOD, "readings = 3", "expected a table"),
        (GOOD[GOOD.index("[readings.plain]") :], "", "either an archive or a plain file"),
    ],
)
def test_broken_list_is_a_clear_error(
    tmp_path: Path, text: str, replacement: str, said: str
) -> None:
    path = tmp_path / "sources.toml"
    path.write_text(GOOD)
    assert load_sources(path)["readings"].licence == "CC0"

    path.write_text(GOOD.replace(text, replacement, 1))
    with pytest.raises(UserError) as caught:
        load_sources(path)[next(iter(load_sources(path)))]

    assert said in str(caught.value)
    assert str(path) in str(caught.value)


def test_file_must_be_a_member_or_the_folder_of_all() -> None:
    with pytest.raises(ValueError, match="neither a member nor the folder"):
        declare(file="other.csv")


def test_missing_list_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        load_sources(tmp_path / "sources.toml")


def test_nothing_heavy_is_imported() -> None:
    script = (
        "import sys, regrow.sources.fetch\n"
        "heavy = {'httpx', 'pandas', 'numpy', 'pyarrow', 'tensorflow'} & set(sys.modules)\n"
        "sys.exit(' '.join(heavy) or 0)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(module.__file__).parents[2])}

    result = subprocess.run([sys.executable, "-c", script], env=environment, check=False)

    assert result.returncode == 0
