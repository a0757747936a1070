"""Reuters' files: what is read from them, what is tolerated, and what is refused and where."""

from __future__ import annotations

import sys
import tarfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from regrow.base.errors import DataError
from regrow.models.sentence_vectors.documents import SCHEMA, Document, make_batch
from regrow.models.sentence_vectors.reader import (
    BLOCK_BYTES,
    MAX_DOCUMENT_BYTES,
    Reading,
    read_documents,
)
from tests.support.memory import measure_peak

HEAD = '<REUTERS TOPICS="YES" LEWISSPLIT="TRAIN" CGISPLIT="TRAINING-SET" OLDID="7" NEWID="1">'
FIRST = (
    f"{HEAD}\n<DATE>26-FEB-1987 15:01:01.79</DATE>\n<MKNOTE>a note</MKNOTE>\n"
    "<TOPICS><D>salt</D><D>sea-freight</D></TOPICS>\n<PLACES><D>usa</D></PLACES>\n"
    "<PEOPLE></PEOPLE>\n<ORGS><D>ec</D></ORGS>\n<EXCHANGES></EXCHANGES>\n"
    "<COMPANIES></COMPANIES>\n<UNKNOWN> \n&#5;&#5;&#5;C T\n&#22;f0704&#31;x</UNKNOWN>\n"
    "<TEXT>&#2;\n<TITLE>SALT UP\n AGAIN</TITLE>\n<AUTHOR> By A. Writer</AUTHOR>\n"
    "<DATELINE>  PORT, Feb 26 - </DATELINE><BODY>Salt &lt;SLT.X> rose, C&amp;D said.\n"
    "    It may go on.\n Newsdesk\n&#3;</BODY></TEXT>\n</REUTERS>\n"
)
SECOND = (
    FIRST.replace('NEWID="1"', 'NEWID="2"')
    .replace('TOPICS="YES"', 'TOPICS="NO"')
    .replace("<D>salt</D><D>sea-freight</D>", "")
)
CORPUS = f'<!DOCTYPE lewis SYSTEM "lewis.dtd">\n{FIRST}{SECOND}'


def read(path: Path, facts: Reading | None = None) -> list[Document]:
    return list(read_documents(path, facts if facts is not None else Reading()))


def write(folder: Path, content: str | bytes) -> Path:
    path = folder / "reut2-000.sgm"
    path.write_bytes(content.encode("latin-1") if isinstance(content, str) else content)
    return path


def edit(old: str, new: str) -> Callable[[str], str]:
    def change(text: str) -> str:
        assert old in text
        return text.replace(old, new, 1)

    return change


def test_a_document_with_all_its_parts(tmp_path: Path) -> None:
    facts = Reading()
    first, second = read(write(tmp_path, CORPUS), facts)
    assert first == Document(
        id=1,
        old_id=7,
        date=datetime(1987, 2, 26, 15, 1, 1, 790_000),
        topics=("salt", "sea-freight"),
        indexed="YES",
        lewis_split="TRAIN",
        cgi_split="TRAINING-SET",
        form="NORM",
        title="SALT UP AGAIN",
        body="Salt <SLT.X> rose, C&D said.\n    It may go on.\n Newsdesk",
    )
    assert (second.id, second.topics, second.indexed) == (2, (), "NO")
    assert (facts.documents, facts.by_file) == (2, {"reut2-000.sgm": 2})
    assert facts.control_characters == 2
    batch = make_batch([first, second])
    batch.validate(full=True)
    assert batch.schema == SCHEMA
    assert batch.to_pylist()[0]["topics"] == ["salt", "sea-freight"]
    assert batch.to_pylist()[1]["mod_apte"] == "unused"


@pytest.mark.parametrize(
    ("indexed", "lewis", "cgi", "splits"),
    [
        ("YES", "TRAIN", "TRAINING-SET", ("train", "train", "train")),
        ("YES", "TEST", "TRAINING-SET", ("test", "test", "train")),
        ("NO", "TRAIN", "TRAINING-SET", ("unused", "train", "train")),
        ("NO", "TEST", "TRAINING-SET", ("unused", "test", "train")),
        ("BYPASS", "TEST", "TRAINING-SET", ("unused", "unused", "train")),
        ("YES", "NOT-USED", "PUBLISHED-TESTSET", ("unused", "unused", "test")),
    ],
)
def test_splits(
    indexed: str, lewis: str, cgi: str, splits: tuple[str, str, str], tmp_path: Path
) -> None:
    text = CORPUS.replace('TOPICS="YES"', f'TOPICS="{indexed}"').replace("TRAINING-SET", cgi)
    first = read(write(tmp_path, text.replace('"TRAIN"', f'"{lewis}"')))[0]
    assert (first.mod_apte, first.mod_lewis, first.mod_hayes) == splits


