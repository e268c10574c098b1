"""Writes nbtransfer/data/entities.txt, the sentences of demo:entities: `python -m
tests.assets.entities.write`.

Each line is a split and a sentence with its entities in brackets, `[Ada Byron|PER]`, so that a
person can read and mend it.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

from tests.assets.entities.frames import FRAMES
from tests.assets.entities.names import MONTHS, WEEKDAYS, names_of

FILE = Path(__file__).parents[3] / "nbtransfer" / "data" / "entities.txt"
SEED = 20261123
TIMES = 2  # each sentence is filled so often, with other names
_SLOT = re.compile(r"\{([A-Z])(\d?)\}")
_FUTURE = re.compile(
    r"\b(will|begins?|opens|ends|starts|want to|are moving|(runs|closed|with us) until|"
    r"(repairs|application to .*|merge) before|by|worth|expects)\b"
)
_POOLS = {
    "PER": {"P": "", "S": "last", "F": "first"},
    "ORG": {
        "O": "companies",
        "U": "schools",
        "H": "hospitals",
        "T": "clubs",
        "B": "bodies",
        "A": "airlines",
        "C": "stages",
    },
    "LOC": {"L": "cities", "N": "regions", "W": "waters"},
    "DATE": {"D": "", "Y": ""},
}


class Filler:
    """Gives out names; each pool is used up before a name comes again."""

    def __init__(self, names: dict[str, list[str]], draw: random.Random) -> None:
        self._names = names
        self._draw = draw
        self._left: dict[str, list[str]] = {}

    def _next(self, pool: str) -> str:
        if not self._left.get(pool):
            fresh = list(self._names[pool])
            self._draw.shuffle(fresh)
            self._left[pool] = fresh
        return self._left[pool].pop()

    def value(self, kind: str, years: tuple[int, int]) -> str:
        """Return a name of a kind; a date within `years`."""
        draw = self._draw
        if kind == "P":
            return f"{self._next('first')} {self._next('last')}"
        if pool := next((kinds[kind] for kinds in _POOLS.values() if kind in kinds), ""):
            return self._next(pool)
        day, month, year = draw.randint(1, 28), draw.choice(MONTHS), draw.randint(*years)
        forms = {
            "D": (
                f"{day} {month} {year}",
                f"{month} {day}, {year}",
                f"{day} {month}",
                f"{month} {day}",
                draw.choice(WEEKDAYS),
                f"{draw.choice(WEEKDAYS)}, {day} {month}",
            ),
            "Y": (
                str(year),
                str(year),
                f"{month} {year}",
                month,
                f"the {draw.choice(['spring', 'summer', 'autumn', 'winter'])} of {year}",
                f"early {year}",
            ),
        }
        return draw.choice(forms[kind])


def sentence(frame: str, filler: Filler) -> str:
    """Return the frame with names in brackets; their article stays outside."""
    values: dict[str, str] = {}
    years = (2027, 2039) if _FUTURE.search(frame) else (1908, 2026)

    def put(match: re.Match[str]) -> str:
        key = match[0]
        if key not in values:
            values[key] = filler.value(match[1], years)
        value = values[key]
        label = next(label for label, kinds in _POOLS.items() if match[1] in kinds)
        name = value.removeprefix("the ")
        begins = match.start() == 0 or frame[: match.start()] == '"'
        the = ("The " if begins else "the ") if name != value else ""
        return f"{the}[{name}|{label}]"

    return _SLOT.sub(put, frame)


def lines() -> list[str]:
    """Return every line of the file."""
    draw = random.Random(SEED)
    found = []
    for split, frames in FRAMES.items():
        filler = Filler(names_of(split), draw)
        times = {frame: TIMES if _SLOT.search(frame) else 1 for frame in frames}
        some = [sentence(frame, filler) for frame in frames for _ in range(times[frame])]
        draw.shuffle(some)
        found += [f"{split}\t{text}" for text in some]
    return found


if __name__ == "__main__":
    FILE.write_text("\n".join(lines()) + "\n", encoding="utf-8")
