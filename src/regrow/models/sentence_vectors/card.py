"""What the model card of sentence-vectors says."""

from __future__ import annotations

from regrow.base.spec import Card

CARD = Card(
    intended_use=(
        "To find news sentences and articles on similar subjects, to classify topics with a "
        "linear classifier on the vectors, and to study which information an autoencoder "
        "preserves."
    ),
    out_of_scope=(
        "Texts in other languages, from other periods or of other kinds without retraining, "
        "financial decisions, and judgements about the persons, companies and countries "
        "mentioned. The model does not generate text."
    ),
    data=(
        "Reuters-21578, Distribution 1.0: 21,578 English articles of the Reuters newswire of "
        "1987 with manually assigned topics, most of them about earnings, acquisitions, money "
        "and commodities. Articles in the ModApte test split are not used for training. GloVe "
        "word vectors (Wikipedia 2014, Gigaword 5) are used if their file is available; "
        "otherwise word vectors are made from the training sentences. The notes state which ones "
        "were used."
    ),
    evaluation=(
        "Metrics on the test documents of ModApte-90: micro-F1 of a linear probe on the fixed "
        "vectors, precision among the 100 nearest training documents, the share of explained "
        "variance, and cosines compared with those of mismatched sentences. The same probe is "
        "fitted to TF-IDF, latent semantic analysis, means of word vectors and an untrained "
        "network."
    ),
    limits=(
        "The vocabulary has 5,000 words, sentences are truncated after 50 words, and all numbers "
        "are mapped to one word. In the runs in benchmarks/RESULTS.md, TF-IDF with the same "
        "probe classified topics better, and an untrained network performed as well as a trained "
        "one: training only improves the reconstruction."
    ),
    ethics=(
        "The vectors reflect the perspective of an English-language financial newswire of 1987, "
        "such as the associations between names, countries and roles. Articles name real persons "
        "and companies. Reuters and Carnegie Group only permit the use of the texts for "
        "research, which also applies to derived works."
    ),
    command='regrow similar "oil prices rose after the meeting"',
    pipeline_tag="sentence-similarity",
    tags=("autoencoder", "news", "reuters-21578"),
    languages=("en",),
)
