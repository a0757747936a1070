"""The formats that a model is exported to. This module imports no library."""

from __future__ import annotations

from typing import Literal

Format = Literal["saved_model", "onnx", "litert", "keras"]
FORMATS: dict[Format, str] = {
    "saved_model": "",
    "onnx": ".onnx",
    "litert": ".tflite",
    "keras": ".keras",
}
"""The formats, each with the ending of its file; a SavedModel is a folder."""
