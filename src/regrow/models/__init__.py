"""The models: one folder each, holding what the model is and nothing of how it is run."""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path

from regrow.engine.errors import UserError
from regrow.engine.spec import ModelSpec


def list_models() -> list[str]:
    """The names of all models: every folder here that holds a spec.py."""
    folders = Path(__file__).parent.glob("*/spec.py")
    return sorted(path.parent.name.replace("_", "-") for path in folders)


def get_spec(name: str) -> ModelSpec:
    """The model's specification; imports nothing heavy.

    Raises:
        UserError: there is no such model.
    """
    names = list_models()
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1)
        raise UserError(
            f"there is no model {name!r}" + (f"; did you mean {near[0]}?" if near else ""),
            received=name,
            expected=", ".join(names),
            remedies=["regrow list shows the models"],
        )
    spec: ModelSpec = importlib.import_module(f"{__name__}.{name.replace('-', '_')}.spec").SPEC
    return spec
