"""The clean table of style-transfer: a manifest of photos and styles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regrow.engine.expectations import Expectation, expect
from regrow.vision.manifest import EXPECTATIONS as OF_PICTURES
from regrow.vision.manifest import write_manifest

if TYPE_CHECKING:
    from regrow.engine.spec import StageContext


def clean(ctx: StageContext) -> dict[str, Any]:
    """Writes the manifest with its pictures, and the backbone's weights.

    Raises:
        DataError: a picture cannot be read; the weights are not those of the backbone.
    """
    return write_manifest(ctx, {"photo": "photo", "style": "style"})


EXPECTATIONS: tuple[Expectation, ...] = (
    *OF_PICTURES,
    expect(
        "column_distinct_values_to_equal_set",
        "there are a content and a style",
        column="role",
        value_set=["photo", "style"],
    ),
)
