"""Word vectors: read from a GloVe file, or computed from a corpus."""

from __future__ import annotations

from collections.abc import Container, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from regrow.base.errors import DataError
from regrow.base.file_kinds import name_kind
from regrow.text.vocabulary import PAD, UNK, Vocabulary

# A line of glove.6B.50d.txt has at most some 600 bytes, one of 300 dimensions 3,500.
MAX_LINE_BYTES = 20_000
WINDOW = 5
# The higher, the less rare contexts count (Levy, Goldberg and Dagan 2015, section 3.2).
CONTEXT_POWER = 0.75
BLOCK_TOKENS = 1 << 20
REMEDIES = (
    "use the file with 50 dimensions, glove.6B.50d.txt, or the zip that contains it: "
    "--source glove-6b-50d=PATH",
    "leave it out: --data-version glove-6b-50d=absent",
)

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class WordVectors:
    """One vector a word of a vocabulary.

    Attributes:
        matrix: (words, dimensions), float32, by id: zeros for PAD and for words without a vector,
            for UNK a vector of its own, drawn at random.
        origin: where the vectors come from.
        covered: how many words have a vector, PAD and UNK not counted.
    """

    matrix: Array
    origin: Literal["GloVe", "PPMI and SVD of the corpus"]
    covered: int


def load_glove(path: Path, vocabulary: Vocabulary, *, dimensions: int, seed: int) -> WordVectors:
    """The vectors of a vocabulary's words from a text file: a word and its numbers in each line.

    A word that stands twice keeps its first vector.

    Args:
        path: UTF-8 text, blanks between the numbers. It is read to its end, so a damaged line is
            found wherever it stands; only vectors that are wanted are kept.
        dimensions: how many numbers each line must have.
        seed: for the vector of UNK.

    Raises:
        DataError: a line is too long, has another count of numbers, or one that is not a finite
            number, or is not UTF-8; or there is no line; names file and line.
    """
    matrix = np.zeros((len(vocabulary), dimensions), dtype="float32")
    filled = np.zeros(len(vocabulary), dtype=bool)
    line = 0
    for line, word, numbers in _read_lines(path, dimensions):
        index = vocabulary.ids.get(word)
        values = _parse(path, line, numbers)
        if index is not None and index not in (PAD, UNK) and not filled[index]:
            matrix[index], filled[index] = values, True
    if not line:
        raise _refuse(path, 1, "the file contains no vectors", "nothing", _form(dimensions))
    _draw_unknown(matrix, filled, seed)
    return WordVectors(matrix, "GloVe", int(filled.sum()))


def copy_glove(path: Path, words: Container[str], out: Path, *, dimensions: int) -> int:
    """Writes a file of the same form with the lines of some words only, each word once.

    Returns:
        How many lines were written.

    Raises:
        DataError: as `load_glove`.
    """
    written: set[str] = set()
    line = 0
    with out.open("wb") as stream:
        for line, word, numbers in _read_lines(path, dimensions):
            _parse(path, line, numbers)
            if word in words and word not in written:
                stream.write(word.encode() + b" " + numbers + b"\n")
                written.add(word)
    if not line:
        raise _refuse(path, 1, "the file contains no vectors", "nothing", _form(dimensions))
    return len(written)


def _read_lines(path: Path, dimensions: int) -> Iterator[tuple[int, str, bytes]]:
    """Each line's number, its word and the bytes of its numbers."""
    with path.open("rb") as stream:
        for line, raw in enumerate(iter(lambda: stream.readline(MAX_LINE_BYTES + 1), b""), 1):
            if len(raw) > MAX_LINE_BYTES:
                received = f"more than {MAX_LINE_BYTES} bytes: {raw[:40]!r}…"
                raise _refuse(path, line, "the line is too long", received, _form(dimensions))
            # Blanks end with the line; other spaces, such as U+00A0, are words of GloVe.
            word, _, numbers = raw.rstrip(b"\r\n").partition(b" ")
            count = numbers.count(b" ") + 1 if numbers else 0
            if count != dimensions or not word:
                received = f"{count} numbers after {word[:40]!r}"
                what = "a line has a different number of values than the others"
                raise _refuse(path, line, what, received, _form(dimensions))
            try:
                yield line, word.decode("utf-8"), numbers
            except UnicodeDecodeError as error:
                received = f"byte 0x{word[error.start]:02x} in {word[:40]!r}"
                raise _refuse(
                    path, line, "the file is not UTF-8 text", received, "UTF-8 text"
                ) from None


def _parse(path: Path, line: int, numbers: bytes) -> Array:
    try:
        with np.errstate(over="ignore"):  # what is too large becomes infinite, and is refused
            values = np.array(numbers.split(b" "), dtype="float32")
    except ValueError as error:
        received = str(error)
    else:
        if np.isfinite(values).all():
            return values
        received = f"{numbers[:60]!r}…"
    raise _refuse(
        path, line, "a vector contains a value that is not a number", received, "finite numbers"
    )


