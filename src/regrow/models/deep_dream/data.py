"""The clean table of deep-dream: a manifest of photos, and of the picture that guides them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regrow.vision.manifest import write_manifest

if TYPE_CHECKING:
    from regrow.store.context import StageContext


def clean(ctx: StageContext) -> dict[str, Any]:
    """Writes the manifest with its pictures, and the backbone's weights.

    Raises:
        DataError: a picture cannot be read; the weights are not those of the backbone.
    """
    return write_manifest(ctx, {"photo": "photo", "style": "guide"})
