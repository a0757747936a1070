"""How a model of sentence-vectors is scored: a challenger and the champion alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from regrow.models.sentence_vectors.measures import (
    Data,
    encode_documents,
    measure_rebuilding,
    measure_topics,
)

if TYPE_CHECKING:
    from pathlib import Path


def score(model: Any, table: Path, _config: Any) -> dict[str, float]:
    """Micro-F1 of a linear probe on ModApte-90, precision of 100 neighbours, variance explained."""
    data = Data.read(table.parent)
    topics = measure_topics(*encode_documents(model, data), data.labelled)
    variance = measure_rebuilding(model, data).figures["explained_variance"]
    return {**topics.figures, "explained_variance": variance}
