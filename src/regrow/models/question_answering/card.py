"""What the model card of question-answering says."""

from __future__ import annotations

from regrow.base.spec import Card

CARD = Card(
    intended_use=(
        "To compare networks that must combine several sentences of a story to answer a question: "
        "query-reduction networks, End-To-End Memory Networks and the single-hop network of Gulli "
        "and Pal's book."
    ),
    out_of_scope=(
        "Questions of people about real texts: a network knows the words and the sentence forms "
        "of the tasks that it was trained on, and gives one of their answers to anything that is "
        "asked."
    ),
    data=(
        "The bAbI tasks 1-20, version 1.2, in English (Weston and others 2015): stories and "
        "questions written by a simulation with a small vocabulary, 1,000 or 10,000 training "
        "questions a task. Of task 3 no original copy of the 10,000 is known, so it is always "
        "trained on the 1,000."
    ),
    evaluation=(
        "On the tasks' test files, which had no part in training or in any choice; the last "
        "stories of the training files choose the network and the seed that are published. Errors "
        "in percent are counted by task, beside the commonest answer, a linear model on words, "
        "and the figures that papers report for their own trainings."
    ),
    limits=(
        "A small error shows that the simulation's rules were learned, not that language is "
        "understood. Some tasks depend on the seed, and some are not learned from 1,000 questions "
        "(positions, path finding, induction). An answer of several words is one class, so that a "
        "new combination cannot be given."
    ),
    ethics=(
        "The stories are invented and describe no real persons. The harm to guard against is "
        "overstatement: the figures say nothing about answering questions in life, work or care."
    ),
    command="regrow ask story.txt",
    pipeline_tag="question-answering",
    tags=("babi", "memory-networks", "reasoning"),
    languages=("en",),
)
