"""The clean table as frames, and the chapter's view of it."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

    from regrow.models.question_answering.tasks import Split


def read_questions(
    table: Path,
    *,
    tasks: Collection[int] | None = None,
    split: Split | None = None,
    forget: bool = False,
) -> pd.DataFrame:
    """The clean table's rows of some tasks, or of one split, in the table's order.

    Args:
        forget: whether they are read as the chapter does, see `forget_answered`.

    Returns:
        A frame with the table's columns; `story` and `supporting` are numpy arrays.
    """
    import pyarrow.parquet as pq

    wanted: list[tuple[str, str, object]] = []
    if tasks is not None:
        wanted.append(("task", "in", set(tasks)))
    if split is not None:
        wanted.append(("split", "==", split))
    frame: pd.DataFrame = pq.read_table(table, filters=wanted or None).to_pandas()
    return forget_answered(frame) if forget else frame


def forget_answered(frame: pd.DataFrame) -> pd.DataFrame:
    """The rows as the chapter reads them: after each question it forgets the story so far.

    Only the sentences since the story's previous question are left, often none. Supporting facts
    among the forgotten ones are gone, the others are counted anew. Gulli & Pal's network cannot
    answer such questions, and is measured on them all the same.
    """
    rows = list(zip(frame["story"], frame["supporting"], frame["new_from"], strict=True))
    kept = [supporting[supporting >= start] - start for _, supporting, start in rows]
    return frame.assign(
        story=[story[start:] for story, _, start in rows],
        supporting=kept,
        sentences=[len(story) - start for story, _, start in rows],
        supporting_max=[facts.max(initial=-1) for facts in kept],
        new_from=0,
    ).astype({name: frame[name].dtype for name in ("sentences", "supporting_max", "new_from")})
