"""bAbI's files: what is read from them, what is tolerated, and what is refused and where."""

from __future__ import annotations

import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from regrow.base.errors import DataError
from regrow.models.question_answering.reader import (
    MAX_STORY_LINES,
    Reading,
    read_questions,
    tokenise,
)
from regrow.models.question_answering.rows import SCHEMA
from tests.support.memory import measure_peak

STORIES = (
    "1 Mary moved to the bathroom.\n"
    "2 John went to the hallway.\n"
    "3 Where is Mary? \tbathroom\t1\n"
    "4 Daniel went back to the Hallway.\n"
    "5 What is Daniel carrying?\tApple,milk\t4 2\n"
    "6 Where is John?\thallway\t2\n"
    "1 The office is north of the hall.\n"
    "2 How do you go from the hall to the office?\tn,w\t1\n"
)


def read(path: Path, facts: Reading | None = None) -> pa.Table:
    facts = facts if facts is not None else Reading()
    batches = list(read_questions(path, facts, edition="en", task=1, split="train"))
    table = pa.Table.from_batches(batches, schema=SCHEMA)
    table.validate(full=True)
    return table


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "qa1_train.txt"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_questions_with_their_stories(tmp_path: Path) -> None:
    facts = Reading()
    rows = read(write(tmp_path, STORIES), facts).to_pylist()
    first = ["mary moved to the bathroom", "john went to the hallway"]
    grown = [*first, "daniel went back to the hallway"]
    same = {"edition": "en", "task": 1, "split": "train"}
    assert rows[0] == same | {
        "id": "en/qa01/train/0000001",
        "story_number": 1,
        "line": 3,
        "story": first,
        "new_from": 0,
        "question": "where is mary",
        "answer": "bathroom",
        "supporting": [0],
    }
    assert [row["story"] for row in rows[1:3]] == [grown, grown]
    # Lines count questions, the story's sentences do not.
    assert [row["supporting"] for row in rows] == [[0], [2, 1], [1], [0]]
    assert [row["new_from"] for row in rows] == [0, 2, 3, 0]
    assert [row["line"] for row in rows] == [3, 5, 6, 8]
    assert [row["story_number"] for row in rows] == [1, 1, 1, 2]
    assert [row["answer"] for row in rows] == ["bathroom", "apple,milk", "hallway", "n,w"]
    assert rows[3]["story"] == ["the office is north of the hall"]
    assert rows[3]["id"] == "en/qa01/train/0000004"
    assert (facts.questions, facts.stories) == (4, 2)
    assert (facts.longest_story, facts.longest_sentence) == (3, 10)
    assert {"mary", "how", "north"} < facts.words
    assert "bathroom." not in facts.words
    assert facts.answers == {"bathroom", "apple,milk", "hallway", "n,w"}


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Where  is Mary? ", "where is mary"),
        ("Mary, who's in Aix-en-Provence, went home.", "mary who's in aix-en-provence went home"),
        ("Zoë a mangé 2 crêpes.", "zoë a mangé 2 crêpes"),
        (" .", ""),
    ],
)
def test_tokens(text: str, tokens: str) -> None:
    assert tokenise(text) == tokens


@pytest.mark.parametrize(
    ("change", "fact", "value"),
    [
        (lambda text: text.replace("\n", "\r\n"), "empty_lines", 0),
        (lambda text: "\ufeff" + text, "byte_order_mark", True),
        (lambda text: "\ufeff" + text.replace("\n", "\r\n") + "\r\n\r\n", "empty_lines", 2),
        (lambda text: text.removesuffix("\n"), "empty_lines", 0),
        (lambda text: text.replace("? \t", "?\t").replace("\t1", "\t 1 "), "empty_lines", 0),
    ],
)
def test_differences_that_lose_nothing(
    change: Callable[[str], str], fact: str, value: Any, tmp_path: Path
) -> None:
    expected = read(write(tmp_path, STORIES))
    facts = Reading()
    assert read(write(tmp_path, change(STORIES)), facts).equals(expected)
    assert getattr(facts, fact) == value


