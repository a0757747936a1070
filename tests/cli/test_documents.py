"""What commands print with --json is as docs/output.schema.json says."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from pydantic import ValidationError
from typer.main import get_command

from regrow.cli.app import app
from regrow.cli.documents import DOCUMENTS, check_document, make_schema
from tests.cli.test_examples import list_commands
from tests.conftest import REPOSITORY, SAMPLE, Regrow

SCHEMA = REPOSITORY / "docs" / "output.schema.json"
# Commands that only read or that are quick, on a home with a run on the sample. The `regrow`
# fixture holds what they print against the schema, in this test as in all others.
COMMANDS = """
list
list air-quality
status
why air-quality --sample --preset quick
log air-quality --sample
run air-quality --sample --preset quick
doctor
gc --dry-run
predict air-quality readings.csv --sample
drift air-quality readings.csv --sample
predict air-quality incoming/ -o predictions/ --sample
compare air-quality air-quality
backup saved.zip
bundle export air.zip --model air-quality
dream --layers
new churn
status nonesuch
"""


def test_every_command_with_json_has_a_document() -> None:
    group = get_command(app)
    names = {
        name
        for command in list_commands(group)
        for name in (command.name,)
        if any("--json" in parameter.opts for parameter in command.params)
    }
    named = {name.rpartition(" ")[2] for name in DOCUMENTS}
    assert names == named


def test_the_schema_of_the_docs_is_that_of_the_code() -> None:
    assert json.loads(SCHEMA.read_text()) == make_schema(), (
        "python -m regrow.cli.documents > docs/output.schema.json"
    )


@pytest.mark.e2e
@pytest.mark.parametrize("line", COMMANDS.strip().splitlines())
def test_a_command_prints_its_document(
    line: str, trained: Path, regrow: Regrow, tmp_path: Path
) -> None:
    home = Path(shutil.copytree(trained, tmp_path / "home"))
    for name in ("readings.csv", "incoming/may.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(SAMPLE, tmp_path / name)
    done = regrow(*line.split(), "--json", home=home)
    assert done.returncode == (2 if "nonesuch" in line else 0), done.stderr
    assert json.loads(done.stdout)


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("doctor", '[{"check": "disk", "level": "great", "found": ""}]'),
        ("doctor", '[{"check": "disk", "level": "ok", "found": "", "more": 1}]'),
        ("deploy", '{"error": {"why": "no server"}}'),
        ("new", '{"model": "churn"}'),
    ],
)
def test_another_document_is_refused(command: str, text: str) -> None:
    with pytest.raises(ValidationError):
        check_document(command, text)