def test_briefs_and_unprocessed_text(tmp_path: Path) -> None:
    start = FIRST.index("<TEXT>")
    brief = '<TEXT TYPE="BRIEF">&#2;\n******<TITLE>SALT UP\n</TITLE>Blah blah blah.\n&#3;\n</TEXT>'
    rest = '<TEXT TYPE="UNPROC">&#2;\nSALT REPORT\n Stocks......1,337\n\n&#3;\n</TEXT>'
    text = "".join(f"{FIRST[:start]}{part}\n</REUTERS>\n" for part in (brief, rest))
    first, second = read(write(tmp_path, text))
    assert (first.form, first.title, first.body) == ("BRIEF", "SALT UP", "")
    assert (second.form, second.title) == ("UNPROC", "")
    assert second.body == "SALT REPORT\n Stocks......1,337"


@pytest.mark.parametrize(
    ("text", "date"),
    [
        (" 2-MAR-1987 09:15:05.40", datetime(1987, 3, 2, 9, 15, 5, 400_000)),
        ("3-MAR-1987  09:15:05.40&#5;&#5;RM", datetime(1987, 3, 3, 9, 15, 5, 400_000)),
        ("31-DEC-1987 16:22:00.0", datetime(1987, 12, 31, 16, 22)),
        ("9-APR-1987 00:00:00.00    # a guess", datetime(1987, 4, 9)),
        ("31-MAR-1987 605:12:19.12", datetime(1987, 3, 31)),
    ],
)
def test_dates(text: str, date: datetime, tmp_path: Path) -> None:
    facts = Reading()
    path = write(tmp_path, CORPUS.replace("26-FEB-1987 15:01:01.79", text, 1))
    assert read(path, facts)[0].date == date
    assert facts.dates_without_time == ("605" in text)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\n", "\r\n"),
        lambda text: text.removeprefix('<!DOCTYPE lewis SYSTEM "lewis.dtd">\n'),
        lambda text: text.removesuffix("\n"),
        lambda text: text.replace("</REUTERS>", "</REUTERS>\n\n  \n"),
        lambda text: text.replace("</TITLE>", "\x03</TITLE>"),
        edit(' OLDID="7"', ' CSECS="100" OLDID="7"'),
    ],
)
def test_differences_that_lose_nothing(change: Callable[[str], str], tmp_path: Path) -> None:
    expected = read(write(tmp_path, CORPUS))
    assert read(write(tmp_path, change(CORPUS))) == expected


def test_letters_of_latin_1_and_entities(tmp_path: Path) -> None:
    text = CORPUS.replace("It may", "Z\xfcrich &quot;&#233;&quot; &gt; AT&T &#8364; &x; may", 1)
    assert 'Zürich "é" > AT&T &#8364; &x; may' in read(write(tmp_path, text))[0].body


# What is wrong: the edit, the line, the text at the byte that is named, and words of the message.
BAD: dict[str, tuple[Callable[[str], str | bytes], int, str, list[str]]] = {
    "truncated": (lambda t: t[:-200], 35, "", ["in the middle", "</REUTERS> for the document"]),
    "truncated in the first": (lambda t: t[:200], 5, "", ["in the middle of a document"]),
    "unclosed BODY": (edit("</BODY>", ""), 18, "<BODY>", ["<BODY> is not closed"]),
    "unclosed D": (edit("salt</D>", "salt"), 5, "<D>sea", ["<D> is not allowed in <D>"]),
    "unclosed TITLE": (edit("</TITLE>", ""), 17, "<AUTHOR>", ["is not allowed in <TITLE>"]),
    "unclosed TEXT": (edit("</TEXT>", ""), 14, "<TEXT>", ["<TEXT> is not closed"]),
    "unclosed document": (edit("</REUTERS>\n", ""), 22, HEAD[:9], ["inside another"]),
    "has no opening tag": (edit("<BODY>", ""), 21, "</BODY>", ["</BODY> has no opening tag"]),
    "two titles": (
        edit("<AUTHOR>", "<TITLE>A</TITLE><AUTHOR>"),
        17,
        "</TITLE>",
        ["a second TITLE"],
    ),
    "strange tag": (edit("It may", "<I>t may"), 19, "<I>", ["unknown tag", "&lt;"]),
    "bare <": (edit("It may", "a < b"), 19, "< b", ["does not start a tag", "&lt;"]),
    "no TOPICS": (edit("<TOPICS><D>salt</D><D>sea-freight</D></TOPICS>", ""), 2, HEAD[:9], []),
    "no id": (edit('NEWID="1"', 'NEWID="x"'), 2, HEAD[:9], ["NEWID is not a number", "'x'"]),
    "strange split": (edit('"TRAIN"', '"BOTH"'), 2, HEAD[:9], ["LEWISSPLIT", "TRAIN, TEST"]),
    "no date": (edit("26-FEB", "FEB-26"), 3, "<DATE>", ["date cannot be read", "FEB-26"]),
    "no such day": (edit("26-FEB", "30-FEB"), 3, "<DATE>", ["date cannot be read"]),
    "no such month": (edit("26-FEB", "26-EBM"), 3, "<DATE>", ["date cannot be read"]),
    "text between": (edit("</REUTERS>\n", "</REUTERS>\nx\n"), 23, "x", ["not the start"]),
    "another file": (lambda _: "id,text\n1,hello\n" * 40, 1, "id,text", []),
    "binary junk": (lambda _: b"\x7fELF" + bytes(range(256)) * 40, 1, "\0", ["0x00"]),
    "junk in a text": (edit("It may", "It \x8d may"), 19, "\x8d", ["not Latin-1 text", "0x8d"]),
    "UTF-16": (lambda t: t.encode("utf-16"), 1, "\0", ["not Latin-1 text"]),
    "UTF-8": (
        lambda t: t.replace("It may", "Zürich may", 1).encode(),
        19,
        "\xc3\xbc",
        ["the file is UTF-8", "'ü'", "save the file as Latin-1"],
    ),
    "empty": (lambda _: "", 1, "", ["no documents"]),
    "blanks": (lambda _: "\n \n", 1, "", ["no documents"]),
    "head alone": (lambda t: t[:36], 1, "", ["no documents"]),
    "one line of 1 MB": (
        edit("It may go on.", "It may go on. " * 75_000),
        2,
        HEAD[:9],
        ["too long", f"more than {MAX_DOCUMENT_BYTES} bytes"],
    ),
    "1 MB without any end": (lambda _: "x" * 1_000_000, 1, "x", ["not the start of a document"]),
}


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_used_is_named_with_the_place(name: str, tmp_path: Path) -> None:
    change, line, there, said = BAD[name]
    path = write(tmp_path, change(CORPUS))
    with pytest.raises(DataError) as caught:
        read(path)
    text = str(caught.value)
    where, _, byte = (caught.value.where or "").rpartition(", byte ")
    assert where == f"{path}, line {line}"
    content = path.read_bytes().decode("latin-1")
    assert content[int(byte) :].lstrip("\n ").startswith(there), content[int(byte) :][:60]
    for words in (*said, "received:", "expected:", "what to do next"):
        assert words in text, text
    assert len(text) < 1000