def edit(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


# What is wrong: the edit, the line, and words of the message.
BAD: dict[str, tuple[Callable[[str], str | bytes], int, list[str]]] = {
    "gap in the numbers": (
        edit("4 Daniel", "5 Daniel"),
        4,
        ["not numbered consecutively", "the number 4, or 1"],
    ),
    "number twice": (
        edit("2 John", "2 John went.\n2 John"),
        3,
        ["not numbered consecutively", "the number 3"],
    ),
    "no number": (
        edit("4 Daniel", "Daniel"),
        4,
        ["not numbered consecutively", "Daniel went back"],
    ),
    "does not start with 1": (edit("1 Mary", "2 Mary"), 1, ["expected: the number 1\n"]),
    "number 0": (edit("1 The", "0 The"), 7, ["not numbered consecutively"]),
    "negative number": (edit("4 Daniel", "-4 Daniel"), 4, ["not numbered consecutively"]),
    "superscript number": (edit("4 Daniel", "⁴ Daniel"), 4, ["not numbered consecutively"]),
    "tab after the number": (edit("4 Daniel", "4\tDaniel"), 4, ["not numbered consecutively"]),
    "blanks instead of tabs": (
        edit("\tbathroom\t1", " bathroom 1"),
        3,
        ["tabs are missing", "Where is Mary?  bathroom 1"],
    ),
    "one tab": (edit("\tbathroom\t1", "\tbathroom 1"), 3, ["a tab is missing", "2 fields"]),
    "three tabs": (edit("\tbathroom\t1", "\tbathroom\t\t1"), 3, ["too many tabs", "4 fields"]),
    "question without answer": (edit(" \tbathroom\t1", ""), 3, ["has no answer", "Where is Mary?"]),
    "empty answer": (edit("\tbathroom\t", "\t \t"), 3, ["has no answer", "question, tab, answer"]),
    "question before any sentence": (
        edit("1 The office is north of the hall.\n2 How", "1 How"),
        7,
        ["without preceding sentences", "a sentence first"],
    ),
    "no supporting fact": (edit("\tbathroom\t1", "\tbathroom\t"), 3, ["no supporting fact"]),
    "supporting fact that is no number": (
        edit("\tbathroom\t1", "\tbathroom\t1 x"),
        3,
        ["not a preceding sentence of the story", "'x': no such line", "from 1 to 2"],
    ),
    "supporting fact 0": (edit("\thallway\t2", "\thallway\t0"), 6, ["'0': no such line"]),
    "forward supporting fact": (edit("\thallway\t2", "\thallway\t2 7"), 6, ["'7'", "comes later"]),
    "supporting fact is itself": (edit("\thallway\t2", "\thallway\t6"), 6, ["line of a question"]),
    "supporting fact is a question": (edit("\thallway\t2", "\thallway\t3"), 6, ["of a question"]),
    "supporting fact of an earlier story": (
        edit("\tn,w\t1", "\tn,w\t5"),
        8,
        ["'5'", "comes later"],
    ),
    "empty sentence": (edit("2 John went to the hallway.", "2 ."), 2, ["no words"]),
    "empty question": (edit("Where is Mary? ", ""), 3, ["no words"]),
    "not UTF-8": (
        lambda text: text.encode().replace(b"Daniel went", b"Dani\xe9l went"),
        4,
        ["not UTF-8", "0xe9 in column 7"],
    ),
    "UTF-16": (lambda text: text.encode("utf-16"), 1, ["not UTF-8"]),
    "zero bytes": (lambda _text: bytes(500), 1, ["not numbered consecutively"]),
    "empty file": (lambda _text: "", 1, ["is empty"]),
    "byte order mark alone": (lambda _text: "\ufeff", 1, ["is empty"]),
    "line ends alone": (lambda _text: "\n\r\n\n", 1, ["is empty", "3 empty lines"]),
    "no question": (lambda _text: "1 Mary moved.\n2 John went.\n", 1, ["no question"]),
    "one line of 1 MB": (
        lambda text: text + "1 Mary went" + " on" * 350_000 + ".\n",
        9,
        ["too long", "more than 2000 bytes"],
    ),
    "a story that never ends": (
        lambda _text: "".join(f"{n} Mary went on.\n" for n in range(1, MAX_STORY_LINES + 2)),
        1001,
        ["story is too long", "at most 1000 lines"],
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_used_is_named_with_the_line(name: str, tmp_path: Path) -> None:
    change, line, said = BAD[name]
    path = write(tmp_path, change(STORIES))
    with pytest.raises(DataError) as caught:
        read(path)
    text = str(caught.value)
    assert caught.value.where == f"{path}, line {line}"
    for words in (*said, "received:", "expected:", "what to do next"):
        assert words in text, text
    assert len(text) < 1000


def test_a_world_of_words_that_is_not_closed_is_refused(tmp_path: Path) -> None:
    lines = (
        f"1 {' '.join(f'w{start + n}' for n in range(200))}.\n" for start in range(0, 60_000, 200)
    )
    with pytest.raises(DataError, match="different words") as caught:
        read(write(tmp_path, "".join(lines)))
    assert caught.value.where is not None
    assert caught.value.where.endswith("line 251")


def test_blocks_give_the_same_rows_as_the_whole(tmp_path: Path) -> None:
    """Long stories are split over blocks, in the middle of a story too."""
    story = []
    for number in range(1, MAX_STORY_LINES, 2):
        story.append(f"{number} Mary took apple {number} on her way to the old kitchen.\n")
        story.append(f"{number + 1} Where is apple {number}?\tkitchen\t{number}\n")
    path = write(tmp_path, "".join(story) * 3)
    batches = list(read_questions(path, Reading(), edition="en", task=1, split="train"))
    assert len(batches) > 2
    table = pa.Table.from_batches(batches)
    rows = table.select(["story", "supporting", "question", "story_number", "line"]).to_pylist()
    assert len(rows) == 1500
    assert table.column("id").to_pylist()[-1] == "en/qa01/train/0001500"
    for position, row in enumerate(rows):
        nth = position % 500
        assert len(row["story"]) == nth + 1
        assert row["supporting"] == [nth]
        assert row["story"][nth].startswith(f"mary took apple {2 * nth + 1} on")
        assert row["question"] == f"where is apple {2 * nth + 1}"
        assert row["story_number"] == position // 500 + 1
        assert row["line"] == 2 * position + 2


def test_sentences_that_nobody_asks_about_are_left_out(tmp_path: Path) -> None:
    silent = "1 Mary went home.\n2 John slept.\n"
    content = silent + "1 Bill ran.\n2 Who ran?\tBill\t1\n3 Mary sang.\n" + silent * 2 + STORIES
    rows = read(write(tmp_path, content)).to_pylist()
    assert [(row["story_number"], row["story"][0]) for row in rows] == [
        (2, "bill ran"),
        *[(5, "mary moved to the bathroom")] * 3,
        (6, "the office is north of the hall"),
    ]
    assert [len(row["story"]) for row in rows] == [1, 2, 3, 3, 1]


PEAK_SCRIPT = """
import sys
from pathlib import Path
from regrow.models.question_answering.reader import Reading, read_questions
facts = Reading()
for batch in read_questions(Path(sys.argv[1]), facts, edition="en", task=1, split="train"):
    del batch
print(facts.questions)
"""


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_a_file_of_30_mb_needs_no_more_memory_than_a_small_one(tmp_path: Path) -> None:
    small = write(tmp_path, STORIES * 1000)
    large = tmp_path / "large.txt"
    copies = 30_000_000 // len(STORIES) + 1
    with large.open("w") as stream:
        for _ in range(copies // 1000 + 1):
            stream.write(STORIES * 1000)
    assert large.stat().st_size > 30_000_000
    (some, low), (many, high) = (measure_peak(PEAK_SCRIPT, path) for path in (small, large))
    assert (int(some), int(many)) == (4000, 4000 * (copies // 1000 + 1))
    assert high - low < 45, (low, high)


COUNTS = {"en": 1_000, "en-10k": 10_000}


@pytest.fixture
def babi(mirror: Path, tmp_path: Path) -> Path:
    """The real files, unpacked."""
    with tarfile.open(mirror / "babi" / "tasks_1-20_v1-2.tar.gz") as archive:
        archive.extractall(tmp_path)
    return tmp_path / "tasks_1-20_v1-2"


@pytest.mark.real_data
def test_the_real_files_have_the_questions_that_the_paper_says(babi: Path) -> None:
    paths = sorted(babi.glob("en*/qa*.txt"))
    assert len(paths) == 80
    for path in paths:
        facts = Reading()
        rows = read(path, facts).num_rows
        training = path.stem.endswith("train")
        assert rows == facts.questions == (COUNTS[path.parent.name] if training else 1_000), path


@pytest.mark.real_data
def test_spot_answers_of_the_real_files(babi: Path) -> None:
    def rows(name: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = read(babi / name).to_pylist()
        return found

    first = rows("en/qa1_single-supporting-fact_train.txt")[0]
    assert first["story"] == ["mary moved to the bathroom", "john went to the hallway"]
    assert (first["question"], first["answer"]) == ("where is mary", "bathroom")

    second = rows("en/qa2_two-supporting-facts_test.txt")[2]
    assert (second["line"], second["answer"]) == (11, "hallway")
    facts = [second["story"][index] for index in second["supporting"]]
    assert facts == ["john put down the football", "john went to the hallway"]

    path = rows("en/qa19_path-finding_test.txt")[0]
    assert (path["answer"], path["supporting"]) == ("s,s", [3, 1])
    assert {row["answer"] for row in rows("en/qa5_three-arg-relations_test.txt")} >= {"fred"}
    lists = {row["answer"] for row in rows("en-10k/qa8_lists-sets_train.txt")}
    assert {"nothing", "milk", "apple,milk", "football,apple,milk"} <= lists
    longest = max(len(row["story"]) for row in rows("en/qa3_three-supporting-facts_test.txt"))
    assert longest == 228


@pytest.mark.real_data
@pytest.mark.parametrize("edition", COUNTS)
def test_supporting_facts_of_task_1_hold_the_answer(babi: Path, edition: str) -> None:
    for split in ("train", "test"):
        rows = read(babi / edition / f"qa1_single-supporting-fact_{split}.txt").to_pylist()
        for row in rows:
            (fact,) = row["supporting"]
            person = row["question"].split()[-1]
            assert row["story"][fact].split()[0] == person, row["id"]
            assert row["story"][fact].split()[-1] == row["answer"], row["id"]
            # It is the last that is said of the person.
            assert not any(text.startswith(f"{person} ") for text in row["story"][fact + 1 :])
