"""Reuters from its archive to the clean tables, through the real store; what must hold there."""

from __future__ import annotations

import gzip
import importlib.util
import io
import socket
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

from regrow.base.errors import DataError
from regrow.base.home import Home
from regrow.base.spec import ModelConfig
from regrow.checks.expectations import check_frame
from regrow.checks.validation import validate_table
from regrow.models.sentence_vectors.data import COLUMNS, clean
from regrow.models.sentence_vectors.expectations import EXPECTATIONS
from regrow.models.sentence_vectors.table import (
    Sentences,
    read_documents,
    read_labelled,
    read_sentences,
)
from regrow.pipeline.origins import naming_origins
from regrow.sources.fetch import fetch, load_sources
from regrow.store.entry import Entry
from regrow.store.store import Store
from regrow.text.vectors import train_vectors
from regrow.text.vocabulary import Vocabulary
from tests.conftest import REPOSITORY
from tests.support.stages import make_context

DATA = REPOSITORY / "data"
SAMPLE = DATA / "samples" / "reuters.tar.gz"
SOURCES = load_sources(DATA / "sources.toml")
SOURCE = SOURCES["reuters-21578"]


def download(
    home: Path, *, mirror: Path | None = None, local: Path | None = None, punkt: bool = False
) -> Entry:
    """The stage `download` as the pipeline does it; the sample where nothing else is given."""

    def make(out: Path, _scratch: Path) -> dict[str, Any]:
        facts = [
            fetch(
                SOURCES[name],
                out,
                downloads=home / "downloads",
                mirror=str(mirror) if mirror else None,
                local=local if name == SOURCE.name else None,
                sample=name == SOURCE.name and not (mirror or local),
                data_dir=DATA,
                progress=lambda *_: None,
            )
            for name in (["punkt-tab"] if punkt else []) + [SOURCE.name]
        ]
        return {"kind": facts[-1]["kind"], "sources": facts}

    return Store(Home(home)).build("sentence-vectors", "download", "0" * 64, {}, make)[0]


