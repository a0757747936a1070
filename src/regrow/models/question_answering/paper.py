"""What the papers report: errors in percent on the test files, by task."""

from __future__ import annotations

from regrow.models.question_answering.tasks import Edition

# S. Sukhbaatar and others, End-To-End Memory Networks (2015): 1,000 questions a task, three hops,
# position encoding, linear start, random noise, trained jointly (mean 12.4, 11 failed).
MEMN2N_1K_JOINT = (
    *(0.0, 11.4, 21.9, 13.4, 14.4, 2.8, 18.3, 9.3, 1.9, 6.5),
    *(0.3, 0.1, 0.2, 6.9, 0.0, 2.7, 40.4, 9.4, 88.0, 0.0),
)
# The same with 10,000 questions a task, each task by itself (mean 4.2, 3 failed).
MEMN2N_10K = (
    *(0.0, 0.3, 2.1, 0.0, 0.8, 0.1, 2.0, 0.9, 0.3, 0.0),
    *(0.0, 0.0, 0.0, 0.2, 0.0, 51.8, 18.6, 5.3, 2.3, 0.0),
)
# M. Henaff and others, Tracking the World State with Recurrent Entity Networks (2017), 10,000.
ENTNET_10K = (
    *(0.0, 0.1, 4.1, 0.0, 0.3, 0.2, 0.0, 0.5, 0.1, 0.6),
    *(0.3, 0.0, 1.3, 0.0, 0.0, 0.2, 0.5, 0.3, 2.3, 0.0),
)

REPORTED: dict[Edition, dict[str, tuple[float, ...]]] = {
    "en": {"MemN2N, joint (paper)": MEMN2N_1K_JOINT},
    "en-10k": {"MemN2N (paper)": MEMN2N_10K, "EntNet (paper)": ENTNET_10K},
}
