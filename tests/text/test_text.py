"""Sentences, words, vocabularies and vectors: the same as NLTK's, and as the definitions say."""

from __future__ import annotations

import time
from pathlib import Path

import nltk
import numpy as np
import pytest
from nltk.tokenize.destructive import NLTKWordTokenizer
from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

from regrow.base.errors import DataError
from regrow.models.sentence_vectors.reader import Reading, read_documents
from regrow.text import tokens as tokens_module
from regrow.text.splitter import PUNKT_FILES, SentenceSplitter, load_punkt, train_punkt
from regrow.text.tokens import Tokeniser, normalise
from regrow.text.vectors import copy_glove, count_pairs, load_glove, train_vectors
from regrow.text.vocabulary import PAD, UNK, Vocabulary, pad, rank_words
from tests.conftest import REPOSITORY
from tests.models.test_reuters_reader import reuters  # noqa: F401  # a fixture

# Everything at which NLTK's rules do something, in all the places where it matters.
HARD = (
    'He said "yes." "No," she said. (So it is.) And on.',
    '"Quotes first," he said.\n"Quotes after a line end" do not open.',
    "'Single,' he said; it's the firm's, isn't it? They'll say 'tis so.",
    "''Doubled'' quotes, ``both'' ways ''here'' and ''.",
    "Prof. J. Smith of U.S. Steel Co. paid 3.5 mln dlrs. vs. 2.1 mln.",
    "Really?! Yes!!! No... Well.... \n  And -- so -- on... Etc. etc.",
    "a,b a,1 1,2 1,a :x x: :1 1: ,, ,,x x,,y ;a; a;b 5% $5 5$ #1 a&b a@b *a* a*b",
    "cannot gonna Gimme lemme got gotta wanna x wanna more'n d'ye 'twas can-not Cannot.",
    '(a) [b] {c} <d> (e. <f>. <G.H>, ((x)) )( "(x)" ("x") <"x">',
    "end with quote.\" end with bracket.) end.'' end.\n)",
    "one two . ) \" '",
    "Mr. and Mrs. X. They met at 5 p.m. Monday. No. 5 is here. It fell 3. Then 4.",
    "“curly” ‘single’ «chevrons» – dash — em… x’s don’t",
    "a\tb\x0bc\x0cd\x1ce\x85f\xa0g  h\r\ni",
    "'s 'm 'd ' '' x' y'' 're 'll n't don't DON'T He'S",
    "word.\n\n Reuter",
    "1.5 .5 5. -5 1/2 3-1/2 1986/87 1,000,000 1,000. 1,000, 10,5a 1..2 a--b --- -",
    "x.y.z. A.B. a.b.c u.s.a. ...x x...y",
    "Reuter",
    '"',
    ".",
    "",
    "   \n ",
    "x" * 5000,
    "a. " * 500,
)


class Reference:
    """NLTK itself."""

    def __init__(self, parameters: PunktParameters) -> None:
        self.punkt = PunktSentenceTokenizer(parameters)
        self.tokenise = NLTKWordTokenizer().tokenize

    def words(self, text: str) -> list[str]:
        """What `nltk.word_tokenize` does, with this model."""
        return [word for part in self.punkt.tokenize(text) for word in self.tokenise(part)]


@pytest.fixture(scope="module")
def trained() -> PunktParameters:
    """A model learned from the texts of this project."""
    paths = sorted(REPOSITORY.glob("*.md")) + sorted(REPOSITORY.glob("docs/*.md"))
    return train_punkt(path.read_text(encoding="utf-8") for path in paths)


@pytest.mark.parametrize("text", HARD)
def test_words_are_those_of_nltk(text: str, trained: PunktParameters) -> None:
    reference = Reference(trained)
    tokeniser = Tokeniser(SentenceSplitter(trained))
    for _ in range(2):  # then from memory
        assert tokeniser.splitter.split(text) == reference.punkt.tokenize(text)
        assert tokeniser.words(text) == reference.words(text)
        for sentence in reference.punkt.tokenize(text):
            assert tokeniser.words(sentence) == reference.words(sentence)


