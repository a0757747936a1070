"""Pipelines that train, check and publish Keras models, and train them again when data changes.

The names below are imported when they are first used, so that `import regrow` is quick.
"""

from __future__ import annotations

import importlib
from typing import Any

# Where each public name is defined. A fingerprint counts that module, and never this one.
PUBLIC = {
    "Champion": "regrow.api.champion",
    "Card": "regrow.base.spec",
    "Columns": "regrow.tabular.model",
    "DataError": "regrow.base.errors",
    "Expectation": "regrow.checks.expectations",
    "FitPlan": "regrow.training.plan",
    "Gate": "regrow.base.spec",
    "Model": "regrow.tabular.model",
    "ModelConfig": "regrow.base.spec",
    "ModelSpec": "regrow.base.spec",
    "RunResult": "regrow.api.runs",
    "Serving": "regrow.base.spec",
    "Split": "regrow.tabular.model",
    "StageContext": "regrow.store.context",
    "StageSpec": "regrow.base.spec",
    "TableInputs": "regrow.tabular.inputs",
    "TrainingConfig": "regrow.tabular.model",
    "UserError": "regrow.base.errors",
    "Comparison": "regrow.operations.compare",
    "answer": "regrow.training.inference",
    "compare": "regrow.api.views",
    "check": "regrow.operations.check",
    "columns": "regrow.tabular.model",
    "csv": "regrow.base.declared_data",
    "file": "regrow.base.declared_data",
    "sql": "regrow.base.declared_data",
    "expect": "regrow.checks.expectations",
    "fit": "regrow.training.fit",
    "list_models": "regrow.api.views",
    "load_champion": "regrow.api.champion",
    "load_model": "regrow.training.inference",
    "predict": "regrow.api.champion",
    "profile_table": "regrow.checks.profiles",
    "run": "regrow.api.runs",
    "run_trainings": "regrow.training.seeds",
    "save_example": "regrow.training.inference",
    "set_seed": "regrow.training.determinism",
    "status": "regrow.api.views",
}


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'regrow' has no attribute {name!r}")
    return getattr(importlib.import_module(PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *PUBLIC])
