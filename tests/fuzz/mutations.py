"""Seeded mutations of valid files: the same seed gives the same input on every machine."""

from __future__ import annotations

import copy
import random
from collections.abc import Sequence
from typing import Any

NASTY_BYTES = (
    b"\0",
    b"\xff" * 4,
    b"\x80",
    b"\r",
    b"\n\n",
    b"\x1a",
    b"%s%n",
    b"\xef\xbb\xbf",
    b"\xc3",
)
NASTY_TEXTS = (
    "",
    " ",
    "-1",
    "0",
    "1e999",
    "NaN",
    "-inf",
    "9" * 400,
    "0x10",
    "\u202e",
    "é",
    "\ud7ff",
    "a" * 5000,
    "../../x",
    "\t",
    "null",
    "<",
    "&#300;",
    ";",
    "1,2,3",
)
NASTY_VALUES: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    10**30,
    1.5e308,
    float("nan"),
    "",
    "x" * 3000,
    "\0",
    [],
    {},
    [[]],
    {"": {}},
    "../../etc/passwd",
)


def mutate_bytes(content: bytes, chance: random.Random, *, keep: int = 0, most: int = 4) -> bytes:
    """Changes a few places of a file behind its first `keep` bytes."""
    data = bytearray(content)
    for _ in range(chance.randint(1, most)):
        if len(data) <= keep + 1:
            break
        at = chance.randrange(keep, len(data))
        length = min(chance.choice((1, 1, 2, 4, 16, 200)), len(data) - at)
        way = chance.randrange(8)
        if way == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif way == 1:
            data[at : at + length] = chance.randbytes(length)
        elif way == 2:
            del data[at : at + length]
        elif way == 3:
            data[at:at] = data[at : at + length] * chance.choice((1, 2, 50))
        elif way == 4:
            data[at:at] = chance.choice(NASTY_BYTES)
        elif way == 5:
            data[at : at + length] = chance.choice((b"\0", b"\xff", b"\x7f")) * length
        elif way == 6:
            other = chance.randrange(keep, len(data))
            data[at], data[other] = data[other], data[at]
        else:
            del data[max(at, keep + (len(data) - keep) // 4) :]
    return bytes(data)


def mutate_lines(
    lines: Sequence[str], chance: random.Random, separators: str, *, keep: int = 0
) -> list[str]:
    """Changes a few lines of a text behind the first `keep`: their order, number and fields."""
    found = list(lines)
    for _ in range(chance.randint(1, 4)):
        if len(found) <= keep:
            break
        at = chance.randrange(keep, len(found))
        way = chance.randrange(6)
        if way == 0:
            del found[at]
        elif way == 1:
            found[at:at] = [found[at]] * chance.choice((1, 2, 300))
        elif way == 2:
            other = chance.randrange(keep, len(found))
            found[at], found[other] = found[other], found[at]
        elif way == 3:
            found[at] = found[at][: chance.randrange(len(found[at]) + 1)]
        else:
            found[at] = _mutate_field(found[at], chance, separators)
    return found


def _mutate_field(line: str, chance: random.Random, separators: str) -> str:
    separator = chance.choice([sign for sign in separators if sign in line] or [separators[0]])
    fields = line.split(separator)
    at = chance.randrange(len(fields))
    way = chance.randrange(4)
    if way == 0:
        fields[at] = chance.choice(NASTY_TEXTS)
    elif way == 1:
        del fields[at]
    elif way == 2:
        fields[at:at] = [fields[at]]
    else:
        fields[at] += chance.choice(NASTY_TEXTS)
    return separator.join(fields)


def mutate_value(value: Any, chance: random.Random) -> Any:
    """A copy of nested mappings and lists in which a few things are others."""
    changed = copy.deepcopy(value)
    for _ in range(chance.randint(1, 3)):
        changed = _mutate_one(changed, chance)
    return changed


def _mutate_one(value: Any, chance: random.Random) -> Any:
    """Goes down to some place, and replaces, removes, renames or repeats what is there."""
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        way = chance.randrange(8)
        if way == 0:
            del value[key]
        elif way == 1:
            value[chance.choice(("x", "", "__class__", str(key) * 2))] = value.pop(key)
        elif way == 2:
            value[key] = [value[key]]
        else:
            value[key] = _mutate_one(value[key], chance)
        return value
    if isinstance(value, list) and value and chance.random() < 0.9:
        at = chance.randrange(len(value))
        way = chance.randrange(8)
        if way == 0:
            del value[at]
        elif way == 1:
            value += [copy.deepcopy(value[at])] * chance.choice((1, 100))
        else:
            value[at] = _mutate_one(value[at], chance)
        return value
    if isinstance(value, str) and chance.random() < 0.4:
        return value[: len(value) // 2] + chance.choice(NASTY_TEXTS)
    if isinstance(value, (int, float)) and chance.random() < 0.4:
        return chance.choice((-value, value * 1000, value + 0.5, 2**31, 2**63, str(value)))
    if chance.random() < 0.05:
        return nest(chance.choice((50, 3000, 100_000)))
    return copy.deepcopy(chance.choice(NASTY_VALUES))


class Nested:
    """Lists in lists, deeper than Python's own encoder goes; `encode_json` writes them."""

    def __init__(self, depth: int) -> None:
        self.depth = depth

    def __deepcopy__(self, _memo: object) -> Nested:
        return self


def nest(depth: int) -> Nested:
    """So many lists in one another."""
    return Nested(depth)


def encode_json(value: Any) -> bytes:
    """A value as JSON, with what JSON itself does not know: NaN, and depths without bound."""
    import json

    depths: list[int] = []

    def replace(found: object) -> object:
        assert isinstance(found, Nested)
        depths.append(found.depth)
        return f"@nested-{found.depth}@"

    text = json.dumps(value, default=replace)
    for depth in depths:
        text = text.replace(f'"@nested-{depth}@"', "[" * depth + "]" * depth)
    return text.encode()