def test_pieces_put_together_at_random_are_those_of_nltk(trained: PunktParameters) -> None:
    random = np.random.default_rng(5)
    reference, tokeniser = Reference(trained), Tokeniser(SentenceSplitter(trained))
    pieces = sorted({piece for text in HARD[:-2] for piece in text.split()})
    blanks = [" ", " ", " ", "\n", "  ", "\n    "]
    for _ in range(1500):
        count = int(random.integers(1, 12))
        chosen = random.choice(pieces, count)
        text = "".join(f"{piece}{random.choice(blanks)}" for piece in chosen)
        assert tokeniser.splitter.split(text) == reference.punkt.tokenize(text), text
        assert tokeniser.words(text) == reference.words(text), text


def test_memory_has_a_bound(trained: PunktParameters, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens_module, "KNOWN_PIECES", 10)
    tokeniser = Tokeniser(SentenceSplitter(trained))
    reference = Reference(trained)
    for number in range(100):
        text = f"word{number} follows ({number}) here, end{number}."
        assert tokeniser.words(text) == reference.words(text)
    assert len(tokeniser._pieces) <= 10
    assert len(tokeniser._ends) <= 10


def test_a_line_of_1_mb_takes_seconds_at_most(trained: PunktParameters) -> None:
    tokeniser = Tokeniser(SentenceSplitter(trained))
    for text in ("x" * 1_000_000, "It goes on, " * 83_000, "End. " * 200_000):
        start = time.process_time()
        tokeniser.sentences(text)
        assert time.process_time() - start < 10


@pytest.mark.parametrize(
    ("word", "normal"),
    [
        ("Mln", "mln"),
        ("1,750", "9"),
        ("1986/87", "9"),
        ("3-1/2", "9"),
        ("-5", "9"),
        ("5.", "9"),
        ("--", "--"),
        (",", ","),
        ("U.S.", "u.s."),
        ("10a", "10a"),
        ("É", "é"),
        ("²", "²"),
    ],
)
def test_normal_forms(word: str, normal: str) -> None:
    assert normalise(word) == normal
    assert normalise(normal) == normal


def write_punkt(folder: Path, **contents: str) -> Path:
    for name in PUNKT_FILES:
        default = "a\tb\n" if name == "collocations.tab" else "a\t4\n"
        text = contents.get(name.partition(".")[0], default if name.endswith("tab") else "mr\n")
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def test_a_punkt_model_from_files(tmp_path: Path) -> None:
    parameters = load_punkt(write_punkt(tmp_path, abbrev_types="mr\nco\n"))
    assert parameters.abbrev_types == {"mr", "co"}
    assert parameters.collocations == {("a", "b")}
    assert parameters.ortho_context["a"] == 4
    assert parameters.ortho_context["unknown"] == 0
    assert len(parameters.ortho_context) == 1  # looking a word up keeps nothing
    splitter = SentenceSplitter(parameters)
    assert splitter.split("Mr. Oak met X Co. He left.") == ["Mr. Oak met X Co. He left."]


def test_what_speaks_against_an_end_of_a_sentence() -> None:
    parameters = PunktParameters()
    parameters.collocations = {("oak", "smith"), ("##number##", "oak")}
    parameters.abbrev_types = {"mr"}
    reference, splitter = PunktSentenceTokenizer(parameters), SentenceSplitter(parameters)
    for text in ("An Oak. Smith came.", "An Oak. Then he left.", "Mr. Oak", "It is 5. Oak", "A. B"):
        assert splitter.split(text) == reference.tokenize(text)
    assert len(splitter.split("An Oak. Smith came.")) == 1
    assert len(splitter.split("An Oak. Then he left.")) == 2


@pytest.mark.parametrize(
    ("contents", "where", "received"),
    [
        ({"collocations": "a\tb\nc\n"}, "collocations.tab, line 2", "'c'"),
        ({"ortho_context": "a\t4\nb\tx\n"}, "ortho_context.tab, line 2", "'x'"),
        ({"abbrev_types": "a\tb\n"}, "abbrev_types.txt, line 1", r"'a\tb'"),
    ],
)
def test_a_punkt_model_that_cannot_be_read(
    contents: dict[str, str], where: str, received: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match="Punkt model") as caught:
        load_punkt(write_punkt(tmp_path, **contents))
    assert str(caught.value.where).endswith(where)
    assert received in str(caught.value)


