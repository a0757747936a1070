"""What must hold of the clean table of bAbI's questions."""

from __future__ import annotations

from regrow.checks.expectations import Expectation, expect
from regrow.models.question_answering.data import COLUMNS
from regrow.models.question_answering.reader import MAX_STORY_LINES
from regrow.models.question_answering.rows import SCHEMA


def _between(column: str, low: float, high: float | None, why: str) -> Expectation:
    return expect("column_values_to_be_between", why, column=column, min_value=low, max_value=high)


WORDS = r"^[^\sA-Z?.]+(?: [^\sA-Z?.]+)*$"

EXPECTATIONS: tuple[Expectation, ...] = (
    expect(
        "table_columns_to_match_ordered_list",
        "training picks columns by name",
        column_list=list(COLUMNS),
    ),
    expect(
        "table_row_count_to_be_between",
        "fewer questions cannot show whether a task was learned",
        min_value=100,
    ),
    *(
        expect("column_values_to_not_be_null", "every question has all its parts", column=name)
        for name in SCHEMA.names
    ),
    expect("column_values_to_be_unique", "an id names one question", column="id"),
    expect(
        "column_values_to_match_regex",
        "an id says where its question stands: edition, task, split and number",
        column="id",
        regex=r"^en(?:-10k)?/qa\d\d/(?:train|test)/\d{7}$",
    ),
    expect(
        "column_values_to_be_in_set",
        "the two editions that are read",
        column="edition",
        value_set=["en", "en-10k"],
    ),
    _between("task", 1, 20, "there are twenty tasks"),
    expect(
        "column_distinct_values_to_equal_set",
        "without either there is nothing to learn from, or nothing to measure by",
        column="split",
        value_set=["train", "test"],
    ),
    _between("line", 2, None, "a sentence stands before every question"),
    _between("story_number", 1, None, "stories are counted from 1"),
    _between("sentences", 1, MAX_STORY_LINES, "a question is about a story"),
    _between("supporting_max", 0, MAX_STORY_LINES, "every question has a supporting fact"),
    expect(
        "column_pair_values_a_to_be_greater_than_b",
        "a supporting fact is a sentence of the story",
        column_A="sentences",
        column_B="supporting_max",
    ),
    expect(
        "column_pair_values_a_to_be_greater_than_b",
        "new sentences are sentences of the story",
        column_A="sentences",
        column_B="new_from",
        or_equal=True,
    ),
    expect(
        "column_values_to_match_regex",
        "a question is lower-case words with one blank between them",
        column="question",
        regex=WORDS,
    ),
    expect(
        "column_values_to_match_regex",
        "an answer is lower-case words, or a list or path of them",
        column="answer",
        regex=r"^[^\sA-Z]+$",
    ),
    _between("unseen_words", 0, 0, "a model knows no word that its task's training file lacks"),
    expect(
        "column_values_to_be_in_set",
        "an answer that training lacks cannot be given: one list of en's task 8 is such",
        column="unseen_answer",
        value_set=[False],
        mostly=0.99,
    ),
)
