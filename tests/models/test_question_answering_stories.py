"""Stories of a person's own: how they are read, turned into numbers and answered."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pandas as pd
import pytest

from regrow.base.errors import DataError
from regrow.models.question_answering.network import (
    build_network,
    encode_frame,
    group_by_length,
    split_stories,
)
from regrow.models.question_answering.predict import answer_asked, predict
from regrow.models.question_answering.score import count_errors, find_right
from regrow.models.question_answering.spec import (
    MemoryConfig,
    QueryReductionConfig,
    QuestionAnsweringConfig,
    name_scope,
)
from regrow.models.question_answering.stories import parse_stories, read_stories
from regrow.models.question_answering.vocabulary import (
    Sizes,
    StoryVocabulary,
    collect_words,
    encode,
    measure_sizes,
    read_sizes,
)
from regrow.training.determinism import set_seed

WORDS = ["garden", "is", "john", "kitchen", "mary", "the", "to", "went", "where"]
FRAME = pd.DataFrame(
    {
        "story": [
            ["mary went to the garden"],
            ["mary went to the garden", "john went to the kitchen"],
        ],
        "question": ["where is mary", "where is john"],
        "answer": ["garden", "kitchen"],
    }
)


@pytest.fixture(scope="module")
def model() -> keras.Model:
    """A network with room for two sentences, not trained."""
    set_seed(0, deterministic=False)
    vocabulary = StoryVocabulary(WORDS, ["garden", "kitchen"], [1], name="vocabulary")
    return build_network(MemoryConfig(size=4, hops=2), vocabulary, Sizes(2, 5, 3))[1]


def test_sentences_and_questions_line_by_line() -> None:
    asked = parse_stories(
        [
            "Mary went to the garden.",
            "Where is Mary?",
            "",
            "1 John sleeps.",
            "2 Is he up? \tno\t1",
        ],
        "typed",
    )
    assert [(one.story, one.question, one.where, one.expected) for one in asked] == [
        (("Mary went to the garden.",), "Where is Mary?", "typed, line 2", ""),
        (("John sleeps.",), "Is he up?", "typed, line 5", "no"),
    ]
    assert asked[0].tokenised == (["mary went to the garden"], "where is mary")


@pytest.mark.parametrize(
    ("text", "said", "where"),
    [
        (b"", "there is no question", "story.txt"),
        (b"Mary sleeps.\n", "there is no question", "story.txt"),
        (b"Where is Mary?\n", "without a preceding story", "line 1"),
        (b"Mary sleeps.\n\nWhere is Mary?\n", "without a preceding story", "line 3"),
        (b"Mary sleeps.\n...\nWhere is Mary?\n", "no words", "line 2"),
        (b"Mary sleeps.\n" + b"x" * 3000 + b"\nWhere is Mary?\n", "too long", "line 2"),
        (b"A b.\n" * 1002 + b"Where is Mary?\n", "too long", "line 1002"),
        (b"Mary \xff sleeps.\n", "not UTF-8", "byte 5"),
    ],
)
def test_what_is_no_story_is_refused(text: bytes, said: str, where: str, tmp_path: Path) -> None:
    path = tmp_path / "story.txt"
    path.write_bytes(text)
    with pytest.raises(DataError, match=said) as raised:
        read_stories(path)
    assert where in str(raised.value)


def test_the_last_sentence_is_in_the_last_row() -> None:
    vocabulary = StoryVocabulary(WORDS, ["garden"], [1])
    found = encode(
        [["mary went"], ["mary went", "john went", "mary is to the garden kitchen"]],
        ["where is mary", "where is she"],
        vocabulary,
        Sizes(2, 5, 3),
    )
    assert found["story"].tolist() == [
        [[0, 0, 0, 0, 0], [5, 8, 0, 0, 0]],
        [[3, 8, 0, 0, 0], [5, 2, 7, 6, 1]],
    ]
    assert found["question"].tolist() == [[9, 2, 5], [9, 2, 0]]
    assert vocabulary.find_unknown(["where is she", "she went"]) == ["she"]


def test_words_and_sizes_are_those_of_the_table(model: keras.Model) -> None:
    assert collect_words(FRAME) == (WORDS, ["garden", "kitchen"])
    assert measure_sizes(FRAME, 50) == Sizes(2, 5, 3)
    assert measure_sizes(FRAME, 1) == Sizes(1, 5, 3)
    assert measure_sizes(FRAME, 50, spare=0.25) == Sizes(3, 5, 3)
    assert read_sizes(model) == Sizes(2, 5, 3)
    assert encode_frame(FRAME, model)["story"].shape == (2, 2, 5)


def test_errors_by_task_and_answers_that_are_not_known(model: keras.Model) -> None:
    frame = pd.concat([FRAME, FRAME.assign(answer="attic")]).assign(task=[1, 1, 2, 2])
    right = find_right(model, frame, np.tile([1.0, 0.0], (4, 1)))
    assert right.tolist() == [True, False, False, False]
    assert count_errors(frame, right) == {1: 50.0, 2: 100.0}


def test_validation_takes_the_last_whole_stories_of_each_task() -> None:
    numbers = [n for n in range(1, 21) for _ in range(3)]
    frame = pd.DataFrame({"task": [1] * 60 + [2] * 30, "story_number": numbers + numbers[:30]})
    training, validation = split_stories(frame, 0.1)
    assert sorted(validation["story_number"][validation["task"] == 1].unique()) == [19, 20]
    assert sorted(validation["story_number"][validation["task"] == 2].unique()) == [10]
    assert len(training) + len(validation) == 90
    shared = set(zip(*training.to_numpy().T, strict=True)) & set(
        zip(*validation.to_numpy().T, strict=True)
    )
    assert shared == set()


def test_stories_are_grouped_by_length_in_whole_batches() -> None:
    frame = pd.DataFrame({"sentences": [30, 2, 60, 12, 10, 13, 25, 11, 3]})
    found = [(most, list(rows["sentences"])) for most, rows in group_by_length(frame, 50, 2)]
    assert found == [(12, [2, 3, 10, 11]), (25, [12, 13]), (50, [25, 30, 60])]
    assert [most for most, _ in group_by_length(frame, 50, 10)] == [50]
    assert [most for most, _ in group_by_length(frame, 10, 2)] == [10]


def test_a_network_reads_short_stories_as_it_reads_padded_ones() -> None:
    vocabulary = StoryVocabulary(WORDS, ["garden", "kitchen"], [1], name="vocabulary")
    for config in (MemoryConfig(size=4, hops=2), QueryReductionConfig(size=4)):
        set_seed(0, deterministic=False)
        trained, published = build_network(config, vocabulary, Sizes(9, 5, 3))
        short, padded = (encode_frame(FRAME, published, most) for most in (2, 9))
        assert short["story"].shape == (2, 2, 5)
        one, other = (keras.ops.convert_to_numpy(trained(x)) for x in (short, padded))
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_an_answer_with_its_attention(model: keras.Model) -> None:
    lines = ["Mary went to the garden.", "John went to the kitchen.", "Mary went to the kitchen."]
    [found] = answer_asked(model, parse_stories([*lines, "Where is Mary?"], "typed"))
    assert found.answer in ("garden", "kitchen")
    assert 0.5 <= found.confidence <= 1
    assert [name for name, _share in found.others] == [
        name for name in ("garden", "kitchen") if name != found.answer
    ]
    assert found.attention is not None
    assert found.attention.shape == (2, 3)
    # The network reads two sentences: the first one of three gets nothing, the others all.
    np.testing.assert_allclose(found.attention.sum(axis=1), 1, rtol=1e-5)
    assert (found.attention[:, 0] == 0).all()


def test_unknown_words_are_refused_left_out_or_read_as_the_nearest(model: keras.Model) -> None:
    asked = parse_stories(["Marie went to the gardens.", "Where is Marie?"], "typed")
    with pytest.raises(DataError, match="does not know some words") as raised:
        answer_asked(model, asked)
    assert "marie (did you mean mary?), gardens (did you mean garden?)" in str(raised.value)
    assert "typed, line 2" in str(raised.value)
    [nearest] = answer_asked(model, asked, "nearest")
    assert nearest.replaced == {"marie": "mary", "gardens": "garden"}
    [exact] = answer_asked(
        model, parse_stories(["Mary went to the garden.", "Where is Mary?"], "typed")
    )
    assert nearest.confidence == exact.confidence
    [skipped] = answer_asked(model, asked, "skip")
    assert skipped.replaced == {"marie": "", "gardens": ""}
    nothing = parse_stories(["Xyzzy plugh.", "Where is Mary?"], "typed")
    with pytest.raises(DataError, match="nothing remains"):
        answer_asked(model, nothing, "skip")


def test_a_sentence_longer_than_the_network_reads_is_refused(model: keras.Model) -> None:
    asked = parse_stories(["Mary went to the garden to the kitchen.", "Where is Mary?"], "typed")
    with pytest.raises(DataError, match="too long for the network") as raised:
        answer_asked(model, asked)
    assert "8 words" in str(raised.value)


def test_a_file_gives_a_frame(model: keras.Model, tmp_path: Path) -> None:
    path = tmp_path / "story.txt"
    path.write_text("1 Mary went to the garden.\n2 Where is Mary? \tgarden\t1\n3 Where is John?\n")
    frame = predict(model, [path])
    assert frame["where"].tolist() == ["line 2", "line 3"]
    assert frame["expected"].tolist() == ["garden", ""]
    assert frame["most_attended"].tolist() == ["Mary went to the garden."] * 2


def test_networks_of_the_same_tasks_compete() -> None:
    assert name_scope(QuestionAnsweringConfig(tasks=[2, 1, 2])) == "qa01-qa02"
    assert name_scope(QuestionAnsweringConfig(tasks=list(range(1, 21)))) == ""
    # Who forgets stories is tested on other questions: their champions are not comparable.
    assert name_scope(QuestionAnsweringConfig(forget_answered=True)) == "qa01-as-read"
    with pytest.raises(ValueError, match="no task 21"):
        QuestionAnsweringConfig(tasks=[21])
