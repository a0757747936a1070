"""What the model card of sentence-vectors says."""

from __future__ import annotations

from regrow.base.spec import Card

CARD = Card(
    intended_use=(
        "To find news sentences and articles about similar subjects, to tell topics by a linear "
        "classifier on the vectors, and to study what an autoencoder keeps of a sentence."
    ),
    out_of_scope=(
        "Texts of other languages, times or kinds without a new training, financial decisions, "
        "and judgements about the persons, companies and countries that are named. The model "
        "writes no texts."
    ),
    data=(
        "Reuters-21578, Distribution 1.0: 21,578 English articles of the Reuters newswire of 1987 "
        "with topics that people assigned, most of them about earnings, acquisitions, money and "
        "commodities. Articles of ModApte's test split train nothing. Word vectors are GloVe's "
        "(Wikipedia 2014, Gigaword 5) where their file is available, otherwise made from the "
        "training sentences; the notes say which."
    ),
    evaluation=(
        "On ModApte-90's test documents: micro-F1 of a linear probe on vectors that stay as they "
        "are, precision among the 100 nearest training documents, the share of variance that is "
        "reconstructed, and cosines beside those of mismatched sentences. The same probe is "
        "fitted to TF-IDF, to latent semantic analysis, to means of word vectors and to an "
        "untrained network."
    ),
    limits=(
        "5,000 words are known, a sentence is read up to its 50th word, and all numbers are one "
        "word. In the runs of benchmarks/RESULTS.md TF-IDF with the same probe told topics "
        "better, and an untrained network as well as a trained one: what training adds is the "
        "reconstruction."
    ),
    ethics=(
        "The vectors repeat the view of an English-language financial newswire of 1987: which "
        "names, countries and roles it put beside each other. Articles name real persons and "
        "companies. Reuters and Carnegie Group permit the texts for research only, which concerns "
        "what is made of them as well."
    ),
    command='regrow similar "oil prices rose after the meeting"',
    pipeline_tag="sentence-similarity",
    tags=("autoencoder", "news", "reuters-21578"),
    languages=("en",),
)
