"""The table of docs/architecture.md is the way that a run takes."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from regrow.base.project import get_spec
from regrow.base.settings import read_environment
from tests.conftest import REPOSITORY

ROW = re.compile(r"^\| `(regrow\.[\w.]+):([\w.]+)` \|", re.MULTILINE)


def walk() -> list[str]:
    text = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    return [f"{module}:{name}" for module, name in ROW.findall(text)]


def code_of(path: str) -> CodeType:
    module, _, name = path.partition(":")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    code: CodeType = inspect.unwrap(found).__code__
    return code


def test_a_run_meets_the_functions_of_the_table_in_its_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from regrow.base.progress import report
    from regrow.pipeline.pipeline import Pipeline
    from regrow.pipeline.request import make_request
    from regrow.pipeline.runs import run_stages

    monkeypatch.setenv("REGROW_HOME", str(tmp_path / "home"))
    expected = walk()
    assert len(expected) > 15
    names = {code_of(path): path for path in expected}
    met: list[str] = []

    def trace(frame: FrameType, event: str, _argument: object) -> None:
        path = names.get(frame.f_code) if event == "call" else None
        if path is not None and path not in met:
            met.append(path)

    sys.setprofile(trace)
    try:
        spec = get_spec("air-quality")
        request = make_request(spec, preset="quick", data="sample", overrides={"seeds": 1})
        pipeline = Pipeline(spec, request, read_environment())
        run_stages(pipeline, lambda stage, inputs: pipeline.run_stage(stage, inputs, report))
    finally:
        sys.setprofile(None)
    assert met == expected
