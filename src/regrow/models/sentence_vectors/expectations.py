"""What must hold of the clean table of Reuters' documents."""

from __future__ import annotations

from regrow.checks.expectations import Expectation, expect
from regrow.models.sentence_vectors.data import COLUMNS

EXPECTATIONS: tuple[Expectation, ...] = (
    expect(
        "table_columns_to_match_ordered_list",
        "training selects columns by name",
        column_list=list(COLUMNS),
    ),
    expect(
        "table_row_count_to_be_between",
        "fewer documents contain too few sentences for training",
        min_value=100,
    ),
    *(
        expect("column_values_to_not_be_null", "all parts of a document are required", column=name)
        for name in COLUMNS
    ),
    expect("column_values_to_be_unique", "ids must be unique", column="id"),
    expect("column_values_to_be_between", "documents are counted from 1", column="id", min_value=1),
    expect(
        "column_values_to_be_between",
        "all documents are from 1987; another date is a parsing error",
        column="date",
        min_value="1987-01-01T00:00:00",
        max_value="1987-12-31T23:59:59",
    ),
    expect(
        "column_pair_values_to_be_in_set",
        "the ModApte split is determined by these attributes, not by topics",
        column_A="lewis_split",
        column_B="mod_apte",
        value_pairs_set=[
            ("TRAIN", "train"),
            ("TRAIN", "unused"),
            ("TEST", "test"),
            ("TEST", "unused"),
            ("NOT-USED", "unused"),
        ],
    ),
    expect(
        "column_pair_values_to_be_in_set",
        "a document that was not indexed belongs to neither split of ModApte",
        column_A="indexed",
        column_B="mod_apte",
        value_pairs_set=[
            ("YES", "train"),
            ("YES", "test"),
            ("YES", "unused"),
            ("NO", "unused"),
            ("BYPASS", "unused"),
        ],
    ),
    expect(
        "column_pair_values_to_be_in_set",
        "the ModHayes split is given by the attribute CGISPLIT",
        column_A="cgi_split",
        column_B="mod_hayes",
        value_pairs_set=[("TRAINING-SET", "train"), ("PUBLISHED-TESTSET", "test")],
    ),
    *(
        expect(
            "column_distinct_values_to_contain_set",
            "training and test data must not be empty",
            column=name,
            value_set=["train", "test"],
        )
        for name in ("mod_apte", "mod_lewis")
    ),
    expect(
        "column_values_to_be_in_set",
        "the three types in the collection",
        column="form",
        value_set=["NORM", "BRIEF", "UNPROC"],
    ),
    expect(
        "column_values_to_be_between",
        "more topics indicate that the end of the list is missing",
        column="topics",
        min_value=0,
        max_value=30,
    ),
    expect(
        "column_values_to_be_between",
        "a document without sentences has lost its text",
        column="sentences",
        min_value=1,
        mostly=0.99,
    ),
    expect(
        "column_values_to_match_regex",
        "texts contain no control characters except tabs and line breaks",
        column="body",
        regex=r"\A[^\x00-\x08\x0b-\x1f\x7f-\x9f]*\Z",
    ),
    expect(
        "column_values_to_not_match_regex",
        "tags and entities are parsed, not kept",
        column="body",
        regex=r"</?(?:REUTERS|TEXT|TITLE|BODY|DATELINE)>|&(?:lt|amp|#\d+);",
    ),
)
