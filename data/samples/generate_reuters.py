"""Makes data/samples/reuters.tar.gz: our own news in the form of Reuters-21578's files.

A small archipelago that does not exist, with its own ports, traders and goods. The form (tags,
attributes, entities, marks of an end) follows the description in the collection's README; names,
topics and sentences are our own. Nothing is taken from the real data, and no figure says anything
about it.

    python data/samples/generate_reuters.py data/samples/reuters.tar.gz
"""

from __future__ import annotations

import gzip
import io
import random
import sys
import tarfile
from datetime import datetime, timedelta
from pathlib import Path

DOCUMENTS_A_FILE = 240
FILES = 2
START = datetime(1987, 3, 2, 8, 0)
# ModApte's test documents are those from this day on.
TEST_FROM = datetime(1987, 4, 8)

PORTS = ("Almouth", "Brennick", "Corvale", "Dunsay", "Eskerhaven", "Fenwater")
TRADERS = ("Harl and Sons Ltd", "Quayside Corp", "Norlund Inc", "Tidewell Co", "Osprey Holdings")
PEOPLE = ("Ada Brandt", "T.J. Merrow", "Inga Solheim", "Paul Whitlow", "Mr. Oakes")
MONTHS = ("January", "February", "March", "April", "May")
# For each topic its goods, its units, and what happens to them.
TOPICS = {
    "salt": (
        ("sea salt", "rock salt", "brine"),
        "tonnes",
        ("The pans at {port} were flooded by the spring tide.", "Dry winds helped the harvest."),
    ),
    "honey": (
        ("heather honey", "clover honey", "beeswax"),
        "barrels",
        ("Late frost kept the bees in their hives.", "Clover is in flower two weeks early."),
    ),
    "timber": (
        ("pine boards", "oak beams", "larch poles"),
        "loads",
        ("The sawmill near {port} works three shifts.", "Snow still blocks the forest roads."),
    ),
    "wool": (
        ("raw wool", "fine yarn", "fleece"),
        "bales",
        ("Shearing began on the northern farms.", "Spinners in {port} hold large stocks."),
    ),
    "ferries": (
        ("ferry fares", "deck cargo", "berths"),
        "crowns",
        ("Two ferries lie idle in {port}.", "The crossing takes six hours in calm weather."),
    ),
    "herring": (
        ("salted herring", "smoked herring", "fish oil"),
        "crates",
        ("Boats found the shoals off {port}.", "Nets were torn in the gale."),
    ),
}
SENTENCES = (
    "{trader} said its sales of {good} {moved} to {amount} {unit} in {month} from {other} {unit}.",
    "{person} told a meeting in {port} that demand for {good} is {state}.",
    '"We expect prices of {good} to {change}," {person} said, "but not before {month}."',
    "The price of {good} {moved} by {share} pct at the auction in {port}.",
    "Stocks of {good} stood at {amount} {unit} at the end of {month}, against {other} a year ago.",
    "{trader} <{code}> will buy {amount} {unit} of {good} for {share} mln crowns, {price} a unit.",
    "Traders in {port} & elsewhere did not agree: some called the figures for {month} too low.",
    "The harbour board of {port} can't confirm the report; it'll publish its own on {month} {day}.",
)
HEADLINES = (
    "{good} {moved} IN {port}",
    "{trader} BUYS {good}",
    "{port} SEES {state} {good} MARKET",
)


def fill(template: str, topic: str, rng: random.Random) -> str:
    """A sentence with names and numbers put in."""
    goods, unit, _ = TOPICS[topic]
    trader = rng.choice(TRADERS)
    return template.format(
        trader=trader,
        code="".join(word[0] for word in trader.upper().split()) + ".X",
        good=rng.choice(goods),
        unit=unit,
        moved=rng.choice(("rose", "fell", "climbed", "slipped")),
        change=rng.choice(("rise", "fall", "hold")),
        state=rng.choice(("firm", "weak", "steady")),
        amount=f"{rng.randrange(1_000, 90_000):,}",
        other=f"{rng.randrange(1_000, 90_000):,}",
        share=f"{rng.uniform(0.1, 9.9):.1f}",
        price=f"{rng.randrange(1, 40)}-{rng.choice((1, 3))}/{rng.choice((4, 8))}",
        month=rng.choice(MONTHS),
        day=rng.randrange(1, 29),
        person=rng.choice(PEOPLE),
        port=rng.choice(PORTS),
    )


