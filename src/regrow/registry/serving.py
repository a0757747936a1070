"""What is registered with a model so that it answers where regrow is not installed.

It is the model as TensorFlow's SavedModel, and the code that `ModelSpec.serving` names, which is
before and behind it. The wrapper that MLflow loads is `served_model.py`.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from regrow.base.errors import UserError
from regrow.base.project import list_packages
from regrow.base.spec import Serving, load

# What every version needs, beside MLflow itself.
LIBRARIES = ("mlflow", "tensorflow", "numpy", "pandas")


@dataclass(frozen=True)
class Export:
    """What MLflow writes as a version's model.

    Attributes:
        artifacts: paths of files and folders by name.
        signature: the inputs and outputs, MLflow's `ModelSignature`.
        example: inputs that the model answers: a frame, an array or a dictionary of arrays.
        error: why the version answers in regrow only; "" if it answers anywhere.
    """

    artifacts: dict[str, str]
    signature: Any
    example: Any
    error: str = ""


def export_release(model: Path, example: Path, serving: Serving | None, folder: Path) -> Export:
    """Exports a model, with the code that it is served with, and has it answer its example.

    Args:
        model: the `.keras` file.
        example: its `example.npz`.
        serving: the code; None for a model that takes and gives arrays.
        folder: an empty folder to write to.

    Raises:
        UserError: the code imports what is not copied with it, or does not answer the example.
    """
    from mlflow.models import infer_signature

    from regrow.registry.served_model import FACTS, ServedModel
    from regrow.training.export import NotExportable, export_model
    from regrow.training.inference import load_example, load_model

    inputs, outputs = load_example(example)
    artifacts = {"model": str(model), "serving": str(folder / "serving")}
    modules = serving.modules if serving else ()
    facts: dict[str, Any] = {"modules": copy_modules(modules, folder / "serving")}
    error = ""
    try:
        facts["dtypes"] = export_model(model, example, folder / "saved_model").dtypes
        artifacts["saved_model"] = str(folder / "saved_model")
    except NotExportable as found:
        error = facts["error"] = str(found)
    if serving:
        facts |= load(serving.describe)(load_model(model), inputs)
    (folder / "serving" / FACTS).write_text(json.dumps(facts), encoding="utf-8")
    if error or not serving:
        return Export(artifacts, infer_signature(inputs, outputs), inputs, error)
    frame, schema = _make_example(facts["columns"], facts["example"])
    served = ServedModel()
    served.load_context(SimpleNamespace(artifacts=artifacts))
    try:
        answers = served.predict(None, frame)
    except Exception as found:
        raise UserError(
            "the model gives no answer to its own example when it is served",
            where=serving.modules[-1],
            received=f"{type(found).__name__}: {found}".splitlines()[0],
            expected="describe and answer that fit each other",
        ) from found
    signature = infer_signature(frame, answers)
    signature.inputs = schema
    return Export(artifacts, signature, frame, "")


def list_requirements(serving: Serving | None) -> list[str]:
    """The packages that a version needs to answer, as plain releases: "tensorflow==2.21.0"."""
    own = serving.requirements if serving else ()
    return [
        f"{name}=={importlib.metadata.version(name).partition('+')[0]}"
        for name in (*LIBRARIES, *own)
    ]


def copy_modules(modules: Sequence[str], folder: Path) -> list[str]:
    """Copies modules side by side into a folder, where they import each other relatively.

    Returns:
        Their names there.

    Raises:
        UserError: one imports a package of the project, which is not there when it is served.
    """
    folder.mkdir(parents=True)
    names = {module: module.rpartition(".")[2] for module in modules}
    for module, name in names.items():
        spec = importlib.util.find_spec(module)
        assert spec is not None
        assert spec.origin is not None
        text = Path(spec.origin).read_text(encoding="utf-8")
        for other, there in names.items():
            text = re.sub(
                rf"^from {re.escape(other)} import", f"from .{there} import", text, flags=re.M
            )
        if foreign := sorted(_imported(text) & set(list_packages())):
            raise UserError(
                "code that a model is served with imports a package that is not copied with it",
                where=module,
                received=", ".join(foreign),
                expected="imports of libraries, and `from MODULE import NAME` of the modules that "
                "Serving.modules lists",
            )
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return list(names.values())


def _imported(text: str) -> set[str]:
    """The top packages that code imports by absolute imports."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    return found


def _make_example(columns: Sequence[dict[str, Any]], rows: Any) -> tuple[Any, Any]:
    """The rows as a frame, and the schema of its columns."""
    import base64

    import pandas as pd
    from mlflow.types.schema import ColSpec, Schema, TensorSpec

    frame = pd.DataFrame(rows, columns=[column["name"] for column in columns])
    for column in columns:
        name = column["name"]
        if column["type"] == "binary":
            frame[name] = frame[name].map(base64.b64decode)
        elif column["type"] == "datetime":
            frame[name] = pd.to_datetime(frame[name])
        elif column["type"] == "double":
            frame[name] = frame[name].astype("float64")
    specs: list[ColSpec | TensorSpec] = [
        ColSpec(column["type"], column["name"], column["required"]) for column in columns
    ]
    return frame, Schema(specs)