def run_clean(entry: Entry, out: Path) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The cleaned table and the facts."""
    with naming_origins(entry):
        facts = clean(make_context(ModelConfig(), out, download=entry))
    return read_documents(out / "table.parquet"), facts


@pytest.fixture(scope="module")
def cleaned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pd.DataFrame, dict[str, Any]]:
    """The sample, cleaned once."""
    home = tmp_path_factory.mktemp("sample")
    frame, facts = run_clean(download(home), home / "out")
    return home / "out", frame, facts


Cleaned = tuple[Path, pd.DataFrame, dict[str, Any]]


def words_of(sentences: Sentences, index: int) -> list[str]:
    start, end = sentences.offsets[index : index + 2]
    return [sentences.ranked[rank] for rank in sentences.ranks[start:end]]


@pytest.fixture
def generator() -> ModuleType:
    path = SAMPLE.with_name("generate_reuters.py")
    spec = importlib.util.spec_from_file_location("generate_reuters", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_sample_is_what_its_generator_makes(generator: ModuleType) -> None:
    # gzip's own bytes may differ between builds of zlib.
    packed = gzip.decompress(SAMPLE.read_bytes())
    assert packed == generator.make_tar(generator.make_members())
    assert set(generator.make_members()) < set(SOURCE.pinned)


def test_cleaning_the_sample(cleaned: Cleaned) -> None:
    folder, frame, facts = cleaned
    assert list(frame.columns) == list(COLUMNS)
    assert facts["rows"] == len(frame) == 480
    assert list(frame["id"]) == list(range(1, 481))
    for name in ("mod_apte", "mod_lewis", "mod_hayes"):
        counts = Counter(frame[name])
        assert facts[name] == {split: counts[split] for split in ("train", "test", "unused")}
        assert counts["train"] > counts["test"] > 0
    assert facts["documents_by_form"] == dict(Counter(frame["form"]))
    assert facts["topics"] == facts["shared_topics"]["topics"] == 6
    assert "trained on the bodies" in facts["sentence_model"]
    assert all(check["success"] for check in check_frame(frame, EXPECTATIONS))
    body = frame.loc[frame["form"] == "NORM", "body"]
    assert body.str.contains(r"<[A-Z]+\.X> ").any()
    assert body.str.contains("can't").any()
    assert not body.str.contains("&lt;|&amp;|</?BODY>|\x03").any()
    assert sorted(path.name for path in folder.iterdir()) == [
        "abbreviations.txt",
        "sentences.parquet",
        "table.parquet",
        "words.parquet",
    ]


def test_sentences_of_the_sample(cleaned: Cleaned) -> None:
    folder, frame, facts = cleaned
    sentences = read_sentences(folder)
    everything = facts["readings"]["all text"]
    assert len(sentences) == everything["sentences"] == frame["sentences"].sum()
    assert sentences.lengths.sum() == everything["words"] == frame["words"].sum()
    assert everything["different_words"] == len(sentences.ranked) == len(set(sentences.ranked))
    assert everything["mean_words"] == round(sentences.lengths.mean(), 2)
    assert everything["median_words"] == np.median(sentences.lengths)
    per_document = pd.Series(sentences.document).value_counts()
    expected = frame.set_index("id")["sentences"]
    assert per_document.to_dict() == expected[expected > 0].to_dict()
    # Lower case and 9 for numbers, for vocabulary and sentences alike.
    assert all(word == word.lower() for word in sentences.ranked)
    assert not any(word.replace(",", "").isdigit() for word in sentences.ranked if word != "9")
    quotes = [n for n, text in enumerate(sentences.texts.to_pylist()) if text.startswith('"We')]
    words = words_of(sentences, quotes[0])
    assert words[:3] == ["``", "we", "expect"]
    assert "''" in words
    # Titles come first, and can be had alone, as can bodies.
    titles = read_sentences(folder, parts=["title"])
    bodies = read_sentences(folder, parts=["body"], forms=["NORM"])
    assert titles.texts[0].as_py() == frame["title"][0] == sentences.texts[0].as_py()
    assert len(bodies) == facts["readings"]["bodies"]["sentences"]
    assert words_of(bodies, 0) == words_of(sentences, 1)


def test_ranks_come_from_what_may_be_trained_on(cleaned: Cleaned) -> None:
    folder, frame, _ = cleaned
    sentences = read_sentences(folder)
    test = set(frame.loc[frame["mod_apte"] == "test", "id"])
    counts: Counter[str] = Counter()
    for index, document in enumerate(sentences.document):
        if document not in test:
            counts.update(words_of(sentences, index))
    assert list(sentences.ranked) == sorted(sentences.ranked, key=lambda w: (-counts[w], w))
    vocabulary = Vocabulary.of(sentences.ranked, 100)
    encoded = sentences.encode(vocabulary)
    assert len(encoded) == len(sentences)
    for index in (0, 7, len(sentences) - 1):
        assert encoded[index].tolist() == vocabulary.encode(words_of(sentences, index))


def test_labelled_documents(cleaned: Cleaned) -> None:
    folder, frame, facts = cleaned
    found = read_labelled(folder / "table.parquet")
    shared = facts["shared_topics"]
    assert (len(found.topics), len(found.train), len(found.test)) == tuple(shared.values())
    by_id = frame.set_index("id")
    topics = dict(zip(frame["id"], frame["topics"], strict=True))
    for ids, matrix, split in (
        (found.train, found.train_topics, "train"),
        (found.test, found.test_topics, "test"),
    ):
        for document, row in zip(ids, matrix, strict=True):
            assert by_id.at[document, "mod_apte"] == split
            names = {found.topics[column] for column in np.flatnonzero(row)}
            assert names == set(topics[document])
            assert names


def change_member(name: str, change: Callable[[bytes], bytes], target: Path) -> Path:
    """The sample with one file changed."""
    with tarfile.open(SAMPLE) as archive, tarfile.open(target, "w") as other:
        for info in archive:
            reader = archive.extractfile(info)
            assert reader is not None
            content = change(reader.read()) if info.name == name else reader.read()
            info.size = len(content)
            other.addfile(info, io.BytesIO(content))
    return target


def test_a_bad_file_is_named_as_the_person_knows_it(tmp_path: Path) -> None:
    local = change_member("reut2-001.sgm", lambda text: text[:-100], tmp_path / "mine.tar")
    entry = download(tmp_path, local=local)
    with pytest.raises(DataError, match="in the middle of a document") as caught:
        run_clean(entry, tmp_path / "out")
    where = str(caught.value.where)
    assert where.startswith(f"{local}, member reut2-001.sgm, line ")
    assert str(entry.path) not in str(caught.value)


def test_a_failed_cleaning_leaves_nothing_in_the_store(tmp_path: Path) -> None:
    local = change_member("reut2-001.sgm", lambda text: text[:-100], tmp_path / "mine.tar")
    entry, store = download(tmp_path, local=local), Store(Home(tmp_path))

    def make(out: Path, scratch: Path) -> dict[str, Any]:
        return clean(make_context(ModelConfig(), out, scratch=scratch, download=entry))

    with pytest.raises(DataError):
        store.build("sentence-vectors", "clean", "1" * 64, {}, make)
    assert store.find("sentence-vectors", "clean", "1" * 64) is None
    assert list((tmp_path / "store").rglob("*.parquet")) == []


def test_a_document_that_stands_twice_stops_the_run(tmp_path: Path) -> None:
    def repeat(content: bytes) -> bytes:
        start = content.index(b"<REUTERS")
        return content[: content.index(b"</REUTERS>") + 11] + content[start:]

    local = change_member("reut2-000.sgm", repeat, tmp_path / "mine.tar")
    run_clean(download(tmp_path, local=local), tmp_path / "out")
    with pytest.raises(DataError, match="does not meet 1 of") as caught:
        validate_table(
            tmp_path / "out" / "table.parquet",
            EXPECTATIONS,
            tmp_path / "validation",
            failures=tmp_path / "failures",
            id_column="id",
        )
    assert "id values must be unique" in str(caught.value)


def set_first(**values: Any) -> Callable[[pd.DataFrame], pd.DataFrame]:
    def change(frame: pd.DataFrame) -> pd.DataFrame:
        changed = frame.copy()
        for name, value in values.items():
            column = changed[name].astype(object)
            column.iat[0] = value
            changed[name] = column if name == "topics" else column.astype(frame[name].dtype)
        return changed

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (set_first(id=2), "id values must be unique"),
        (set_first(id=0), "id values"),
        (set_first(date=pd.Timestamp("1978-02-26")), "date values"),
        (set_first(mod_apte="test", lewis_split="TRAIN"), "'lewis_split', 'column_B': 'mod_apte'"),
        (set_first(mod_apte="train", indexed="NO"), "'indexed', 'column_B': 'mod_apte'"),
        (set_first(mod_hayes="unused"), "'cgi_split', 'column_B': 'mod_hayes'"),
        (set_first(form="LONG"), "form values"),
        (set_first(title=None), "title values must never be null"),
        (set_first(topics=[f"t{n}" for n in range(31)]), "topics values"),
        (set_first(body="left \x03"), "body values must match"),
        (set_first(body="left <BODY> here"), "body values must not match"),
        (set_first(body="left &lt; here"), "body values must not match"),
        (lambda frame: frame.assign(sentences=0), "sentences values"),
        (lambda frame: frame[frame["mod_apte"] != "test"], "mod_apte distinct values"),
        (lambda frame: frame.head(90), "at least 100 rows"),
        (lambda frame: frame.drop(columns="words"), "columns in this order"),
    ],
)
def test_expectations_find(
    change: Callable[[pd.DataFrame], pd.DataFrame], said: str, cleaned: Cleaned
) -> None:
    failed = [c for c in check_frame(change(cleaned[1]), EXPECTATIONS) if not c["success"]]
    assert any(said in check["expectation"] for check in failed), failed


@pytest.mark.real_data
def test_the_declared_members_are_those_of_the_mirror(mirror: Path, tmp_path: Path) -> None:
    expected = {}
    for line in (mirror / "reuters-21578" / "MEMBERS.sha256").read_text().splitlines():
        digest, path = line.split()
        expected[path] = digest
    declared = {path: info.sha256 for path, info in SOURCE.pinned.items()}
    assert declared == {path: d for path, d in expected.items() if path.endswith(".sgm")}
    assert len(declared) == 22
    entry = download(tmp_path, mirror=mirror, punkt=True)
    assert set(declared) < set(entry.manifest.files)
    assert entry.facts["kind"] == "real"


@pytest.mark.real_data
@pytest.mark.e2e
def test_the_real_collection(mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError("nothing may be downloaded")

    entry = download(tmp_path, mirror=mirror, punkt=True)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    frame, facts = run_clean(entry, tmp_path / "out")
    assert facts["rows"] == len(frame) == 21_578
    # The counts of the collection's README, section VIII.
    assert facts["mod_apte"] == {"train": 9_603, "test": 3_299, "unused": 8_676}
    assert facts["mod_lewis"] == {"train": 13_625, "test": 6_188, "unused": 1_765}
    assert facts["mod_hayes"] == {"train": 20_856, "test": 722, "unused": 0}
    assert facts["documents_by_form"] == {"NORM": 19_043, "BRIEF": 1_798, "UNPROC": 737}
    assert facts["topics"] == 120
    assert facts["shared_topics"] == {"topics": 90, "train": 7_770, "test": 3_019}
    labelled = read_labelled(tmp_path / "out" / "table.parquet")
    assert (len(labelled.train), len(labelled.test)) == (7_770, 3_019)
    assert labelled.train_topics[:, labelled.topics.index("earn")].sum() == 2_877
    assert labelled.test_topics[:, labelled.topics.index("earn")].sum() == 1_087
    assert facts["sentence_model"] == "NLTK's punkt_tab, English"
    assert facts["readings"]["bodies"]["sentences"] == 123_448
    assert facts["readings"]["titles and bodies"]["sentences"] == 144_796
    assert all(check["success"] for check in check_frame(frame, EXPECTATIONS))
    start = time.perf_counter()
    sentences = read_sentences(tmp_path / "out")
    assert time.perf_counter() - start < 1
    assert len(sentences) == facts["readings"]["all text"]["sentences"]
    vocabulary = Vocabulary.of(sentences.ranked, 5_000)
    vectors = train_vectors(sentences.encode(vocabulary), vocabulary, dimensions=50, seed=1)
    assert vectors.covered == 4_998
    unit = vectors.matrix / np.maximum(np.linalg.norm(vectors.matrix, axis=1, keepdims=True), 1e-9)
    nearest = np.argsort(-unit @ unit[vocabulary.ids["wheat"]])[1:6]
    assert {"corn", "barley"} < set(vocabulary.decode(nearest))


def test_the_data_half_needs_no_keras() -> None:
    script = (
        "import sys, regrow.models.sentence_vectors.data, regrow.models.sentence_vectors.table\n"
        "sys.exit(' '.join({'keras', 'tensorflow', 'great_expectations'} & set(sys.modules)) or 0)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