def test_a_punkt_model_without_a_file(tmp_path: Path) -> None:
    write_punkt(tmp_path)
    (tmp_path / "sent_starters.txt").unlink()
    with pytest.raises(DataError, match="Punkt model"):
        load_punkt(tmp_path)


@pytest.mark.real_data
def test_the_real_punkt_model_is_that_of_nltk(
    mirror: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = mirror / "nltk" / "tokenizers" / "punkt_tab" / "english"
    monkeypatch.setattr(nltk.data, "path", [str(mirror / "nltk")])
    monkeypatch.setenv("NLTK_DATA", str(mirror / "nltk"))
    tokeniser = Tokeniser(SentenceSplitter(load_punkt(folder)))
    nltk.tokenize._get_punkt_tokenizer.cache_clear()
    for text in HARD:
        assert tokeniser.splitter.split(text) == nltk.sent_tokenize(text)
        assert tokeniser.words(text) == nltk.word_tokenize(text)


@pytest.mark.real_data
@pytest.mark.slow
def test_the_words_of_the_real_corpus_are_those_of_nltk(
    mirror: Path,
    reuters: Path,  # noqa: F811
) -> None:
    parameters = load_punkt(mirror / "nltk" / "tokenizers" / "punkt_tab" / "english")
    reference, tokeniser = Reference(parameters), Tokeniser(SentenceSplitter(parameters))
    paths = sorted(reuters.glob("*.sgm"))
    # Every fourth document: NLTK takes its time; benchmarks/reuters_text_speed.py reads all.
    documents = [item for path in paths for item in read_documents(path, Reading())][::4]
    texts = [" ".join(text.split()) for item in documents for text in (item.title, item.body)]
    texts += [item.body for item in documents[::10]]  # with their line ends
    words = 0
    for text in texts:
        ours = [tokeniser.words(part) for part in tokeniser.splitter.split(text)]
        assert ours == [reference.words(part) for part in reference.punkt.tokenize(text)]
        words += sum(map(len, ours))
    assert words > 700_000


@pytest.mark.real_data
@pytest.mark.slow
def test_the_reading_nearest_to_the_chapters_counts(mirror: Path, reuters: Path) -> None:  # noqa: F811
    """It gives 131,545 sentences, 50,751 words, and mean and median lengths of 22.3 and 21.

    Only titles before bodies, with a period between, and all in lower case before it is split give
    its lengths: without capitals Punkt finds fewer sentences.
    """
    parameters = load_punkt(mirror / "nltk" / "tokenizers" / "punkt_tab" / "english")
    tokeniser = Tokeniser(SentenceSplitter(parameters))
    lengths: list[int] = []
    words: set[str] = set()
    for path in sorted(reuters.glob("*.sgm")):
        for item in read_documents(path, Reading()):
            body = item.body if item.form == "NORM" else ""
            for sentence in tokeniser.sentences(" ".join(f"{item.title}. {body}".lower().split())):
                lengths.append(len(sentence))
                words.update(map(normalise, sentence))
    assert abs(len(lengths) / 131_545 - 1) < 0.05
    assert abs(len(words) / 50_751 - 1) < 0.02
    assert abs(np.mean(lengths) - 22.3) < 0.2
    assert np.median(lengths) == 21


def test_vocabulary() -> None:
    words = ["b", "a", "c", "d"]
    ranked = [words[i] for i in rank_words(words, np.array([5, 5, 9, 1]))]
    assert ranked == ["c", "a", "b", "d"]
    vocabulary = Vocabulary.of(ranked, 5)
    assert vocabulary.words == ("<pad>", "<unk>", "c", "a", "b")
    assert len(vocabulary) == 5
    assert vocabulary.encode(["a", "d", "c"]) == [3, UNK, 2]
    assert vocabulary.encode_ranks(np.array([[0, 1], [2, 3]])).tolist() == [[2, 3], [4, UNK]]
    assert vocabulary.decode([2, PAD, 1]) == ["c", "<unk>"]
    assert pad([[5, 6, 7], [], [8]], 2).tolist() == [[5, 6], [PAD, PAD], [8, PAD]]
    assert Vocabulary.of(iter("xy"), 10).words == ("<pad>", "<unk>", "x", "y")


def write_glove(folder: Path, *lines: str | bytes) -> Path:
    path = folder / "vectors.txt"
    path.write_bytes(b"".join((x if isinstance(x, bytes) else x.encode()) + b"\n" for x in lines))
    return path


def test_glove(tmp_path: Path) -> None:
    vocabulary = Vocabulary.of(["salt", "é", "lacking"], 10)
    path = write_glove(
        tmp_path, "the 9 9 9", "salt 1 -2.5 3e-1", "é 0 0 1", "salt 7 7 7", "<unk> 5 5 5"
    )
    found = load_glove(path, vocabulary, dimensions=3, seed=1)
    assert found.matrix.dtype == np.float32
    assert found.matrix[2:].tolist() == [[1, -2.5, np.float32(0.3)], [0, 0, 1], [0, 0, 0]]
    assert found.matrix[PAD].tolist() == [0, 0, 0]
    assert (found.origin, found.covered) == ("GloVe", 2)
    # UNK has its own vector, as long as the others are on the average, by the seed alone.
    lengths = np.linalg.norm(found.matrix, axis=1)
    assert lengths[UNK] == pytest.approx(lengths[2:4].mean())
    again = load_glove(path, vocabulary, dimensions=3, seed=1)
    other = load_glove(path, vocabulary, dimensions=3, seed=2)
    assert (again.matrix == found.matrix).all()
    assert (other.matrix[UNK] != found.matrix[UNK]).any()


def test_a_copy_of_glove_has_the_wanted_words_alone(tmp_path: Path) -> None:
    vocabulary = Vocabulary.of(["salt", "é", "lacking"], 10)
    path = write_glove(tmp_path, "the 9 9 9", "salt 1 -2.5 3e-1", "é 0 0 1", "salt 7 7 7")
    copied = tmp_path / "copy.txt"
    assert copy_glove(path, {"salt", "é", "lacking"}, copied, dimensions=3) == 2
    assert copied.read_text(encoding="utf-8") == "salt 1 -2.5 3e-1\né 0 0 1\n"
    whole, part = (load_glove(p, vocabulary, dimensions=3, seed=1) for p in (path, copied))
    assert (whole.matrix == part.matrix).all()
    bad = write_glove(tmp_path, "salt 1 2 3", "other 1 x 3")
    with pytest.raises(DataError, match="not a number"):
        copy_glove(bad, {"salt"}, copied, dimensions=3)
    with pytest.raises(DataError, match="contains no vectors"):
        copy_glove(write_glove(tmp_path), {"salt"}, copied, dimensions=3)


BAD_GLOVE: dict[str, tuple[bytes, list[str]]] = {
    "narrow": (
        b"b 1 2",
        ["a different number of values", "2 numbers after b'b'", "a word and 3 numbers"],
    ),
    "wide": (b"b 1 2 3 4", ["a different number of values", "4 numbers"]),
    "no numbers": (b"b", ["a different number of values", "0 numbers"]),
    "empty line": (b"", ["a different number of values", "0 numbers"]),
    "tabs": (b"b\t1\t2\t3", ["a different number of values"]),
    "no word": (b" 1 2 3", ["a different number of values"]),
    "text for a number": (b"b 1 x 3", ["not a number", "x"]),
    "NaN": (b"b 1 nan 3", ["not a number", "finite"]),
    "too large for the type": (b"b 1 1e99 3", ["not a number"]),
    "two blanks": (b"b 1  3", ["not a number"]),
    "not UTF-8": (b"b\xe9 1 2 3", ["not UTF-8", "0xe9"]),
    "binary": (bytes(range(11, 250)), ["a different number of values"]),
    "one line of 1 MB": (b"b" + b" 1" * 500_000, ["too long", "more than 20000 bytes"]),
}


@pytest.mark.parametrize("name", BAD_GLOVE)
def test_glove_lines_that_cannot_be_used(name: str, tmp_path: Path) -> None:
    line, said = BAD_GLOVE[name]
    path = write_glove(tmp_path, "a 1 2 3", line, "c 1 2 3")
    with pytest.raises(DataError) as caught:
        load_glove(path, Vocabulary.of(["a"], 5), dimensions=3, seed=1)
    text = str(caught.value)
    assert caught.value.where == f"{path}, line 2"
    for words in (*said, "received:", "expected:", "what to do next"):
        assert words in text, text
    assert len(text) < 1000


def test_an_empty_glove_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="contains no vectors"):
        load_glove(write_glove(tmp_path), Vocabulary.of(["a"], 5), dimensions=3, seed=1)


