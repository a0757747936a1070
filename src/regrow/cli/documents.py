"""The documents that commands print with --json, and their JSON Schema.

    python -m regrow.cli.documents > docs/output.schema.json

Within a version fields are only added.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from pydantic import TypeAdapter, create_model

from regrow.base.decision import Decision
from regrow.cli import documents_machine as machine
from regrow.cli import documents_models as models
from regrow.cli.documents_base import Failure
from regrow.sources.announcements import SourceCheck

VERSION = 1

DOCUMENTS: dict[str, Any] = {
    "list": list[models.ModelLine] | models.ModelSettings,
    "status": list[models.ModelStatus],
    "why": list[models.StageVerdict],
    "log": list[Decision],
    **dict.fromkeys(("approve", "reject", "rollback", "freeze", "unfreeze"), Decision),
    "run": models.RunSummary | models.Runs,
    "backfill": models.Runs,
    "sweep": models.Sweep,
    "predict": models.Predictions | models.PredictedFolder,
    "drift": models.Drift,
    "compare": models.Comparison,
    "refresh": list[SourceCheck],
    "deploy": list[str],
    "gc": machine.Garbage,
    "backup": machine.Backup,
    "restore": machine.Restored,
    "export": models.ExportedVersion,
    "bundle export": machine.Exported,
    "bundle import": machine.Imported,
    "doctor": list[machine.MachineCheck],
    "notify": machine.Recipients | machine.LateSchedules,
    "check": list[machine.ModelCheck],
    "new": machine.NewModel,
    "ask": machine.Answers,
    "dream": machine.Picture | list[machine.Picture] | machine.Layers,
    "stylize": machine.Picture | machine.Layers,
    "embed": machine.Embedded,
    "similar": machine.SimilarSentences,
}


def check_document(command: str, text: str) -> None:
    """Makes sure that what a command printed with --json is as documented.

    Raises:
        pydantic.ValidationError: it is not.
    """
    TypeAdapter(DOCUMENTS[command] | Failure).validate_json(text)


def make_schema() -> dict[str, Any]:
    """The JSON Schema of all documents: a property for each command."""
    fields: Any = {command: (kind | Failure, ...) for command, kind in DOCUMENTS.items()}
    output: Any = create_model("Output", **fields)
    schema: dict[str, Any] = output.model_json_schema()
    del schema["required"]
    _allow_more(schema)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:regrow:output:{VERSION}",
        "description": "The JSON output of each regrow command.",
        **schema,
    }


def _allow_more(schema: Any) -> None:
    """Lets readers accept fields that are added within a version."""
    if isinstance(schema, dict):
        if schema.get("additionalProperties") is False:
            del schema["additionalProperties"]
        for value in schema.values():
            _allow_more(value)
    elif isinstance(schema, list):
        for value in schema:
            _allow_more(value)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(make_schema(), indent=2, ensure_ascii=False) + "\n")
