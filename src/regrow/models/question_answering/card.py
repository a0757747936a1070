"""What the model card of question-answering says."""

from __future__ import annotations

from regrow.base.spec import Card

CARD = Card(
    intended_use=(
        "To compare networks that combine several sentences of a story to answer a question: "
        "query-reduction networks, End-To-End Memory Networks and the single-hop network of Gulli "
        "and Pal's book."
    ),
    out_of_scope=(
        "Real questions about real texts: a network only knows the vocabulary and the sentence "
        "patterns of the tasks on which it was trained, and it always gives one of their "
        "answers."
    ),
    data=(
        "The bAbI tasks 1-20, version 1.2, in English (Weston and others 2015): stories and "
        "questions written by a simulation with a small vocabulary, 1,000 or 10,000 training "
        "questions per task. No original copy of the 10,000 questions of task 3 is known, so it "
        "is always trained on 1,000 questions."
    ),
    evaluation=(
        "The models are evaluated on the test files of the tasks, which were not used for "
        "training or model selection; the last stories of the training files are used to choose "
        "the published network and seed. Errors are reported in percent for each task and "
        "compared with the most common answer, a linear model on words, and the results "
        "published in papers."
    ),
    limits=(
        "A small error shows that the rules of the simulation were learned, not that language is "
        "understood. Results for some tasks depend on the seed, and some tasks are not learned "
        "from 1,000 questions (positions, path finding, induction). An answer of several words "
        "is a single class, so new combinations cannot be predicted."
    ),
    ethics=(
        "The stories are artificial and do not describe real persons. The main risk is "
        "overstatement: the results say nothing about answering questions in everyday life, work "
        "or care."
    ),
    command="regrow ask story.txt",
    pipeline_tag="question-answering",
    tags=("babi", "memory-networks", "reasoning"),
    languages=("en",),
)
