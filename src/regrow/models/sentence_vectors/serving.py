"""sentence-vectors where regrow is not installed: sentences as text, their vectors as lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Callable

PAD, UNKNOWN = 0, 1
NUMBER_SIGNS = str.maketrans("", "", ".,-/")


def describe(model: Any, inputs: Any) -> dict[str, Any]:
    """The words of the network, and sentences of its example (rows, words)."""
    table = model.get_layer("words")
    return {
        "words": table.words,
        "abbreviations": table.abbreviations,
        # Those that read sentences of one length are given that.
        "length": model.inputs[0].shape[1] or table.length,
        "columns": [{"name": "text", "type": "string", "required": True}],
        "example": [
            [" ".join(table.words[number] for number in row if number > UNKNOWN)]
            for row in inputs[:3]
        ],
    }


def answer(frame: pd.DataFrame, facts: dict[str, Any], run: Callable[[Any], Any]) -> pd.DataFrame:
    """The vector of each sentence, and how many of its words are not known.

    A sentence without a word has a vector of zeros.
    """
    ids = {word: n for n, word in enumerate(facts["words"])}
    split = _make_splitter(facts["abbreviations"])
    rows = np.full((len(frame), facts["length"]), PAD, dtype="int32")
    unknown, empty = [], []
    for row, text in zip(rows, frame["text"], strict=True):
        found = [ids.get(_normalise(word), UNKNOWN) for word in split(str(text))]
        row[: len(found)] = found[: len(row)]
        unknown.append(found.count(UNKNOWN))
        empty.append(not found)
    vectors = run(rows)["vector"]
    vectors[empty] = 0
    return pd.DataFrame(
        {"text": frame["text"], "unknown_words": unknown, "vector": vectors.tolist()},
        index=frame.index,
    )


def _make_splitter(abbreviations: list[str]) -> Callable[[str], list[str]]:
    """A function that gives the words of a text, as NLTK finds them."""
    from nltk.tokenize.destructive import NLTKWordTokenizer
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    parameters = PunktParameters()
    parameters.abbrev_types = set(abbreviations)
    sentences, words = PunktSentenceTokenizer(parameters), NLTKWordTokenizer()

    def split(text: str) -> list[str]:
        return [word for one in sentences.tokenize(text) for word in words.tokenize(one)]

    return split


def _normalise(word: str) -> str:
    return "9" if word.translate(NUMBER_SIGNS).isdecimal() else word.lower()
