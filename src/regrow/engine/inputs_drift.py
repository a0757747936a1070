"""How far inputs to predict from have moved from the champion's training data, and a page of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from regrow.engine.config import Settings
from regrow.engine.drift import MIN_VALUES, compare_profiles
from regrow.engine.errors import DataError, UserError
from regrow.engine.fingerprint import digest_file, digest_json
from regrow.engine.profile import profile_table
from regrow.engine.publish import open_registry
from regrow.engine.spec import ModelSpec, load
from regrow.engine.store import write_json


def check_inputs(
    spec: ModelSpec,
    settings: Settings,
    paths: Sequence[Path],
    *,
    version: int | None = None,
    scope: str = "",
    sample: bool = False,
) -> dict[str, Any]:
    """Compares files to predict from with what the champion was trained on; writes a page.

    Args:
        paths: files as `regrow predict` takes them; all rows are taken together.
        version: a version other than the champion.

    Returns:
        JSON: "against" (the version), "files" (file, rows, sha256), "rows", "findings" (those of
        `compare_profiles`), "drifted" (columns beyond a limit), "not_compared" (columns of the
        training data that the inputs lack), "verdict" (a sentence), "report" (the page's path).

    Raises:
        UserError: the model's inputs are no table, or there is no such version.
        DataError: an input cannot be read, or there are no rows.
    """
    if spec.read_inputs is None:
        raise UserError(
            f"drift cannot be told for {spec.name}: its inputs are no table",
            received=spec.name,
            expected="a model whose inputs are rows and columns, such as air-quality",
            remedies=["regrow run warns of drift in the source's own data for every model"],
        )
    registry = open_registry(spec, settings, sample=sample, scope=scope)
    found = registry.find(version)
    reference = json.loads(registry.artifact(found, "profile.json").read_text())
    import pandas as pd

    frames = [load(spec.read_inputs)(path) for path in paths]
    frame = pd.concat(frames, ignore_index=True)
    if frame.empty:
        raise DataError("there are no rows to compare", where=", ".join(map(str, paths)))
    columns = [name for name in reference if name in frame and frame[name].notna().any()]
    findings = compare_profiles(
        {name: reference[name] for name in columns}, profile_table(frame, columns)
    )
    drifted = sorted({f["column"] for f in findings if f["level"] == "warning"})
    files = [
        {"file": path.name, "rows": len(rows), "sha256": digest_file(path)}
        for path, rows in zip(paths, frames, strict=True)
    ]
    result: dict[str, Any] = {
        "against": f"{registry.name} version {found.version}",
        "files": files,
        "rows": len(frame),
        "findings": findings,
        "drifted": drifted,
        "not_compared": [name for name in reference if name not in columns],
        "verdict": _say(len(frame), len(columns), drifted),
    }
    name = digest_json([result["against"], [file["sha256"] for file in files]])[:16]
    result["report"] = str(_write(result, settings.home / "drift" / registry.name / name))
    return result


def _say(rows: int, columns: int, drifted: Sequence[str]) -> str:
    moved = f"{len(drifted)} of {columns} columns have moved" if drifted else "No column has moved"
    few = "" if rows >= MIN_VALUES else f" With fewer than {MIN_VALUES} rows only what is missing "
    few += "" if rows >= MIN_VALUES else "was compared: chance alone moves distributions more."
    return f"{moved} beyond the limits, over {rows:,} rows.{few}"


def _write(result: dict[str, Any], path: Path) -> Path:
    from regrow.engine.pages import open_templates

    page = open_templates().get_template("drift.html.j2").render(result=result)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(page, encoding="utf-8")
    write_json(path.with_suffix(".json"), result)
    temporary.replace(path.with_suffix(".html"))
    return path.with_suffix(".html")
