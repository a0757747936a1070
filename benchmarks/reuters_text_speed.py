"""Reading Reuters' files and finding their words, each against the plain way, as markdown.

REGROW_MIRROR=FOLDER python benchmarks/reuters_text_speed.py

Seconds are the processor's, of one thread; the median of three.
"""

from __future__ import annotations

import html
import os
import re
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from nltk.tokenize.destructive import NLTKWordTokenizer
from nltk.tokenize.punkt import PunktSentenceTokenizer

from regrow.models.sentence_vectors.reader import Reading, read_documents
from regrow.text.splitter import SentenceSplitter, load_punkt
from regrow.text.tokens import Tokeniser

REPEATS = 3


def time_median(call: Callable[[], Any]) -> float:
    """Processor seconds of a call: the median of several."""
    found = []
    for _ in range(REPEATS):
        started = time.process_time()
        call()
        found.append(time.process_time() - started)
    return statistics.median(found)


def read(paths: Sequence[Path]) -> list[str]:
    """Titles and bodies by regrow's reader, which checks every tag."""
    facts = Reading()
    found = [document for path in paths for document in read_documents(path, facts)]
    return [" ".join(text.split()) for one in found for text in (one.title, one.body)]


def read_plainly(paths: Sequence[Path]) -> list[str]:
    """The same by regular expressions over whole files, with nothing checked."""
    texts = []
    for path in paths:
        content = path.read_bytes().decode("latin-1")
        for document in re.findall(r"<REUTERS.*?</REUTERS>", content, re.DOTALL):
            for tag in ("TITLE", "BODY", "TOPICS", "PLACES", "DATE"):
                found = re.search(rf"<{tag}>(.*?)</{tag}>", document, re.DOTALL)
                texts.append(html.unescape(found[1]) if found else "")
    return texts


def main() -> None:
    """Prints the tables."""
    mirror = Path(os.environ["REGROW_MIRROR"])
    parameters = load_punkt(mirror / "nltk" / "tokenizers" / "punkt_tab" / "english")
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(mirror / "reuters-21578" / "reuters21578.tar.gz") as archive:
            archive.extractall(folder, filter="data")
        paths = sorted(Path(folder).glob("*.sgm"))
        ours = time_median(lambda: read(paths))
        plain = time_median(lambda: read_plainly(paths))
        texts = read(paths)
    words = 0

    def tokenise() -> None:
        nonlocal words
        tokeniser = Tokeniser(SentenceSplitter(parameters))
        split = tokeniser.splitter.split
        words = sum(len(tokeniser.words(part)) for text in texts for part in split(text))

    def tokenise_by_nltk() -> None:
        punkt, tokeniser = PunktSentenceTokenizer(parameters), NLTKWordTokenizer()
        for text in texts:
            for sentence in punkt.tokenize(text):
                # As word_tokenize does: it looks for sentences in the sentence again.
                for part in punkt.tokenize(sentence):
                    tokeniser.tokenize(part)

    rows = [
        ("21,578 documents read, by expressions over whole files", plain, plain),
        ("read and checked tag by tag, regrow", ours, plain),
    ]
    fast, slow = time_median(tokenise), time_median(tokenise_by_nltk)
    rows += [
        (f"{words:,} words found, NLTK", slow, slow),
        ("the same words, regrow", fast, slow),
    ]
    print("| what | processor s | times as fast |\n| --- | ---: | ---: |")
    for name, seconds, baseline in rows:
        print(f"| {name} | {seconds:.2f} | {baseline / seconds:.1f} |")


if __name__ == "__main__":
    main()
