"""What must hold of the clean table of Reuters' documents."""

from __future__ import annotations

from regrow.checks.expectations import Expectation, expect
from regrow.models.sentence_vectors.data import COLUMNS

EXPECTATIONS: tuple[Expectation, ...] = (
    expect(
        "table_columns_to_match_ordered_list",
        "training picks columns by name",
        column_list=list(COLUMNS),
    ),
    expect(
        "table_row_count_to_be_between",
        "fewer documents hold too few sentences to learn from",
        min_value=100,
    ),
    *(
        expect("column_values_to_not_be_null", "every document has all its parts", column=name)
        for name in COLUMNS
    ),
    expect("column_values_to_be_unique", "an id names one document", column="id"),
    expect("column_values_to_be_between", "documents are counted from 1", column="id", min_value=1),
    expect(
        "column_values_to_be_between",
        "all were sent in 1987; another date is a reading error",
        column="date",
        min_value="1987-01-01T00:00:00",
        max_value="1987-12-31T23:59:59",
    ),
    expect(
        "column_pair_values_to_be_in_set",
        "the ModApte split follows from these attributes and from no topics",
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
        "a document that was not indexed is in neither part of ModApte",
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
        "the ModHayes split is the attribute CGISPLIT",
        column_A="cgi_split",
        column_B="mod_hayes",
        value_pairs_set=[("TRAINING-SET", "train"), ("PUBLISHED-TESTSET", "test")],
    ),
    *(
        expect(
            "column_distinct_values_to_contain_set",
            "without either there is nothing to learn from, or nothing to measure by",
            column=name,
            value_set=["train", "test"],
        )
        for name in ("mod_apte", "mod_lewis")
    ),
    expect(
        "column_values_to_be_in_set",
        "the three forms that the collection has",
        column="form",
        value_set=["NORM", "BRIEF", "UNPROC"],
    ),
    expect(
        "column_values_to_be_between",
        "a document with more topics than this has lost the end of their list",
        column="topics",
        min_value=0,
        max_value=30,
    ),
    expect(
        "column_values_to_be_between",
        "a document without any sentence has lost its text",
        column="sentences",
        min_value=1,
        mostly=0.99,
    ),
    expect(
        "column_values_to_match_regex",
        "texts hold no control characters but tabs and line ends",
        column="body",
        regex=r"\A[^\x00-\x08\x0b-\x1f\x7f-\x9f]*\Z",
    ),
    expect(
        "column_values_to_not_match_regex",
        "tags and entities are read, not kept",
        column="body",
        regex=r"</?(?:REUTERS|TEXT|TITLE|BODY|DATELINE)>|&(?:lt|amp|#\d+);",
    ),
)
