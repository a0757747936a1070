"""Checks a model on a few rows before it is run."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from regrow.base.errors import UserError
from regrow.base.progress import report
from regrow.base.project import get_spec
from regrow.base.settings import Settings, read_environment
from regrow.base.spec import ModelSpec, load
from regrow.pipeline.pipeline import Pipeline, list_expectations
from regrow.pipeline.request import RunRequest, make_request
from regrow.pipeline.stages import STAGES, StageRef
from regrow.store.context import SettingsView, StageContext
from regrow.store.entry import Entry

# As many rows are cleaned anyway, and are enough for one epoch and for expectations.
SAMPLE_ROWS = 2000
SHORT = {"seeds": 1, "epochs": 1}


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: what was checked.
        problem: what is wrong; "" if nothing is.
        detail: what was seen where nothing is wrong.
    """

    check: str
    problem: str = ""
    detail: str = ""


def check(name: str, settings: Settings | None = None) -> list[Finding]:
    """Checks everything about a model that can be known before it is run; stops at what is wrong.

    Its definition and dotted paths, its settings, its source, its cleaned table and expectations,
    one epoch on a few rows, and whether what was saved can be loaded in a new process.

    Raises:
        UserError: there is no such model.
    """
    spec = get_spec(name)
    settings = settings or read_environment()
    found: list[Finding] = []
    with tempfile.TemporaryDirectory(prefix="regrow-check-") as folder:
        checks = _list_checks(spec, settings, Path(folder))
        for what, make in checks:
            report(f"checking {what}", 0, 0)
            try:
                found.append(Finding(what, detail=make()))
            except UserError as error:
                found.append(Finding(what, str(error)))
                break
            except Exception as error:  # of the user's own code
                found.append(Finding(what, _describe(error)))
                break
    return found


def _describe(error: Exception) -> str:
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "site-packages" not in frame.filename] or frames
    return f"{type(error).__name__}: {error} ({own[-1].filename}:{own[-1].lineno})"


def _list_checks(
    spec: ModelSpec, settings: Settings, folder: Path
) -> Iterator[tuple[str, Callable[[], str]]]:
    request = make_request(spec)
    pipeline = Pipeline(spec, request, settings)
    refs: dict[Any, StageRef] = {}
    yield "paths", lambda: _check_paths(spec)
    yield "settings", lambda: _check_settings(spec)
    yield "code", lambda: _check_code(pipeline)
    yield "source", lambda: _run(pipeline, "download", refs)
    yield "table", lambda: _run(pipeline, "clean", refs)
    yield "expectations", lambda: _check_expectations(spec, pipeline.entry(refs["clean"]))
    yield "network", lambda: _train(spec, pipeline, refs["clean"], folder)
    yield "reload", lambda: _load_elsewhere(spec, settings, folder)


def _check_paths(spec: ModelSpec) -> str:
    paths = [stage.run for stage in spec.stages.values()]
    paths += [spec.gate.score, spec.predict, *([spec.read_inputs] if spec.read_inputs else [])]
    for path in paths:
        try:
            load(path)
        except (ImportError, AttributeError) as error:
            raise UserError(
                "a dotted path does not exist",
                where=f"the specification of {spec.name}",
                received=f"{path}: {error}",
                expected='"package.module:name"',
            ) from error
    return f"{len(paths)} paths"


def _check_settings(spec: ModelSpec) -> str:
    fields = set(spec.config.model_fields)
    used = {name for stage in spec.stages.values() for name in stage.config}
    if unknown := sorted(used - fields):
        raise UserError(
            "stages declare settings that do not exist",
            where=f"the stages of {spec.name}",
            received=", ".join(unknown),
            expected=", ".join(sorted(fields)),
        )
    for preset in spec.presets:
        make_request(spec, preset=preset)
    if unused := sorted(fields - used):
        raise UserError(
            "no stage reads these settings",
            where=f"the settings of {spec.name}",
            received=", ".join(unused),
            expected="settings that a StageSpec lists in its config",
            remedies=["list them there, or remove them"],
        )
    return f"{len(fields)} settings, presets {', '.join(spec.presets)}"


