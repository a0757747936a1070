"""sentence-vectors: its layers, its vectors of documents, the probe, its commands end to end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from regrow.base.errors import DataError
from regrow.models.sentence_vectors import encoding
from regrow.models.sentence_vectors.corpus import (
    draw_contexts,
    make_word_vectors,
    read_corpus,
    scale_vectors,
)
from regrow.models.sentence_vectors.encoding import (
    encode_sentences,
    group_by_length,
    join_sentences,
)
from regrow.models.sentence_vectors.layers import WordTable
from regrow.models.sentence_vectors.measures import (
    Data,
    encode_documents,
    measure_rebuilding,
    measure_topics,
    number_words,
)
from regrow.models.sentence_vectors.neighbours import FILE, Index, write_index
from regrow.models.sentence_vectors.network import build_network, make_groups, train
from regrow.models.sentence_vectors.predict import (
    SentenceReader,
    embed,
    find_similar,
    predict,
    read_lines,
)
from regrow.models.sentence_vectors.probe import fit_probe, measure_f1, measure_precision
from regrow.models.sentence_vectors.spec import (
    BookConfig,
    PositionalConfig,
    SentenceVectorsConfig,
)
from regrow.models.sentence_vectors.table import Sentences
from regrow.training.determinism import set_seed
from regrow.training.inference import find_difference, load_model
from tests.conftest import Regrow
from tests.models.test_sentence_vectors_data import download, run_clean
from tests.support.stages import make_context, make_entry

SMALL = PositionalConfig(
    order_size=16,
    topic_size=12,
    theme_size=10,
    decoder_size=8,
    context_words=4,
    context_size=6,
    epochs=1,
)
CONFIG = SentenceVectorsConfig(network=SMALL, vocabulary_size=300, length=30)
SETTINGS = (
    "vocabulary_size=300",
    "length=30",
    "network.order_size=32",
    "network.topic_size=32",
    "network.theme_size=16",
    "network.decoder_size=16",
    "network.epochs=2",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The clean tables of the sample."""
    home = tmp_path_factory.mktemp("sentence_vectors")
    run_clean(download(home), home / "clean")
    return home / "clean"


def make_model(config: Any, words: int = 40, length: int = 12) -> tuple[Any, Any]:
    set_seed(0, deterministic=False)
    matrix = np.random.default_rng(0).normal(size=(words, 6)).astype("float32")
    matrix[0] = 0
    names = ["<pad>", "<unk>", *(f"w{n}" for n in range(2, words))]
    table = WordTable(names, ["mr", "u.s"], length=length, size=6, name="words")
    weights = np.linspace(1, 0.1, words).astype("float32")
    return build_network(config, table, matrix, weights, 5.0)


def draw_ids(count: int, longest: int) -> list[Any]:
    chance = np.random.default_rng(1)
    return [
        chance.integers(1, 40, size=chance.integers(1, longest + 1)).astype("int32")
        for _ in range(count)
    ]


def test_padding_changes_no_vector_and_is_not_rebuilt() -> None:
    _train, model = make_model(SMALL)
    ids = np.array([[5, 7, 9]], dtype="int32")
    padded = np.array([[5, 7, 9, 0, 0, 0, 0]], dtype="int32")
    short, long = model(ids), model(padded)
    for name in ("vector", "topic"):
        np.testing.assert_allclose(_numpy(short[name]), _numpy(long[name]), rtol=1e-4)
    assert not _numpy(long["reconstruction"])[0, 3:].any()
    # Another order is another vector, about the same.
    turned = model(ids[:, ::-1])
    np.testing.assert_allclose(_numpy(turned["topic"]), _numpy(short["topic"]), rtol=1e-4)
    assert np.abs(_numpy(turned["vector"]) - _numpy(short["vector"])).max() > 0.01


def _numpy(tensor: Any) -> Any:
    return keras.ops.convert_to_numpy(tensor)


