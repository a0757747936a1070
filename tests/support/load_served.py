"""Loads registered versions as someone who does not have regrow, and prints what they answer.

python load_served.py TRACKING_URI MODEL...     (such as models:/air-quality.sample@champion)
"""

from __future__ import annotations

import json
import os
import sys
from importlib.abc import MetaPathFinder
from typing import Any

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


class Absent(MetaPathFinder):
    """Hides what a fresh environment does not have."""

    def find_spec(self, name: str, *_: Any) -> None:
        if name.partition(".")[0] in ("regrow", "flows", "tasks", "tests"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def answer_example(address: str) -> Any:
    """What a version answers to its own example, as JSON."""
    import mlflow

    model = mlflow.pyfunc.load_model(address)
    found = model.predict(model.input_example)
    return json.loads(json.dumps(found.to_dict("list"), default=_to_json))


def _to_json(value: Any) -> Any:
    """Bytes as hexadecimal digits, and times as text."""
    return value.hex() if isinstance(value, bytes) else value.isoformat()


if __name__ == "__main__":
    uri, *addresses = sys.argv[1:]
    sys.meta_path.insert(0, Absent())
    assert not [name for name in sys.modules if name.startswith("regrow")]
    import mlflow

    mlflow.set_tracking_uri(uri)
    print(json.dumps({address: answer_example(address) for address in addresses}))
