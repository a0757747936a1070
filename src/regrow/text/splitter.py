"""Sentences, split where NLTK's Punkt splits them, several times as fast.

Punkt (Kiss and Strunk 2006, doi:10.1162/coli.2006.32.4.485) asks of each `.`, `?` and `!` that is
followed by a blank or a closing sign whether a sentence ends there, and looks at no more than the
word before and the word after. Such pairs come again and again, so its answers are remembered; all
else here finds the pairs, as NLTK does. Nothing is ever downloaded.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from re import Match
from typing import Any

from nltk.tokenize.punkt import (
    PunktLanguageVars,
    PunktParameters,
    PunktSentenceTokenizer,
    PunktTrainer,
)

from regrow.base.errors import DataError

PUNKT_FILES = ("abbrev_types.txt", "collocations.tab", "ortho_context.tab", "sent_starters.txt")
KNOWN_CONTEXTS = 1 << 18
CLOSING = frozenset("\"')]}\u2018\u2019\u201c\u201d\xab\xbb")
BLANKS = " \n\t\r\x0b\x0c"
PLAIN = re.compile(r"([A-Za-z]{2,})\.\s+([A-Z][A-Za-z]*)")

_language = PunktLanguageVars()
_ENDS = _language.period_context_re()
_REALIGNED = _language.re_boundary_realignment


class SentenceSplitter:
    """Splits texts into sentences with a Punkt model.

    Args:
        parameters: the model, from `load_punkt` or `train_punkt`.
    """

    def __init__(self, parameters: PunktParameters) -> None:
        self._parameters = parameters
        self._contains_break = PunktSentenceTokenizer(parameters).text_contains_sentbreak
        self._known: dict[str, bool] = {}

    def split(self, text: str) -> list[str]:
        """The sentences of a text, the same as `nltk.sent_tokenize` with this model gives."""
        return [text[start:end] for start, end in self.spans(text)]

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where the sentences start and end, blanks between them left out."""
        cuts, last = [], 0
        for end, begin in _find_ends(text):
            if self._is_break(text[begin : end.end()] + end["after_tok"]):
                cuts.append((last, end.end()))
                last = end.start("next_tok") if end["next_tok"] else end.end()
        cuts.append((last, len(text.rstrip())))
        return list(_realign(text, cuts))

    def _is_break(self, context: str) -> bool:
        found = self._known.get(context)
        if found is None:
            if len(self._known) >= KNOWN_CONTEXTS:
                self._known.clear()
            found = self._known[context] = self._decide(context)
        return found

    def _decide(self, context: str) -> bool:
        if plain := PLAIN.fullmatch(context):
            # Neither an initial nor a number, so only these two could speak against an end.
            word, following = plain[1].lower(), plain[2].lower()
            if word not in self._parameters.abbrev_types:
                return (word, following) not in self._parameters.collocations
        return bool(self._contains_break(context))


def _find_ends(text: str) -> Iterator[tuple[Match[str], int]]:
    """Each sign that may end a sentence, and where the word before it begins.

    Of several signs in one word, such as "!!!", it is the last.
    """
    previous, begin, stop = None, 0, 0
    for match in _ENDS.finditer(text):
        at = match.start()
        blank = max(text.rfind(sign, stop, at) for sign in BLANKS)
        before, begin = begin, max(begin, blank + 1)
        if previous is not None and stop <= begin:
            yield previous, before
        previous, stop = match, at
    if previous is not None:
        yield previous, begin


def _realign(text: str, cuts: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Gives closing quotes and brackets back to the sentence that they close."""
    shift = 0
    for (start, end), following in zip(cuts, [*cuts[1:], None], strict=True):
        start += shift
        shift = 0
        if following is not None and text[following[0] : following[0] + 1] in CLOSING:
            closing = _REALIGNED.match(text, *following)
            if closing:
                yield start, following[0] + len(closing[0].rstrip())
                shift = closing.end() - following[0]
                continue
        if start < end:
            yield start, end


class _Contexts(dict[str, int]):
    """What NLTK keeps in a defaultdict, which would grow with each word that is looked up."""

    def __missing__(self, _: str) -> int:
        return 0


def load_punkt(folder: Path) -> PunktParameters:
    """The model in the files of NLTK's `punkt_tab`, such as those in its folder "english".

    Raises:
        DataError: a file is missing or has a line that is not as it should be.
    """
    parameters = PunktParameters()
    abbreviations, collocations, contexts, starters = (
        list(_read_fields(folder / name, 2 if name.endswith(".tab") else 1)) for name in PUNKT_FILES
    )
    parameters.abbrev_types = {word for _, (word,) in abbreviations}
    parameters.sent_starters = {word for _, (word,) in starters}
    parameters.collocations = {(first, second) for _, (first, second) in collocations}
    for place, (_, flags) in contexts:
        if not (flags.isascii() and flags.isdecimal()):
            raise _refuse(place, repr(flags), "a word, a tab and an integer")
    parameters.ortho_context = _Contexts((word, int(flags)) for _, (word, flags) in contexts)
    return parameters


def _read_fields(path: Path, count: int) -> Iterator[tuple[str, list[str]]]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise _refuse(str(path), str(error), "a UTF-8 file") from error
    for number, line in enumerate(lines, 1):
        fields = line.split("\t")
        if len(fields) != count or not all(fields):
            what = "a word" if count == 1 else "two fields separated by a tab"
            raise _refuse(f"{path}, line {number}", repr(line[:60]), what)
        yield f"{path}, line {number}", fields


def _refuse(where: str, received: str, expected: str) -> DataError:
    return DataError(
        "the Punkt model cannot be read",
        where=where,
        received=received,
        expected=expected,
        remedies=[
            "download punkt_tab again, or run without it; a model is then trained on the texts"
        ],
    )


def make_punkt(abbreviations: Iterable[str]) -> PunktParameters:
    """A model that knows some abbreviations (lower case, without the last period) and no more."""
    parameters = PunktParameters()
    parameters.abbrev_types = set(abbreviations)
    parameters.ortho_context = _Contexts()
    return parameters


def train_punkt(texts: Iterable[str]) -> PunktParameters:
    """A model learned from texts, without anyone's help.

    All text is looked at, but it is not kept.
    """
    trainer: Any = PunktTrainer()
    for text in texts:
        trainer.train(text, finalize=False)
    trainer.finalize_training()
    parameters: PunktParameters = trainer.get_params()
    parameters.ortho_context = _Contexts(parameters.ortho_context)
    return parameters