def test_the_losses_are_those_of_the_formulas() -> None:
    train, model = make_model(SMALL)
    ids = np.array([[5, 7, 9, 0], [3, 0, 0, 0]], dtype="int32")
    context = np.array([[4, 6, 8, 0], [0, 0, 0, 0]], dtype="int32")
    found = {name: _numpy(of)[:, 0] for name, of in train({"ids": ids, "context": context}).items()}
    answer = {name: _numpy(of) for name, of in model(ids).items()}
    vectors = _numpy(model.get_layer("words").table)[ids]
    error = np.square(answer["reconstruction"] - vectors).sum(axis=(1, 2)) / 5.0
    np.testing.assert_allclose(found["reconstruction"], error, rtol=1e-4)
    layer = train.get_layer("context_error")
    narrow, kernel, bias = (_numpy(w) for w in (layer.narrow, layer.kernel, layer.bias))
    scores = answer["topic"] @ narrow @ kernel + bias
    likely = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    assert found["context"][0] == pytest.approx(-likely[0, [4, 6, 8]].mean(), rel=1e-4)
    assert found["context"][1] == 0


def test_groups_have_every_sentence_once_and_little_padding() -> None:
    lengths = np.array([1, 8, 9, 14, 3, 60, 50, 21])
    groups = dict(group_by_length(lengths, 50))
    assert sorted(np.concatenate(list(groups.values())).tolist()) == list(range(len(lengths)))
    assert groups[8].tolist() == [0, 1, 4]
    assert groups[50].tolist() == [5, 6]
    assert 40 not in groups
    assert list(dict(group_by_length(lengths, 10))) == [8, 10]


@pytest.mark.parametrize("config", [SMALL, BookConfig(latent=9)])
def test_sentences_are_encoded_alike_in_groups_and_alone(config: Any, tmp_path: Path) -> None:
    _train, model = make_model(config)
    model.save(tmp_path / "model.keras")
    model = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    ids = [*draw_ids(20, 12), np.zeros(0, dtype="int32"), np.arange(2, 32, dtype="int32")]
    vectors = encode_sentences(model, ids, "vector")
    for row in (0, 7, 19, 21):
        [alone] = encode_sentences(model, [ids[row]], "vector")
        np.testing.assert_allclose(vectors[row], alone, rtol=1e-4, atol=1e-5)
    if config is SMALL:
        assert not vectors[20].any()
        # Longer than the network reads: the rest is cut.
        np.testing.assert_allclose(
            vectors[21], encode_sentences(model, [ids[21][:12]], "vector")[0], rtol=1e-5
        )


def make_sentences(document: list[int], titles: list[bool]) -> Sentences:
    count = len(document)
    return Sentences(
        np.array(document, dtype="int32"),
        np.array(titles),
        np.zeros(count, dtype="int32"),
        np.arange(count + 1),
        ("a",),
        pa.chunked_array([["a"] * count]),
    )


def test_a_documents_vector_is_the_sum_of_its_sentences_and_its_title() -> None:
    sentences = make_sentences([7, 7, 3, 9], [True, False, False, False])
    vectors = np.array([[3, 0], [0, 4], [1, 1], [5, 5]], dtype="float32")
    found = join_sentences(vectors, sentences, np.array([7, 3, 4]))
    half = encoding.TITLE_WEIGHT
    np.testing.assert_allclose(found[0], [0.6, 0.8, half, 0], rtol=1e-6)
    np.testing.assert_allclose(found[1], [0.5**0.5, 0.5**0.5, 0, 0], rtol=1e-6)
    assert not found[2].any()


def test_the_corpus_keeps_test_documents_out(folder: Path) -> None:
    corpus = read_corpus(folder, CONFIG)
    of = corpus.documents.set_index("id")
    owners = [set(corpus.sentences.document[rows]) for rows in (corpus.training, corpus.validation)]
    assert not owners[0] & owners[1]
    for ids in owners:
        assert "test" not in set(of.loc[sorted(ids), "mod_apte"])
    assert (corpus.sentences.lengths[corpus.training] >= 2).all()
    fewer = read_corpus(folder, CONFIG.model_copy(update={"training_share": 0.25}))
    assert len(fewer.training) == round(len(corpus.training) * 0.25)