@pytest.mark.real_data
def test_real_glove_vectors(mirror: Path) -> None:
    path = mirror / "glove" / "glove.6B.50d.subset.txt"
    ranked = [line.split(" ", 1)[0] for line in path.read_text(encoding="utf-8").splitlines()]
    vocabulary = Vocabulary.of([*ranked, "bathroom"], 5000)
    found = load_glove(path, vocabulary, dimensions=50, seed=1)
    assert found.covered == 2445
    the = found.matrix[vocabulary.ids["the"]]
    assert the[:3].tolist() == pytest.approx([0.418, 0.24968, -0.41242])
    assert not found.matrix[vocabulary.ids["bathroom"]].any()

    def likeness(one: str, other: str) -> float:
        a, b = (found.matrix[vocabulary.ids[word]] for word in (one, other))
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    assert likeness("monday", "tuesday") > 0.9 > 0.5 > likeness("monday", "film")
    with pytest.raises(DataError, match="a different number of values"):
        load_glove(path, vocabulary, dimensions=100, seed=1)


def test_pairs_are_counted_within_a_sentence() -> None:
    sentences = [np.array([2, 3, UNK, 4]), np.array([4, 2])]
    counts = count_pairs(sentences, 5, window=3).toarray()
    expected = np.zeros((5, 5))
    expected[2, 3] = 1
    expected[3, 4] = 1 / 2
    expected[2, 4] = 1 / 3 + 1
    assert counts == pytest.approx(expected + expected.T)