@pytest.mark.parametrize("shift", range(0, 12))
def test_a_document_on_the_border_of_two_blocks(shift: int, tmp_path: Path) -> None:
    """The end tag, and the place of an error, wherever the blocks meet."""
    count = BLOCK_BYTES // len(FIRST)
    fill = BLOCK_BYTES - count * len(FIRST) + shift
    text = FIRST * (count - 1) + FIRST.replace("It may", "x" * (fill + 6), 1) + SECOND
    documents = read(write(tmp_path, text))
    assert [item.id for item in documents] == [1] * count + [2]
    with pytest.raises(DataError, match="unknown value") as caught:
        read(write(tmp_path, text.replace('TOPICS="NO"', 'TOPICS="NA"')))
    assert f"byte {text.index(SECOND)}" in str(caught.value)


def test_a_truncated_file_gives_its_whole_documents_first(tmp_path: Path) -> None:
    """The caller writes into a temporary folder, so none of them stays."""
    documents = read_documents(write(tmp_path, CORPUS[:-50]), Reading())
    assert next(documents).id == 1
    with pytest.raises(DataError):
        next(documents)


COST_SCRIPT = """
import sys
from pathlib import Path
from regrow.models.sentence_vectors.reader import Reading, read_documents
facts = Reading()
for path in sorted(Path(sys.argv[1]).glob("*.sgm")):
    for document in read_documents(path, facts):
        pass
print(facts.documents)
"""


@pytest.fixture
def reuters(mirror: Path, tmp_path: Path) -> Path:
    """The real files, unpacked."""
    with tarfile.open(mirror / "reuters-21578" / "reuters21578.tar.gz") as archive:
        archive.extractall(tmp_path)
    return tmp_path


@pytest.mark.real_data
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_all_real_files_need_little_memory(reuters: Path) -> None:
    documents, peak_mib = measure_peak(COST_SCRIPT, reuters)
    assert documents == "21578"
    assert peak_mib < 300


@pytest.mark.real_data
def test_the_real_files(reuters: Path) -> None:
    facts = Reading()
    paths = sorted(reuters.glob("*.sgm"))
    documents = [item for path in paths for item in read_documents(path, facts)]
    assert list(facts.by_file.values()) == [1000] * 21 + [578]
    assert [item.id for item in documents] == list(range(1, 21_579))
    assert len({item.old_id for item in documents}) == 21_578
    assert facts.dates_without_time == 1
    assert {item.date.year for item in documents} == {1987}
    first = documents[0]
    assert (first.title, first.topics) == ("BAHIA COCOA REVIEW", ("cocoa",))
    assert first.body.startswith("Showers continued")
    # Its one stray byte: 0xFC, in reut2-017.sgm.
    assert sum("\xfc" in item.body + item.title for item in documents) == 1
    assert not any(ord(sign) < 9 or sign == "\x7f" for item in documents for sign in item.body)
