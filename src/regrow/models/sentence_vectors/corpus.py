"""The clean tables as a network reads them: ids of words, and which sentences are learned from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from regrow.base.errors import DataError
from regrow.models.sentence_vectors.documents import DIMENSIONS
from regrow.models.sentence_vectors.layers import THEME_LENGTH
from regrow.models.sentence_vectors.table import Sentences, read_documents, read_sentences
from regrow.text.vectors import WordVectors, load_glove, train_vectors
from regrow.text.vocabulary import PAD, SPECIAL, UNK, Vocabulary

if TYPE_CHECKING:
    import pandas as pd

    from regrow.models.sentence_vectors.spec import SentenceVectorsConfig

# So many words at least: shorter ones are sign-offs ("Reuter").
LEAST_WORDS = 2
VECTOR_SEED = 0

Array = np.ndarray[Any, np.dtype[Any]]


@dataclass(frozen=True)
class Corpus:
    """What a network is trained on.

    Attributes:
        sentences: all of them, in the order of the documents.
        vocabulary: the words that it knows.
        ids: of each sentence's words, int32.
        training: rows of `sentences` to learn from; none is of ModApte's test documents.
        validation: rows of other documents, to choose by.
        documents: the clean table.
    """

    sentences: Sentences
    vocabulary: Vocabulary
    ids: list[Array]
    training: Array
    validation: Array
    documents: pd.DataFrame


def read_corpus(folder: Path, config: SentenceVectorsConfig) -> Corpus:
    """Reads what cleaning left in a folder.

    Raises:
        DataError: too few sentences are left to learn from.
    """
    sentences = read_sentences(folder)
    documents = read_documents(folder / "table.parquet")
    vocabulary = Vocabulary.of(sentences.ranked, config.vocabulary_size)
    known = documents[(documents["mod_apte"] != "test") & (documents["form"] != "UNPROC")]["id"]
    # Whole documents: their sentences repeat each other. Every so many, so that all of the time is
    # in both parts.
    held_out = known.to_numpy()[:: round(1 / config.validation_share)]
    long_enough = sentences.lengths >= LEAST_WORDS
    mine = np.isin(sentences.document, known) & long_enough
    validation = mine & np.isin(sentences.document, held_out)
    training = np.flatnonzero(mine & ~validation)
    if config.training_share < 1:
        count = round(len(training) * config.training_share)
        training = np.sort(np.random.default_rng(0).choice(training, count, replace=False))
    if not len(training) or not validation.any():
        raise DataError(
            "there are too few sentences for training",
            where=str(folder),
            received=f"{len(training)} for training, {validation.sum()} for validation",
            expected="documents with two or more words outside the ModApte test split",
            remedies=["use more documents", "raise training_share or validation_share"],
        )
    return Corpus(
        sentences,
        vocabulary,
        sentences.encode(vocabulary),
        training,
        np.flatnonzero(validation),
        documents,
    )


def make_word_vectors(folder: Path, corpus: Corpus, config: SentenceVectorsConfig) -> WordVectors:
    """GloVe's vectors where cleaning found them, or else such from the training sentences."""
    glove = folder / "glove.txt"
    if config.word_vectors == "glove" and glove.is_file():
        return load_glove(glove, corpus.vocabulary, dimensions=DIMENSIONS, seed=VECTOR_SEED)
    chosen = [corpus.ids[row] for row in corpus.training]
    return train_vectors(chosen, corpus.vocabulary, dimensions=DIMENSIONS, seed=VECTOR_SEED)


def scale_vectors(matrix: Array, corpus: Corpus) -> Array:
    """Word vectors with a mean of zero and a total variance of one over the training words.

    Padding stays zero. Shares of the variance that are explained stay the same.
    """
    tokens = np.concatenate([corpus.ids[row] for row in corpus.training])
    shares = np.bincount(tokens, minlength=len(matrix)) / len(tokens)
    mean = shares @ matrix
    deviation = np.sqrt(shares @ np.square(matrix - mean).sum(axis=1))
    scaled: Array = ((matrix - mean) / deviation).astype("float32")
    scaled[PAD] = 0
    return scaled


