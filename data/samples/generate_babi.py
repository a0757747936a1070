"""Makes data/samples/babi.tar.gz: our own stories in the form of bAbI's files, for tasks 1 to 3.

A small world of people who walk between places and carry things, written from the descriptions of
the tasks in Weston et al. 2015 (arXiv:1502.05698, section 3). People, places, things and sentences
are our own: nothing is taken from the real data, and no figure says anything about it.

    python data/samples/generate_babi.py data/samples/babi.tar.gz
"""

from __future__ import annotations

import gzip
import io
import random
import sys
import tarfile
from pathlib import Path

PEOPLE = ("Nora", "Felix", "Iris", "Hugo")
PLACES = ("attic", "cellar", "library", "porch", "studio", "pantry")
THINGS = ("lamp", "basket", "violin")
WALK = ("walked to", "moved to", "went to", "hurried to")
TAKE = ("took", "picked up", "grabbed")
LEAVE = ("left", "put down", "dropped")

TASKS = {1: "single-supporting-fact", 2: "two-supporting-facts", 3: "three-supporting-facts"}
QUESTIONS_A_STORY = 5
SENTENCES_A_QUESTION = {1: 2, 2: 3, 3: 4}
# As in the real files, the smaller edition's training file is the larger one's beginning and the
# test files are the same. The model reads task 3 from the smaller edition.
TRAIN = {"en": 200, "en-10k": 1000}
TEST = 50
EDITIONS = {"en": (1, 2, 3), "en-10k": (1, 2)}

Fact = tuple[str, tuple[int, ...]]
"""An answer and the lines that it follows from."""


class World:
    """One story: who is where and holds what, and the lines that say so."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.lines: list[str] = []
        self.walks: dict[str, Fact] = {}  # person: where they are since which line
        self.takes: dict[str, tuple[str, int]] = {}  # thing: who holds it since which line
        self.hidden = {thing: rng.choice(PLACES) for thing in THINGS}  # before anyone took it
        self.rests: dict[str, Fact] = {}  # thing: where it was left
        self.before: dict[tuple[str, str], Fact] = {}  # thing and place: where it was before

    def say(self, text: str) -> int:
        """Adds a line; returns its number."""
        self.lines.append(f"{len(self.lines) + 1} {text}")
        return len(self.lines)

    def walk(self) -> None:
        """Someone goes elsewhere, with all that they hold."""
        person = self.rng.choice(PEOPLE)
        old, old_lines = self.walks.get(person, ("", ()))
        place = self.rng.choice([place for place in PLACES if place != old])
        line = self.say(f"{person} {self.rng.choice(WALK)} the {place}.")
        self.walks[person] = place, (line,)
        for thing, (holder, taken) in self.takes.items():
            if holder == person:
                self.before[thing, place] = old, tuple(sorted((taken, *old_lines, line)))

    def handle(self) -> bool:
        """Someone takes a thing that is where they are, or leaves one; False if nobody can."""
        choices = []
        for thing in THINGS:
            if thing in self.takes:
                choices.append((self.takes[thing][0], thing))
                continue
            place = self.rests[thing][0] if thing in self.rests else self.hidden[thing]
            choices += [(p, thing) for p in PEOPLE if self.walks.get(p, ("",))[0] == place]
        if not choices:
            return False
        person, thing = self.rng.choice(choices)
        place, since = self.walks[person]
        if thing in self.takes:
            line = self.say(f"{person} {self.rng.choice(LEAVE)} the {thing}.")
            del self.takes[thing]
            self.rests[thing] = place, (*since, line)
        else:
            self.takes[thing] = person, self.say(f"{person} {self.rng.choice(TAKE)} the {thing}.")
            self.rests.pop(thing, None)
        return True

    def questions(self, task: int) -> list[tuple[str, Fact]]:
        """All questions that the story answers by as many lines as the task's number."""
        if task == 1:
            return [(f"Where is {person}?", fact) for person, fact in sorted(self.walks.items())]
        if task == 2:
            found = dict(self.rests)
            for thing, (holder, taken) in self.takes.items():
                place, since = self.walks[holder]
                found[thing] = place, tuple(sorted((taken, *since)))
            return [(f"Where is the {thing}?", fact) for thing, fact in sorted(found.items())]
        return [
            (f"Where was the {thing} before the {place}?", fact)
            for (thing, place), fact in sorted(self.before.items())
        ]


def tell_story(task: int, rng: random.Random) -> list[str]:
    """The lines of a story with its questions."""
    world = World(rng)
    for _ in range(QUESTIONS_A_STORY):
        told = 0
        while told < SENTENCES_A_QUESTION[task] or not world.questions(task):
            if task == 1 or rng.random() < 0.6 or not world.handle():
                world.walk()
            told += 1
        question, (answer, lines) = rng.choice(world.questions(task))
        world.say(f"{question} \t{answer}\t{' '.join(map(str, lines))}")
    return world.lines


def make_members() -> dict[str, bytes]:
    """The files by their path in the archive."""
    members = {}
    for edition, tasks in EDITIONS.items():
        for task in tasks:
            for split, count in (("test", TEST), ("train", TRAIN[edition])):
                rng = random.Random(f"babi {task} {split}")
                stories = [tell_story(task, rng) for _ in range(count // QUESTIONS_A_STORY)]
                text = "".join(f"{line}\n" for story in stories for line in story)
                name = f"tasks_1-20_v1-2/{edition}/qa{task}_{TASKS[task]}_{split}.txt"
                members[name] = text.encode("ascii")
    return members


def make_tar(members: dict[str, bytes]) -> bytes:
    """The archive before it is packed: the same bytes for the same members."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in sorted(members.items()):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


if __name__ == "__main__":
    Path(sys.argv[1]).write_bytes(gzip.compress(make_tar(make_members()), mtime=0))