def test_contexts_are_words_of_the_document_that_not_all_documents_have(folder: Path) -> None:
    corpus = read_corpus(folder, CONFIG)
    contexts = draw_contexts(corpus, 5, seed=3)
    assert contexts.shape == (len(corpus.sentences), 5)
    for row in corpus.training[:: len(corpus.training) // 20]:
        mine = corpus.sentences.document == corpus.sentences.document[row]
        words = set(np.concatenate([corpus.ids[n] for n in np.flatnonzero(mine)]).tolist())
        drawn = [number for number in contexts[row].tolist() if number]
        assert len(set(drawn)) == len(drawn)
        assert set(drawn) <= words - {1}
    assert not np.array_equal(contexts, draw_contexts(corpus, 5, seed=4))


def test_scaled_vectors_have_mean_zero_and_variance_one(folder: Path) -> None:
    corpus = read_corpus(folder, CONFIG)
    matrix = np.random.default_rng(0).normal(3, 2, size=(len(corpus.vocabulary), 7))
    scaled = scale_vectors(matrix, corpus)
    tokens = scaled[np.concatenate([corpus.ids[row] for row in corpus.training])]
    np.testing.assert_allclose(tokens.mean(axis=0), 0, atol=1e-5)
    assert tokens.var(axis=0).sum() == pytest.approx(1, rel=1e-4)
    assert not scaled[0].any()


def test_word_vectors_are_gloves_where_cleaning_found_them(folder: Path, tmp_path: Path) -> None:
    corpus = read_corpus(folder, CONFIG)
    assert make_word_vectors(folder, corpus, CONFIG).origin == "PPMI and SVD of the corpus"
    word = corpus.vocabulary.words[5]
    (tmp_path / "glove.txt").write_text(f"{word} {' '.join(['0.5'] * 50)}\n")
    found = make_word_vectors(tmp_path, corpus, CONFIG)
    assert (found.origin, found.covered) == ("GloVe", 1)
    assert (found.matrix[5] == 0.5).all()
    other = CONFIG.model_copy(update={"word_vectors": "corpus"})
    assert make_word_vectors(tmp_path, corpus, other).origin == "PPMI and SVD of the corpus"


def test_a_perfect_reconstruction_explains_all_and_ranks_first(folder: Path) -> None:
    data = Data.read(folder)
    set_seed(0, deterministic=False)
    names = ["<pad>", "<unk>", *data.sentences.ranked[:200]]
    matrix = np.random.default_rng(0).normal(size=(202, 4)).astype("float32")
    matrix[0] = 0
    table = WordTable(names, [], length=30, size=4, name="words")
    _train, model = build_network(SMALL, table, matrix, np.ones(len(matrix)), 5.0)
    outputs = {**model.output, "reconstruction": model.get_layer("words").output[0]}
    perfect = keras.Model(model.inputs[0], outputs)
    figures = measure_rebuilding(perfect, data).figures
    assert figures["explained_variance"] == pytest.approx(1)
    assert figures["cosine"] == pytest.approx(1, abs=1e-4)
    assert figures["mismatched_cosine"] < 0.99
    assert measure_rebuilding(model, data).figures["explained_variance"] < 0.5


def test_the_probe_is_a_support_vector_machine() -> None:
    from sklearn.svm import LinearSVC

    chance = np.random.default_rng(0)
    vectors = chance.normal(size=(300, 6)).astype("float32")
    topics = vectors @ chance.normal(size=(6, 3)) + chance.normal(size=(300, 3)) > 0
    probe = fit_probe(vectors, topics)
    for n in range(3):
        # The bias counts among the weights, as in liblinear.
        other = LinearSVC(C=probe.cost, tol=1e-6, max_iter=100_000).fit(vectors, topics[:, n])
        np.testing.assert_allclose(
            probe.score(vectors)[:, n], other.decision_function(vectors), atol=0.02
        )
    assert measure_f1(topics, probe.predict(vectors)) > 0.8


def test_figures_of_topics_by_hand() -> None:
    right = np.array([[True, False], [True, True]])
    said = np.array([[True, True], [False, True]])
    assert measure_f1(right, said) == pytest.approx(2 * 2 / (3 + 3))
    assert measure_f1(right & False, said & False) == 0
    vectors = np.array([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0]])
    topics = np.array([[True, False], [False, True], [True, False]])
    found = measure_precision(vectors[:1], topics[:1], vectors, topics, nearest=2)
    assert found == pytest.approx(0.5)