def _form(dimensions: int) -> str:
    return f"a word and {dimensions} numbers, separated by single spaces"


def _refuse(path: Path, line: int, what: str, received: str, expected: str) -> DataError:
    kind = name_kind(path) if line == 1 else None
    return DataError(
        what,
        where=f"{path}, line {line}",
        received=f"{received}; the file is {kind}" if kind else received,
        expected=expected,
        remedies=["download the file again; it may be damaged", *REMEDIES],
    )


def _draw_unknown(matrix: Array, filled: Array, seed: int) -> None:
    """Gives UNK a vector of the usual length in a direction of its own."""
    direction = np.random.default_rng(seed).standard_normal(matrix.shape[1])
    length = np.linalg.norm(matrix[filled], axis=1).mean() if filled.any() else 1.0
    matrix[UNK] = direction / np.linalg.norm(direction) * length


def train_vectors(
    sentences: Iterator[Array] | list[Array],
    vocabulary: Vocabulary,
    *,
    dimensions: int,
    seed: int,
    window: int = WINDOW,
) -> WordVectors:
    """Vectors from a corpus: positive pointwise mutual information, and its singular vectors.

    Levy and Goldberg 2014 show that this is what word2vec approximates. A pair of words counts the
    more the nearer its two stand in a sentence, as in GloVe.

    Args:
        sentences: ids of words, one array a sentence. UNK and PAD are no contexts.
        dimensions: of a vector, fewer than the vocabulary has words.
        seed: for the starting vector of the decomposition, and UNK's.
        window: how many words to each side count.
    """
    counts = count_pairs(sentences, len(vocabulary), window)
    known = np.flatnonzero(np.asarray(counts.sum(axis=1)).ravel())
    if len(known) <= dimensions:
        raise DataError(
            "the corpus is too small for vectors of this size",
            received=f"{len(known)} words that occur next to other words",
            expected=f"more than {dimensions}",
            remedies=["choose fewer dimensions", "use a larger corpus"],
        )
    information = _positive_information(counts[known][:, known])
    matrix = np.zeros((len(vocabulary), dimensions), dtype="float32")
    matrix[known] = _factorise(information, dimensions, seed)
    filled = np.zeros(len(vocabulary), dtype=bool)
    filled[known] = True
    _draw_unknown(matrix, filled, seed)
    return WordVectors(matrix, "PPMI and SVD of the corpus", len(known))


def _factorise(information: Any, dimensions: int, seed: int) -> Array:
    """The left singular vectors, scaled by the roots of the singular values."""
    from scipy.sparse.linalg import svds

    start = np.random.default_rng(seed).standard_normal(information.shape[0])
    left, values, _ = svds(information, k=dimensions, v0=start, return_singular_vectors="u")
    order = np.argsort(-values)
    left, values = left[:, order], values[order]
    # A singular vector's sign is arbitrary: its largest entry is made positive.
    left = left * np.sign(left[np.abs(left).argmax(axis=0), np.arange(dimensions)])
    # The roots give better similarities than the values (Levy and Goldberg 2014).
    scaled: Array = left * np.sqrt(values)
    return scaled


def count_pairs(sentences: Iterator[Array] | list[Array], words: int, window: int) -> Any:
    """How often two words stand near each other, 1 / distance each time.

    Returns:
        A symmetric sparse matrix (words, words), float64.
    """
    from scipy.sparse import csr_array

    total = csr_array((words, words), dtype="float64")
    waiting: list[Array] = []
    size = 0
    gap = np.full(window, PAD, dtype="int64")  # so that no pair reaches into the next sentence
    for sentence in sentences:
        waiting += [np.asarray(sentence, dtype="int64"), gap]
        size += len(sentence) + window
        if size > BLOCK_TOKENS:
            total += _count_block(np.concatenate(waiting), words, window)
            waiting, size = [], 0
    if waiting:
        total += _count_block(np.concatenate(waiting), words, window)
    return csr_array(total + total.T)


def _count_block(tokens: Array, words: int, window: int) -> Any:
    from scipy.sparse import coo_array

    found = []
    for distance in range(1, window + 1):
        left, right = tokens[:-distance], tokens[distance:]
        both = (left > UNK) & (right > UNK)
        found.append((left[both], right[both], np.full(both.sum(), 1 / distance)))
    left, right, shares = (np.concatenate(part) for part in zip(*found, strict=True))
    return coo_array((shares, (left, right)), shape=(words, words)).tocsr()


def _positive_information(counts: Any) -> Any:
    """log(p(word, context) / (p(word) p(context))), zero where it would be negative."""
    from scipy.sparse import csr_array

    pairs = counts.tocoo()
    word = np.bincount(pairs.row, pairs.data, minlength=counts.shape[0])
    context = word**CONTEXT_POWER
    context /= context.sum()
    information = np.log(pairs.data / (word[pairs.row] * context[pairs.col]))
    kept = information > 0
    return csr_array((information[kept], (pairs.row[kept], pairs.col[kept])), shape=counts.shape)
