"""The model as MLflow loads and serves it: this file is copied into every registered version.

MLflow runs the copy where the version is loaded ("models from code"), so nothing is pickled and
regrow need not be installed there: it imports only what the version's requirements name. What turns
a user's columns into tensors and back is in `serving/`, beside the exported model.
"""

import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel

FACTS = "facts.json"


class ServedModel(PythonModel):
    """A SavedModel, and the code that is before and behind it."""

    def load_context(self, context: Any) -> None:
        """Loads the SavedModel and the code of `serving/`."""
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        folder = Path(context.artifacts["serving"])
        self.facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        if "saved_model" not in context.artifacts:
            raise MlflowException(f"this version can only be used by regrow: {self.facts['error']}")
        import tensorflow as tf

        self._tensorflow = tf
        # Functions of a SavedModel end with it, so it is kept.
        self._loaded = tf.saved_model.load(context.artifacts["saved_model"])
        self._answer = import_answer(folder, self.facts["modules"])

    # Of this type MLflow makes no signature of its own; models of arrays are given arrays.
    def predict(self, context: Any, model_input: pd.DataFrame, params: Any = None) -> Any:
        """The answers: named columns for named columns, or arrays for arrays."""
        if self._answer is None:
            return self.run(model_input)
        try:
            return self._answer(model_input, self.facts, self.run)
        except ValueError as error:
            raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error

    def run(self, inputs: Any) -> Any:
        """The model's answers to an array, or a dictionary of arrays; the first axis is rows."""
        constant, dtypes = self._tensorflow.constant, self.facts["dtypes"]
        if isinstance(dtypes, dict):
            given: Any = {
                name: constant(np.asarray(inputs[name], of)) for name, of in dtypes.items()
            }
        elif isinstance(dtypes, list):
            given = [constant(np.asarray(inputs, dtypes[0]))]
        else:
            given = constant(np.asarray(inputs, dtypes))
        found = self._loaded.serve(given)
        if isinstance(found, dict):
            return {name: value.numpy() for name, value in found.items()}
        return found.numpy()


def import_answer(folder: Path, modules: list[str]) -> Callable[..., Any] | None:
    """The function `answer` of the last of some modules in a folder; None if there are none.

    They are imported as a package with a name of its own: several versions, each with its code, can
    be in one process.
    """
    if not modules:
        return None
    package = ModuleType(f"regrow_serving_{uuid4().hex}")
    package.__path__ = [str(folder)]
    sys.modules[package.__name__] = package
    answer: Callable[..., Any] = importlib.import_module(f"{package.__name__}.{modules[-1]}").answer
    return answer


set_model(ServedModel())
