"""bAbI's data: from the files to a clean table, and what must hold of that table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from regrow.base.errors import DataError
from regrow.models.question_answering.reader import (
    Reading,
    read_questions,
)
from regrow.models.question_answering.rows import SCHEMA
from regrow.models.question_answering.tasks import ONLY_EN, TASKS, Edition, Split, member_path

if TYPE_CHECKING:
    import pyarrow as pa

    from regrow.store.context import StageContext
    from regrow.store.entry import Entry

# What expectations need and lists cannot give them; `_derive` fills them in.
DERIVED = ("sentences", "supporting_max", "unseen_words", "unseen_answer")
COLUMNS = (*SCHEMA.names, *DERIVED)


@dataclass
class _Task:
    """What was met in a task's two files."""

    edition: Edition
    files: dict[Split, Reading] = field(default_factory=dict)


def clean(ctx: StageContext) -> dict[str, Any]:
    """Writes `table.parquet`: one row a question, by task, training file first.

    Its columns are `rows.SCHEMA` and `DERIVED`: how many sentences the story has, the last
    supporting one (from 0), and for the test split how many words of story and question (counted
    each time they stand there) and whether the answer are not in the task's training file.

    Returns:
        Facts: rows by task and split, sizes of the vocabulary and of the longest story and
        sentence, and which tasks are read from en although en-10k is asked for.

    Raises:
        DataError: a file is not as bAbI's are, or is not there.
    """
    import pyarrow.parquet as pq

    wanted = sorted(set(ctx.config.tasks))
    tasks: dict[int, _Task] = {}
    done = 0
    with pq.ParquetWriter(ctx.out / "table.parquet", _schema(), compression="zstd") as writer:
        for number in wanted:
            tasks[number] = task = _Task("en" if number in ONLY_EN else ctx.config.edition)
            for batch in _read_task(ctx.inputs["download"], number, task):
                writer.write_batch(batch)
                done += batch.num_rows
                ctx.progress("clean questions", done, 0)
    return _summarise(tasks, ctx.config.edition)


def _read_task(download: Entry, number: int, task: _Task) -> Iterator[pa.RecordBatch]:
    for split in get_args(Split):
        name = member_path(task.edition, number, split)
        path = _find(download, name, number)
        task.files[split] = facts = Reading()
        train = task.files["train"]
        batches = read_questions(path, facts, edition=task.edition, task=number, split=split)
        for batch in batches:
            yield _derive(batch, train)


def _find(download: Entry, name: str, task: int) -> Path:
    if name in download.manifest.files:
        return download.file(name)
    here = [
        f"{edition} task {number}"
        for edition in get_args(Edition)
        for number in TASKS
        if member_path(edition, number, "train") in download.manifest.files
    ]
    raise DataError(
        f"the data contains no file for task {task}",
        where=f"{download.facts['sources'][0]['origin']}, member {name}",
        received=f"training files of {', '.join(here) or 'no task'}",
        expected=name,
        remedies=["choose an edition and tasks that are available", "run with the real data"],
    )


def _schema() -> pa.Schema:
    import pyarrow as pa

    counts = [pa.field(name, pa.int16()) for name in DERIVED[:-1]]
    return pa.schema([*SCHEMA, *counts, pa.field(DERIVED[-1], pa.bool_())])


def _derive(batch: pa.RecordBatch, train: Reading) -> pa.RecordBatch:
    """The batch with the columns that expectations need."""
    import pyarrow as pa
    import pyarrow.compute as pc

    story, facts = batch.column("story"), batch.column("supporting")
    starts = facts.offsets.to_numpy()[:-1]
    unseen_words = _count_unseen(story.values, train.words).astype("int64")
    totals = np.concatenate([[0], np.cumsum(unseen_words)])
    offsets = story.offsets.to_numpy()
    unseen = totals[offsets[1:]] - totals[offsets[:-1]]
    unseen += _count_unseen(batch.column("question"), train.words)
    answers = pa.array(sorted(train.answers), pa.string())
    arrays = [
        pc.list_value_length(story),
        pa.array(np.maximum.reduceat(facts.values.to_numpy(), starts)),
        pa.array(np.minimum(unseen, np.iinfo("int16").max)),
        pc.invert(pc.is_in(batch.column("answer"), value_set=answers)),
    ]
    schema = _schema()
    types = [schema.field(name).type for name in DERIVED]
    derived = [array.cast(kind) for array, kind in zip(arrays, types, strict=True)]
    return pa.RecordBatch.from_arrays([*batch.columns, *derived], schema=schema)


def _count_unseen(texts: pa.StringArray, words: set[str]) -> Any:
    """For each text how many of its words are not among `words`."""
    encoded = texts.dictionary_encode()
    counts = [
        sum(word not in words for word in text.split()) for text in encoded.dictionary.to_pylist()
    ]
    return np.array(counts, dtype="int64")[encoded.indices.to_numpy()]


def _summarise(tasks: dict[int, _Task], edition: Edition) -> dict[str, Any]:
    files = [reading for task in tasks.values() for reading in task.files.values()]
    from_en = [number for number, task in tasks.items() if task.edition != edition]
    facts: dict[str, Any] = {
        "rows": sum(reading.questions for reading in files),
        "columns": len(COLUMNS),
        "edition": edition,
        "tasks_from_en": from_en,
        "rows_by_task": {
            str(number): {split: reading.questions for split, reading in task.files.items()}
            for number, task in tasks.items()
        },
        "stories": sum(reading.stories for reading in files),
        "vocabulary": len(set().union(*(reading.words for reading in files))),
        "answers": len(set().union(*(reading.answers for reading in files))),
        "longest_story_sentences": max(reading.longest_story for reading in files),
        "longest_sentence_words": max(reading.longest_sentence for reading in files),
        "empty_lines_dropped": sum(reading.empty_lines for reading in files),
        "byte_order_marks_removed": sum(reading.byte_order_mark for reading in files),
    }
    if from_en:
        facts["note"] = (
            "task 3 is read from en, with 1,000 training questions: no original copy of its "
            "10,000 questions was found, so its results do not belong to en-10k"
        )
    return facts
