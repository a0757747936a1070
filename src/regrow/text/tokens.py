"""Words, the same as `nltk.word_tokenize` gives, several times as fast.

NLTK runs some thirty regular expressions over each sentence. They look no further than from one
blank to the next, so what becomes of the piece between two blanks is remembered, and what becomes
of a plain word is known beforehand. Three things do look further, and are left to NLTK:
the last period, which it gets with the sentence's last piece; quotes after another blank than " ",
which do not open; and signs that stand alone after the last period.
"""

from __future__ import annotations

import re

from nltk.tokenize.destructive import NLTKWordTokenizer

from regrow.text.splitter import SentenceSplitter

KNOWN_PIECES = 1 << 18
# A word or number, "'s" or not, and signs about it that each become a word; "..", "--" and other
# things that need thought are no part of it.
CORE = r"[A-Za-z0-9]+(?:(?:[./-]|,(?=[0-9]))[A-Za-z0-9]+)*"
PLAIN = re.compile(rf"([(<\"]?)({CORE}\.?)('[sS])?([,;:)>\"]*)")
PLAIN_END = re.compile(rf"({CORE})(\.)?")
# NLTK makes two words of each of these.
CONTRACTED = re.compile(r"(?i)cannot|gimme|gonna|gotta|lemme|wanna")
CONTEXT_COUNTS = re.compile(r"\A''|[^\S ](?:\"|'')")
# What may stand between the last period and the end.
AFTER_PERIOD = "])}>\"'»”’"
NUMBER_SIGNS = str.maketrans("", "", ".,-/")


class Tokeniser:
    """Sentences and words of texts, with what it has seen before remembered.

    Args:
        splitter: finds the sentences.
    """

    def __init__(self, splitter: SentenceSplitter) -> None:
        self.splitter = splitter
        self._tokenise = NLTKWordTokenizer().tokenize
        self._pieces: dict[str, tuple[str, ...]] = {}
        self._ends: dict[str, tuple[str, ...]] = {}

    def sentences(self, text: str) -> list[list[str]]:
        """The words of each sentence of a text."""
        return [self.words(sentence) for sentence in self.splitter.split(text)]

    def words(self, text: str) -> list[str]:
        """The words of a text, as `nltk.word_tokenize` gives them."""
        found: list[str] = []
        # NLTK splits what it is given into sentences once more, and so a sentence too.
        for start, end in self.splitter.spans(text):
            self._add_words(text[start:end], found)
        return found

    def _add_words(self, sentence: str, found: list[str]) -> None:
        *pieces, end = sentence.split()
        if not end.strip(AFTER_PERIOD) or CONTEXT_COUNTS.search(sentence):
            found += self._tokenise(sentence)
            return
        known = self._pieces
        for piece in pieces:
            words = known.get(piece)
            if words is None:
                words = _remember(known, piece, self._tokenise_piece(piece))
            found += words
        words = self._ends.get(end)
        if words is None:
            words = _remember(self._ends, end, self._tokenise_end(end))
        found += words

    def _tokenise_piece(self, piece: str) -> tuple[str, ...]:
        plain = PLAIN.fullmatch(piece)
        if plain and not CONTRACTED.search(piece):
            before, word, possessive, after = plain.groups()
            opening = [before.replace('"', "``")] if before else []
            closing = ["''" if sign == '"' else sign for sign in after]
            return (*opening, word, *([possessive] if possessive else []), *closing)
        # Among others, as in a sentence; they are left out again.
        return tuple(self._tokenise(f"x {piece} x")[1:-1])

    def _tokenise_end(self, piece: str) -> tuple[str, ...]:
        plain = PLAIN_END.fullmatch(piece)
        if plain and not CONTRACTED.search(piece):
            return tuple(filter(None, plain.groups()))
        return tuple(self._tokenise(f"x {piece}")[1:])


def _remember(
    known: dict[str, tuple[str, ...]], piece: str, words: tuple[str, ...]
) -> tuple[str, ...]:
    if len(known) >= KNOWN_PIECES:
        known.clear()
    known[piece] = words
    return words


def normalise(word: str) -> str:
    """A word in lower case, and every number as 9: once for all, for vocabulary and sentences.

    >>> [normalise(word) for word in ("Mln", "1,750", "1986/87", "3-1/2", "U.S.", "--")]
    ['mln', '9', '9', '9', 'u.s.', '--']
    """
    return "9" if word.translate(NUMBER_SIGNS).isdecimal() else word.lower()
