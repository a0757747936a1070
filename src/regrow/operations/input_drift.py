"""Compares inputs of `regrow predict` with the champion's training data, and writes a page."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from regrow.base.digests import digest_file, digest_json
from regrow.base.errors import DataError, UserError
from regrow.base.files import write_json, write_text
from regrow.base.project import get_spec
from regrow.base.settings import Settings
from regrow.base.spec import ModelSpec, load
from regrow.checks.drift import MIN_VALUES, compare_profiles
from regrow.checks.profiles import profile_table
from regrow.registry.champions import open_registry
from regrow.registry.names import ChampionRef
from regrow.report.distributions import HEIGHT, WIDTH, Distribution, draw_distribution

if TYPE_CHECKING:
    import pandas as pd


def check_inputs(
    champion: ChampionRef, settings: Settings, paths: Sequence[Path]
) -> dict[str, Any]:
    """Compares input files with the data that the champion was trained on, and writes a page.

    Args:
        paths: files as `regrow predict` takes them; their rows are compared as one table.

    Returns:
        JSON: "against" (the version), "files" (file, rows, sha256), "rows", "findings" (those of
        `compare_profiles`), "drifted" (columns beyond a limit), "not_compared" (columns of the
        training data that the inputs lack), "verdict" (a sentence), "report" (the page's path).

    Raises:
        UserError: the model's inputs are not a table, or there is no such version.
        DataError: an input cannot be read, or there are no rows.
    """
    frames = _read_tables(get_spec(champion.model), paths)
    registry = open_registry(champion, settings)
    found = registry.find(champion.version)
    reference = json.loads(registry.artifact(found, "profile.json").read_text())
    compared, drawn = _compare(reference, frames)
    result: dict[str, Any] = {
        "against": f"{registry.name} version {found.version}",
        "files": [
            {"file": path.name, "rows": len(rows), "sha256": digest_file(path)}
            for path, rows in zip(paths, frames, strict=True)
        ],
        **compared,
    }
    name = digest_json([result["against"], [file["sha256"] for file in result["files"]]])[:16]
    result["report"] = str(_write(result, drawn, settings.home.drift / registry.name / name))
    return result


def _read_tables(spec: ModelSpec, paths: Sequence[Path]) -> list[pd.DataFrame]:
    if spec.read_inputs is None:
        raise UserError(
            f"drift cannot be measured for {spec.name}: its inputs are not a table",
            received=spec.name,
            expected="a model whose inputs are rows and columns, such as air-quality",
            remedies=["for all models, regrow run warns about drift in the data of the source"],
        )
    frames = [load(spec.read_inputs)(path) for path in paths]
    if all(frame.empty for frame in frames):
        raise DataError("there are no rows to compare", where=", ".join(map(str, paths)))
    return frames


def _compare(
    reference: dict[str, Any], frames: Sequence[pd.DataFrame]
) -> tuple[dict[str, Any], list[Distribution]]:
    """The comparison of all rows with the profile of the training data, and drawings of it."""
    import pandas as pd

    frame = pd.concat(frames, ignore_index=True)
    columns = [name for name in reference if name in frame and frame[name].notna().any()]
    before, now = {name: reference[name] for name in columns}, profile_table(frame, columns)
    findings = compare_profiles(before, now)
    drifted = sorted({f["column"] for f in findings if f["level"] == "warning"})
    drawn = [draw_distribution(name, before[name], now[name]) for name in columns]
    compared = {
        "rows": len(frame),
        "findings": findings,
        "drifted": drifted,
        "not_compared": [name for name in reference if name not in columns],
        "verdict": _describe_drift(len(frame), len(columns), drifted),
    }
    return compared, [one for one in drawn if one is not None]


def _describe_drift(rows: int, columns: int, drifted: Sequence[str]) -> str:
    moved = (
        f"{len(drifted)} of {columns} columns have changed" if drifted else "No column has changed"
    )
    few = "" if rows >= MIN_VALUES else f" With fewer than {MIN_VALUES} rows, only missing values "
    few += (
        ""
        if rows >= MIN_VALUES
        else "were compared, because differences in the distributions could be due to chance."
    )
    return f"{moved} beyond the limits in {rows:,} rows.{few}"


def _write(result: dict[str, Any], drawn: Sequence[Distribution], path: Path) -> Path:
    from regrow.report.templating import open_templates

    page = (
        open_templates()
        .get_template("drift.html.j2")
        .render(
            result=result,
            moved=[one for one in drawn if one.column in result["drifted"]],
            others=[one for one in drawn if one.column not in result["drifted"]],
            width=WIDTH,
            height=HEIGHT,
        )
    )
    write_json(path.with_suffix(".json"), result)
    write_text(path.with_suffix(".html"), page)
    return path.with_suffix(".html")