def test_the_index_finds_what_is_nearest(tmp_path: Path) -> None:
    vectors = np.random.default_rng(0).normal(size=(500, 16)).astype("float32")
    write_index(tmp_path / "index.npy", vectors)
    rows, cosines = Index.open(tmp_path / "index.npy").find(vectors[:5], 3)
    assert rows[:, 0].tolist() == [0, 1, 2, 3, 4]
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    exact = -np.sort(-(unit[:5] @ unit.T), axis=1)[:, :3]
    np.testing.assert_allclose(cosines, exact, atol=5e-3)


def test_lines_are_read_one_by_one(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_bytes("\ufeffOne.\n\n  Two, \u00fcber.  \r\nThree".encode())
    assert [(line.number, line.text) for line in read_lines(path)] == [
        (1, "One."),
        (3, "Two, über."),
        (4, "Three"),
    ]


@pytest.mark.parametrize(
    ("content", "where", "said"),
    [
        (b"fine\n" + b"x" * 1_000_000, "line 2, byte 5", "too long"),
        (b"fine\ncaf\xe9\n", "line 2, byte 8", "not UTF-8"),
        (b"fine\n\x00\x01\x02", "line 2, byte 5", "not text"),
        (b"\n  \n", "lines.txt", "no sentence"),
        (b"", "lines.txt", "no sentence"),
    ],
)
def test_a_bad_file_is_refused_and_leaves_nothing(
    content: bytes, where: str, said: str, tmp_path: Path
) -> None:
    path, out = tmp_path / "lines.txt", tmp_path / "out" / "vectors.parquet"
    path.write_bytes(content)
    _train, model = make_model(SMALL)
    with pytest.raises(DataError, match=said) as caught:
        embed(model, path, out)
    assert where in str(caught.value)
    assert list(out.parent.iterdir()) == []


def test_many_lines_are_streamed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("regrow.models.sentence_vectors.predict.BATCH_LINES", 7)
    path, out = tmp_path / "lines.txt", tmp_path / "vectors.parquet"
    path.write_text("".join(f"W{2 + n % 30} said Mr. W3.\n" for n in range(40)))
    _train, model = make_model(SMALL)
    assert embed(model, path, out) == 40
    table = pq.read_table(out)
    assert table["line"].to_pylist() == list(range(1, 41))
    # "said" and "mr." and "." are not among the words.
    assert set(table["unknown_words"].to_pylist()) == {3}
    frame = predict(model, [path])
    np.testing.assert_allclose(table["vector"].to_pylist(), frame["vector"].tolist(), rtol=1e-4)


def test_new_sentences_are_read_as_the_corpus_was(folder: Path) -> None:
    corpus = read_corpus(folder, CONFIG)
    abbreviations = (folder / "abbreviations.txt").read_text().splitlines()
    table = WordTable(corpus.vocabulary.words, abbreviations, length=30, size=4, name="words")
    matrix = np.zeros((len(corpus.vocabulary), 4), dtype="float32")
    reader = SentenceReader(build_network(SMALL, table, matrix, np.ones(len(matrix)), 5.0)[1])
    same = [
        reader.number(text.as_py()) == ids.tolist()
        for text, ids in zip(corpus.sentences.texts, corpus.ids, strict=True)
    ]
    assert np.mean(same) > 0.995


def test_groups_to_train_on_match_what_the_network_takes(folder: Path) -> None:
    corpus = read_corpus(folder, CONFIG)
    contexts = draw_contexts(corpus, 4, seed=0)
    groups = make_groups(corpus, corpus.training, 30, contexts)
    assert sum(len(x["ids"]) for x, _ in groups) == len(corpus.training)
    assert [x["ids"].shape[1] for x, _ in groups] == sorted({x["ids"].shape[1] for x, _ in groups})
    [(x, _)] = make_groups(corpus, corpus.training, 30, None)
    assert x["ids"].shape == (len(corpus.training), 30)


@pytest.mark.slow
@pytest.mark.parametrize("network", [SMALL, BookConfig(latent=6, epochs=2, batch_size=256)])
def test_both_networks_train_and_are_measured(network: Any, folder: Path, tmp_path: Path) -> None:
    config = CONFIG.model_copy(update={"network": network, "length": 12})
    out = tmp_path / "out"
    facts = train(make_context(config, out, clean=make_entry(folder)))
    [run] = json.loads((out / "history.json").read_text())
    assert len(run["curves"]["val_loss"]) == network.epochs
    assert facts["word_vectors"] == "PPMI and SVD of the corpus"
    model = load_model(out / "model.keras")
    assert find_difference(model, out / "example.npz") is None
    data = Data.read(folder)
    figures = measure_rebuilding(model, data).figures
    assert figures["explained_variance"] < 1
    assert 1 <= figures["mean_rank"] <= 512
    training, test = encode_documents(model, data)
    assert len(training) == len(data.labelled.train)
    assert measure_topics(training, test, data.labelled).figures["micro_f1"] > 0.3
    about = encode_sentences(model, number_words(model, data.sentences), "topic")
    write_index(out / FILE, about)
    row = next(n for n in data.in_labelled if 6 <= data.sentences.lengths[n] <= 12)
    wanted = data.sentences.texts[int(row)].as_py()
    found = find_similar(model, wanted, folder, out, 4)
    # Sentences that differ in numbers alone are the same to the network.
    assert found[0].cosine == pytest.approx(1, abs=0.01)
    assert [one.cosine for one in found] == sorted((one.cosine for one in found), reverse=True)
    assert len({one.text.lower() for one in found}) == 4
    with pytest.raises(DataError, match="the sentence contains no known words"):
        find_similar(model, "Xyzzy plugh", folder, out, 4)


@pytest.mark.e2e
def test_six_stages_embed_and_similar(regrow: Regrow, tmp_path: Path) -> None:
    settings = [option for setting in SETTINGS for option in ("--set", setting)]
    done = regrow("run", "sentence-vectors", "--sample", "--no-prefect", "--json", *settings)
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert len(summary["stages"]) == 6
    names = [row[0] for row in summary["tables"][0]["rows"]]
    assert "TF-IDF" in names
    assert "autoencoder, untrained" in names
    page = Path(summary["report"]).read_text()
    for said in ("Nearest sentences", "Test documents", "Sentences and reconstructions"):
        assert said in page

    lines, out = tmp_path / "lines.txt", tmp_path / "vectors.parquet"
    lines.write_text("Two ferries lie idle in Almouth.\nOsprey Holdings will buy raw wool.\n")
    done = regrow("embed", lines, "-o", out, "--sample")
    assert done.returncode == 0, done.stderr
    assert pq.read_table(out)["vector"].type.list_size == 80
    done = regrow("similar", "Two ferries lie idle.", "--sample", "--count", "3", "--json")
    assert done.returncode == 0, done.stderr
    similar = json.loads(done.stdout)["similar"]
    assert "ferries" in similar[0]["text"]
    assert similar[0]["cosine"] > similar[2]["cosine"]
    for command in (("embed", lines, "-o", "vectors.csv"), ("similar", "xyzzy")):
        refused = regrow(*command, "--sample")
        assert refused.returncode == 2
        assert "Traceback" not in refused.stderr
