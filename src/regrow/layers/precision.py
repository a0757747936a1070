"""In which dtype layers compute that square and sum."""

from __future__ import annotations


def widen(dtype: str) -> str:
    """float32 for half precision, whose range squares soon leave; any other dtype as it is.

    Not `keras.backend.result_type`: with PyTorch it makes float32 of float64.
    """
    return "float32" if dtype in ("float16", "bfloat16") else dtype