def wrap(sentences: list[str], width: int = 64) -> str:
    """Sentences as paragraphs with an indent, in lines of bounded width."""
    lines = []
    for sentence in sentences:
        line = "   "
        for word in sentence.split():
            if len(line) + len(word) >= width:
                lines.append(line)
                line = word
            else:
                line += f" {word}"
        lines.append(line)
    return "\n".join(lines)


def escape(text: str) -> str:
    """Text as SGML has it."""
    return text.replace("&", "&amp;").replace("<", "&lt;")


def write_text(form: str, topics: list[str], rng: random.Random) -> str:
    """The element TEXT, about all of its topics."""
    topic = topics[0]
    title = escape(fill(rng.choice(HEADLINES), topic, rng).upper())
    if form == "BRIEF":
        text = f"&#2;\n******<TITLE>{title}\n</TITLE>Blah blah blah.\n&#3;\n\n"
        return f'<TEXT TYPE="BRIEF">{text}</TEXT>'
    if form == "UNPROC":
        goods, unit, _ = TOPICS[topic]
        rows = [f" {good.ljust(24, '.')}{rng.randrange(100, 9_000):,}" for good in goods]
        body = "\n".join([f"WEEKLY PRICES, {unit}", *rows])
        return f'<TEXT TYPE="UNPROC">&#2;\n{body}\n\n&#3;\n\n</TEXT>'
    templates = rng.sample(SENTENCES, rng.randrange(2, 6)) + [
        rng.choice(TOPICS[name][2]) for name in topics
    ]
    body = escape(wrap([fill(text, rng.choice(topics), rng) for text in templates]))
    place = rng.choice(PORTS)
    dateline = f"<DATELINE>    {place.upper()}, March 1 - </DATELINE>"
    return (
        f"<TEXT>&#2;\n<TITLE>{title}</TITLE>\n{dateline}<BODY>{body.lstrip()}\n Newsdesk\n"
        "&#3;</BODY></TEXT>"
    )


def write_document(number: int, rng: random.Random) -> str:
    """One article."""
    sent = START + timedelta(hours=3.2 * number, seconds=rng.randrange(3_600))
    topics = rng.sample(list(TOPICS), rng.choice((1, 1, 1, 2)))
    indexed = rng.choices(("YES", "NO", "BYPASS"), (8, 2, 1))[0]
    split = "TEST" if sent >= TEST_FROM else "TRAIN"
    hayes = "TRAINING-SET"
    if rng.random() < 0.03:
        split, hayes = "NOT-USED", "PUBLISHED-TESTSET"
    form = rng.choices(("NORM", "BRIEF", "UNPROC"), (18, 1, 1))[0]
    given = "".join(f"<D>{topic}</D>" for topic in topics) if indexed == "YES" else ""
    stamp = f"{sent.day:2}-{sent:%b-%Y %H:%M:%S}.{rng.randrange(100):02}".upper()
    empty = "".join(f"<{name}></{name}>\n" for name in ("PEOPLE", "ORGS", "EXCHANGES", "COMPANIES"))
    return (
        f'<REUTERS TOPICS="{indexed}" LEWISSPLIT="{split}" CGISPLIT="{hayes}" '
        f'OLDID="{number + 5000}" NEWID="{number}">\n<DATE>{stamp}</DATE>\n'
        f"<TOPICS>{given}</TOPICS>\n<PLACES><D>{rng.choice(PORTS).lower()}</D></PLACES>\n{empty}"
        f"<UNKNOWN> \n&#5;&#5;&#5;C\n&#22;&#22;&#1;f{number:04}&#31;desk</UNKNOWN>\n"
        f"{write_text(form, topics, rng)}\n</REUTERS>\n"
    )


def make_members() -> dict[str, bytes]:
    """The files by their path in the archive."""
    rng = random.Random("reuters")
    members = {}
    for file in range(FILES):
        numbers = range(file * DOCUMENTS_A_FILE + 1, (file + 1) * DOCUMENTS_A_FILE + 1)
        text = "".join(write_document(number, rng) for number in numbers)
        content = f'<!DOCTYPE lewis SYSTEM "lewis.dtd">\n{text}'
        members[f"reut2-{file:03}.sgm"] = content.encode("latin-1")
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