def test_vectors_of_a_corpus_of_two_worlds() -> None:
    """Words that stand among the same words come near each other."""
    random = np.random.default_rng(3)
    vocabulary = Vocabulary.of([f"w{n}" for n in range(40)], 50)
    worlds = [np.arange(2, 22), np.arange(22, 42)]
    sentences = [random.choice(worlds[n % 2], 12) for n in range(2000)]
    found = train_vectors(sentences, vocabulary, dimensions=4, seed=1)
    unit = found.matrix / np.maximum(np.linalg.norm(found.matrix, axis=1, keepdims=True), 1e-9)
    likeness = unit @ unit.T
    assert likeness[2:22, 2:22].mean() > likeness[2:22, 22:42].mean() + 0.5
    assert not found.matrix[PAD].any()
    assert found.matrix[UNK].any()
    assert found.covered == 40
    again = train_vectors(iter(sentences), vocabulary, dimensions=4, seed=1)
    assert (again.matrix == found.matrix).all()


def test_words_that_never_stand_beside_others_have_no_vector() -> None:
    vocabulary = Vocabulary.of("abcdef", 20)
    sentences = [np.array([2, 3, 4]), np.array([5]), np.array([4, 6, 2, 3])]
    found = train_vectors(sentences, vocabulary, dimensions=2, seed=1)
    assert found.covered == 4
    assert not found.matrix[[5, 7]].any()
    with pytest.raises(DataError, match="too small") as caught:
        train_vectors(sentences, vocabulary, dimensions=4, seed=1)
    assert "4 words" in str(caught.value)