def _check_code(pipeline: Pipeline) -> str:
    digests: dict[Any, str] = dict.fromkeys(STAGES, "")
    modules: set[str] = set()
    for stage in ("clean", "train", "evaluate", "publish"):
        modules |= pipeline.components(stage, digests)["code"].keys()
    own = sorted(name for name in modules if not name.startswith("regrow"))
    return f"fingerprints cover {', '.join(own) or 'no code of the project'}"


def _run(pipeline: Pipeline, stage: Any, refs: dict[Any, StageRef]) -> str:
    refs[stage] = pipeline.run_stage(stage, dict(refs), report)
    facts = pipeline.entry(refs[stage]).facts
    if "rows" in facts:
        return f"{facts['rows']:,} rows"
    return ", ".join(str(source["origin"]) for source in facts.get("sources", ()))


def _check_expectations(spec: ModelSpec, clean: Entry) -> str:
    from regrow.checks.expectations import check_frame

    frame = _sample(clean.file("table.parquet"))
    expectations = list_expectations(spec.stages["validate"])
    results = check_frame(frame, expectations, id_column=spec.id_column)
    failed = [r for r in results if not r["success"] and r["severity"] == "error"]
    if failed:
        raise UserError(
            f"{len(failed)} of {len(results)} expectations are not met",
            where=f"the first {len(frame):,} rows of the cleaned table",
            received="\n".join(
                f"{r['expectation']}: {r['error'] or 'violated'}, "
                f"{'; '.join(str(e['value']) for e in r['examples'])}"
                for r in failed
            ),
            remedies=["correct the data or the expectation"],
        )
    return f"{len(results)} are met on {len(frame):,} rows"


def _sample(table: Path) -> Any:
    import pyarrow.parquet as pq

    rows = next(pq.ParquetFile(table).iter_batches(SAMPLE_ROWS))
    return rows.to_pandas()


def _train(spec: ModelSpec, pipeline: Pipeline, clean: StageRef, folder: Path) -> str:
    """Trains once, for one epoch, on the first rows, into a temporary folder."""
    short = {name: value for name, value in SHORT.items() if name in spec.config.model_fields}
    request: RunRequest = make_request(spec, overrides=short)
    config = spec.config.model_validate(request.config)
    entry = pipeline.entry(clean)
    rows = folder / "clean"
    rows.mkdir()
    _sample(entry.file("table.parquet")).to_parquet(rows / "table.parquet", index=False)
    for part in ("out", "scratch"):
        (folder / part).mkdir()
    stage = spec.stages["train"]
    context = StageContext(
        SettingsView(config, stage.config, f"stage train of {spec.name}"),
        {"clean": Entry(rows, entry.manifest)},
        folder / "out",
        folder / "scratch",
        report,
    )
    facts = load(stage.run)(context)
    return f"{facts.get('parameters', 0):,} parameters, one epoch on {SAMPLE_ROWS:,} rows"


def _load_elsewhere(spec: ModelSpec, settings: Settings, folder: Path) -> str:
    """Loads the model in a new process, and compares its answers with those that were kept."""
    code = (
        "import sys; from pathlib import Path; "
        "from regrow.training.inference import find_difference, load_model; "
        "found = find_difference(load_model(Path(sys.argv[1])), Path(sys.argv[2])); "
        "sys.exit(found)"
    )
    out = folder / "out"
    done = subprocess.run(
        [sys.executable, "-c", code, str(out / "model.keras"), str(out / "example.npz")],
        capture_output=True,
        text=True,
        check=False,
        cwd=settings.project,
        env={**os.environ, "REGROW_PROJECT": str(settings.project)},
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or ["no message"]
        raise UserError(
            "the saved model cannot be used in another process",
            where=spec.stages["train"].run,
            received=lines[-1],
            expected="a model whose classes are registered with Keras in modules of the project",
            remedies=["register layers: @keras.saving.register_keras_serializable()"],
        )
    return "the same predictions in a new process"