def count_documents(corpus: Corpus) -> tuple[Array, int]:
    """In how many documents to learn from each word is, (words,), and how many these are."""
    size = len(corpus.vocabulary)
    owner = np.repeat(
        corpus.sentences.document[corpus.training].astype("int64"),
        corpus.sentences.lengths[corpus.training],
    )
    words = np.concatenate([corpus.ids[row] for row in corpus.training])
    pairs = np.unique(owner * size + words)
    return np.bincount(pairs % size, minlength=size), len(np.unique(owner))


def weigh_words(corpus: Corpus) -> Array:
    """How much each word says of what a sentence is about, (words,), from .01 to 1.

    The logarithm of the share of documents that have it (inverse document frequency), over the
    largest; the least for UNK.
    """
    spread, total = count_documents(corpus)
    rare = np.log(total / np.maximum(spread, 1))
    rare[: len(SPECIAL)] = 0
    weights: Array = np.clip(rare / rare.max(), 0.01, 1).astype("float32")
    return weights


def draw_contexts(corpus: Corpus, count: int, seed: int) -> Array:
    """Words that say what each sentence's document is about, (sentences, count), padded ids.

    Drawn without replacement; a word's chance grows with how often it is in the document, and
    falls with how many documents have it. UNK is none.
    """
    flat = np.concatenate(corpus.ids).astype("int64")
    document = np.repeat(corpus.sentences.document.astype("int64"), corpus.sentences.lengths)
    size = len(corpus.vocabulary)
    pairs, times = np.unique(document * size + flat, return_counts=True)
    owner, word = pairs // size, pairs % size
    spread, total = count_documents(corpus)
    rare = np.log(total / np.maximum(spread, 1))
    rare[: len(SPECIAL)] = 0
    weight = (1 + np.log(times)) * np.maximum(rare[word], 0)
    owner, word, weight = (array[weight > 0] for array in (owner, word, weight))
    # The highest of log(weight) + Gumbel noise are draws without replacement.
    noise = np.random.default_rng(seed).gumbel(size=len(weight))
    order = np.lexsort((-(np.log(weight) + noise), owner))
    owner, word = owner[order], word[order]
    ids, starts, sizes = np.unique(owner, return_index=True, return_counts=True)
    place = np.arange(len(owner)) - np.repeat(starts, sizes)
    kept = place < count
    table = np.full((len(ids) + 1, count), PAD, dtype="int32")
    table[np.repeat(np.arange(len(ids)), sizes)[kept], place[kept]] = word[kept]
    # The last row is for documents that have no such word.
    row = np.searchsorted(ids, corpus.sentences.document)
    found = np.append(ids, -1)[row] == corpus.sentences.document
    contexts: Array = table[np.where(found, row, len(ids))]
    return contexts


def find_themes(corpus: Corpus, size: int, seed: int) -> Array:
    """Where the words' vectors of `layers.Themes` begin, (words, size), float32.

    The main axes of the training documents' TF-IDF (latent semantic analysis), scaled; beyond as
    many as there are documents or words, zeros.
    """
    from scipy.sparse import csr_array, diags_array
    from scipy.sparse.linalg import svds

    words = np.concatenate([corpus.ids[row] for row in corpus.training])
    document = np.repeat(
        corpus.sentences.document[corpus.training], corpus.sentences.lengths[corpus.training]
    )
    _, rows = np.unique(document, return_inverse=True)
    counts = csr_array((np.ones(len(words), dtype="float32"), (rows, words)))
    counts.sum_duplicates()
    counts.data = 1 + np.log(counts.data)
    weighted = counts @ diags_array(weigh_words(corpus)[: counts.shape[1]])
    length = np.sqrt(weighted.multiply(weighted).sum(axis=1))
    unit = diags_array(1 / np.maximum(length, 1e-9)) @ weighted
    start = np.random.default_rng(seed).standard_normal(min(unit.shape))
    found = min(size, min(unit.shape) - 1)
    _, values, axes = svds(unit.astype("float32"), k=found, v0=start.astype("float32"))
    themes = np.zeros((len(corpus.vocabulary), size), dtype="float32")
    themes[: counts.shape[1], :found] = axes[np.argsort(-values)].T
    themes *= THEME_LENGTH / np.sqrt(np.square(themes[len(SPECIAL) :]).sum(axis=1).mean())
    return themes


def share_unknown(corpus: Corpus) -> float:
    """The share of the training words that are not in the vocabulary."""
    tokens = np.concatenate([corpus.ids[row] for row in corpus.training])
    return float((tokens == UNK).mean())
