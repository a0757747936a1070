"""The clean table of style-transfer: a manifest of photos, styles and their masks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regrow.base.errors import DataError
from regrow.vision.manifest import read_manifest, write_manifest

if TYPE_CHECKING:
    from regrow.store.context import StageContext


def clean(ctx: StageContext) -> dict[str, Any]:
    """Writes the manifest with its pictures, and the backbone's weights.

    Raises:
        DataError: a picture cannot be read; the weights are not those of the backbone; there are
            not as many masks as styles.
    """
    facts = write_manifest(ctx, {"photo": "photo", "style": "style", "style-mask": "mask"})
    if ctx.config.masks:
        table = ctx.out / "table.parquet"
        styles, masks = (len(read_manifest(table, role)) for role in ("style", "mask"))
        if masks != styles:
            raise DataError(
                "every style needs a mask",
                where="--source style-mask",
                received=f"{masks} masks for {styles} styles",
                expected=f"{styles}, in a zip, in the order of the style names",
            )
    return facts
