"""Hostile inputs for the readers of texts: CSV files, Reuters' SGML, bAbI and GloVe."""

from __future__ import annotations

import random
from itertools import islice
from pathlib import Path
from typing import Any

from tests.conftest import SAMPLE
from tests.fuzz.harness import Fuzzed
from tests.fuzz.mutations import mutate_bytes, mutate_lines
from tests.models.test_air_quality_tables import make_frame
from tests.models.test_reuters_reader import CORPUS

CSV_LINES = SAMPLE.read_text(encoding="ascii").splitlines()[:60]
STORY = (
    "1 Mary moved to the bathroom.\n2 John went to the hallway.\n"
    "3 Where is Mary? \tbathroom\t1\n4 Daniel went back to the hallway.\n"
    "5 Where is Daniel? \thallway\t4\n"
)
STORIES = STORY * 20
GLOVE = "".join(
    f"{word} 0.5 -1.25 3e-2 {number}\n" for number, word in enumerate(["the", "é"] * 40)
)
WIDTH = 4
PLAIN_ROWS = 60


def _change_text(
    text: str, chance: random.Random, number: int, separators: str, encoding: str, *, keep: int = 0
) -> bytes:
    """A text with some of its lines, fields or bytes changed; sometimes with other line ends."""
    if number < 0:
        return text.encode(encoding)
    lines = text.splitlines()
    if chance.random() < 0.6:
        lines = mutate_lines(lines, chance, separators, keep=keep if chance.random() < 0.8 else 0)
    end = chance.choice(["\n", "\n", "\n", "\r\n", "\r"])
    content = (end.join(lines) + end).encode(encoding, "replace")
    if chance.random() < 0.6:
        first = content.find(b"\n") + 1 if keep else 0
        content = mutate_bytes(content, chance, keep=first if chance.random() < 0.8 else 0)
    return content


def _make_csv(chance: random.Random, number: int) -> tuple[str, bytes]:
    text = "\r\n".join(CSV_LINES) + "\r\n"
    return "some.csv", _change_text(text, chance, number, ";,/.", "utf-8", keep=1)


def _check_csv(path: Path) -> None:
    from regrow.models.air_quality.reader import check_header, read_header
    from regrow.models.air_quality.values import Reading

    check_header(path, read_header(path, Reading()), ())


def _read_csv(path: Path, _out: Path) -> Any:
    from regrow.models.air_quality.data import read_readings

    return read_readings(path)


def _expect_csv(found: Any) -> None:
    filled = [line for line in CSV_LINES[1:] if line.strip(";")]
    assert len(found) == len(filled)
    value = float(filled[0].split(";")[2].replace(",", "."))
    assert found["co_mg_m3"][0] == value or value == -200


def _make_plain(chance: random.Random, number: int) -> tuple[str, bytes]:
    return "some.csv", _change_text(
        make_frame(PLAIN_ROWS).to_csv(index=False), chance, number, ",-:. ", "utf-8", keep=1
    )


def _check_plain(path: Path) -> None:
    from regrow.models.air_quality.data import check_file
    from regrow.models.air_quality.plain import is_plain

    assert is_plain(path)
    check_file(path, training=False)


def _expect_plain(found: Any) -> None:
    expected = make_frame(PLAIN_ROWS)
    for name in expected:
        assert found[name].tolist() == expected[name].tolist()


def _make_sgml(chance: random.Random, number: int) -> tuple[str, bytes]:
    content = _change_text(CORPUS, chance, number, '<>&" ', "latin-1", keep=1)
    if number >= 0 and chance.random() < 0.1:
        content = content.replace(b"</REUTERS>", b"") + b"x" * 300_000
    return "reut2-000.sgm", content


def _check_sgml(path: Path) -> None:
    from regrow.models.sentence_vectors import reader

    assert next(reader._cut(path), None)


def _read_sgml(path: Path, _out: Path) -> Any:
    from regrow.models.sentence_vectors.documents import make_batch
    from regrow.models.sentence_vectors.reader import Reading, read_documents

    documents = list(read_documents(path, Reading()))
    return documents, make_batch(documents)


def _expect_sgml(found: Any) -> None:
    documents, batch = found
    assert [one.id for one in documents] == [1, 2]
    assert documents[0].title == "SALT UP AGAIN"
    assert batch.num_rows == 2


def _make_babi(chance: random.Random, number: int) -> tuple[str, bytes]:
    return "qa1_train.txt", _change_text(STORIES, chance, number, "\t ", "utf-8", keep=1)


def _check_babi(path: Path) -> None:
    from regrow.models.question_answering import reader

    assert list(islice(reader._numbered_lines(path, reader.Reading()), 1))


def _read_babi(path: Path, _out: Path) -> Any:
    from regrow.models.question_answering.reader import Reading, read_questions

    facts = Reading()
    batches = list(read_questions(path, facts, edition="en", task=1, split="train"))
    return facts, batches


def _expect_babi(found: Any) -> None:
    facts, batches = found
    assert (facts.questions, facts.stories) == (40, 20)
    assert batches[0].column("answer").to_pylist()[:2] == ["bathroom", "hallway"]


def _make_glove(chance: random.Random, number: int) -> tuple[str, bytes]:
    return "glove.txt", _change_text(GLOVE, chance, number, " ", "utf-8", keep=1)


def _check_glove(path: Path) -> None:
    from regrow.text import vectors

    assert next(vectors._read_lines(path, WIDTH), None)


def _read_glove(path: Path, out: Path) -> Any:
    from regrow.text.vectors import copy_glove, load_glove
    from regrow.text.vocabulary import Vocabulary

    vocabulary = Vocabulary.of(["the", "é", "lacking"], 5)
    copy_glove(path, {"the", "é"}, out / "glove.txt", dimensions=WIDTH)
    return load_glove(out / "glove.txt", vocabulary, dimensions=WIDTH, seed=1)


def _expect_glove(found: Any) -> None:
    assert found.covered == 2
    assert found.matrix[2].tolist()[:2] == [0.5, -1.25]


def _import_texts() -> None:
    import regrow.models.air_quality.data
    import regrow.models.question_answering.reader
    import regrow.models.sentence_vectors.documents
    import regrow.models.sentence_vectors.reader
    import regrow.text.vectors  # noqa: F401


READERS = (
    Fuzzed(
        "csv",
        ("models/air_quality/reader.py", "models/air_quality/values.py"),
        _make_csv,
        _check_csv,
        _read_csv,
        _expect_csv,
        _import_texts,
    ),
    Fuzzed(
        "plain",
        ("models/air_quality/plain.py",),
        _make_plain,
        _check_plain,
        _read_csv,
        _expect_plain,
        _import_texts,
    ),
    Fuzzed(
        "sgml",
        ("models/sentence_vectors/reader.py", "models/sentence_vectors/parser.py"),
        _make_sgml,
        _check_sgml,
        _read_sgml,
        _expect_sgml,
        _import_texts,
    ),
    Fuzzed(
        "babi",
        ("models/question_answering/reader.py",),
        _make_babi,
        _check_babi,
        _read_babi,
        _expect_babi,
        _import_texts,
    ),
    Fuzzed(
        "glove",
        ("text/vectors.py",),
        _make_glove,
        _check_glove,
        _read_glove,
        _expect_glove,
        _import_texts,
    ),
)
