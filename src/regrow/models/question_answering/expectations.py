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
        "training selects columns by name",
        column_list=list(COLUMNS),
    ),
    expect(
        "table_row_count_to_be_between",
        "fewer questions are not enough to show whether a task was learned",
        min_value=100,
    ),
    *(
        expect("column_values_to_not_be_null", "all parts of a question are required", column=name)
        for name in SCHEMA.names
    ),
    expect("column_values_to_be_unique", "ids must be unique", column="id"),
    expect(
        "column_values_to_match_regex",
        "an id consists of edition, task, split and number",
        column="id",
        regex=r"^en(?:-10k)?/qa\d\d/(?:train|test)/\d{7}$",
    ),
    expect(
        "column_values_to_be_in_set",
        "the supported editions",
        column="edition",
        value_set=["en", "en-10k"],
    ),
    _between("task", 1, 20, "there are twenty tasks"),
    expect(
        "column_distinct_values_to_equal_set",
        "training and test data must not be empty",
        column="split",
        value_set=["train", "test"],
    ),
    _between("line", 2, None, "every question must follow a sentence"),
    _between("story_number", 1, None, "stories are counted from 1"),
    _between("sentences", 1, MAX_STORY_LINES, "a question refers to a story"),
    _between("supporting_max", 0, MAX_STORY_LINES, "every question has a supporting fact"),
    expect(
        "column_pair_values_a_to_be_greater_than_b",
        "a supporting fact is a sentence of the story",
        column_A="sentences",
        column_B="supporting_max",
    ),
    expect(
        "column_pair_values_a_to_be_greater_than_b",
        "new sentences must belong to the story",
        column_A="sentences",
        column_B="new_from",
        or_equal=True,
    ),
    expect(
        "column_values_to_match_regex",
        "a question consists of lower-case words separated by single spaces",
        column="question",
        regex=WORDS,
    ),
    expect(
        "column_values_to_match_regex",
        "an answer consists of lower-case words, or a list or path of them",
        column="answer",
        regex=r"^[^\sA-Z]+$",
    ),
    _between(
        "unseen_words", 0, 0, "a model only knows words that occur in the training file of its task"
    ),
    expect(
        "column_values_to_be_in_set",
        "an answer that does not occur in training cannot be predicted; this applies to one list "
        "in task 8 of en",
        column="unseen_answer",
        value_set=[False],
        mostly=0.99,
    ),
)
