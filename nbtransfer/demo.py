"""The quickstart's comparison: simple baselines, paired intervals, and one table of named rows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.errors import DataError, quoted
from nbtransfer.panels.markup import Markup, tag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from nbtransfer.runs.report import Report

_Z_95 = 1.959963984540054  # the normal distribution's 97.5 % point


class Answers(NamedTuple):
    """Which rows of a split somebody answered rightly.

    Attributes:
        rows: each row's number in the data.
        correct: whether its class was found, in the same order.
        note: how the answers came about, in a few words.
    """

    rows: tuple[int, ...]
    correct: tuple[bool, ...]
    note: str = ""

    @property
    def accuracy(self) -> float:
        """The share of right answers."""
        return sum(self.correct) / len(self.correct)


class Interval(NamedTuple):
    """A difference of two accuracies on the same rows and its 95 % interval, as shares."""

    difference: float
    low: float
    high: float

    @property
    def includes_zero(self) -> bool:
        """Whether the two may as well be equally good, for all these rows tell."""
        return self.low <= 0 <= self.high


class ComparisonRow(NamedTuple):
    """One contestant; `interval` is the first contestant's lead over it, None in the first row."""

    name: str
    accuracy: float
    interval: Interval | None
    note: str


def tfidf_baseline(
    data: object, *, split: str = "test", text: str | None = None, label: str | None = None
) -> Answers:
    """Answer a split with TF-IDF over words and word pairs and a logistic regression.

        tfidf_baseline("demo:tweets")

    Logarithmic term frequencies and C = 10, fitted on the training rows alone. Word pairs make it a
    strong baseline for short texts (Wang and Manning, 2012).

    Args:
        data: as for `nbtransfer.finetune`.
        split: the split to answer.
        text: the column of texts; recognised if not given.
        label: the column of classes; recognised if not given.

    Raises:
        DataError: if the data cannot be read or has no such split.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    train, asked = _train_and(split, data, text, label)
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(C=10, max_iter=1000),
    )
    model.fit(train["text"].to_pylist(), train["label"].to_pylist())
    said = model.predict(asked["text"].to_pylist())
    return _answers(asked, [int(number) for number in said], "word counts, no pre-training")


def majority_baseline(
    data: object, *, split: str = "test", text: str | None = None, label: str | None = None
) -> Answers:
    """Answer every row of a split with the training rows' largest class.

    Args:
        data: as for `nbtransfer.finetune`.
        split: the split to answer.
        text: the column of texts; recognised if not given.
        label: the column of classes; recognised if not given.

    Raises:
        DataError: if the data cannot be read or has no such split.
    """
    train, asked = _train_and(split, data, text, label)
    labels = train["label"].to_pylist()
    largest = max(sorted(set(labels)), key=labels.count)
    return _answers(asked, [largest] * asked.num_rows, "reads nothing")


def _train_and(
    split: str, data: object, text: str | None, label: str | None
) -> tuple[pa.Table, pa.Table]:
    from nbtransfer.data.sources import load_tables
    from nbtransfer.tasks.labelled_data import prepare

    prepared = prepare(load_tables(data), text=text, label=label)
    if split not in prepared.splits:
        raise DataError(
            f"{prepared.card.name} has no split {quoted(split)}. "
            f"Splits: {', '.join(prepared.splits)}."
        )
    return prepared.splits["train"], prepared.splits[split]


def _answers(asked: pa.Table, said: Sequence[int], note: str) -> Answers:
    labels = asked["label"].to_pylist()
    return Answers(
        tuple(asked["row"].to_pylist()),
        tuple(actual == number for actual, number in zip(labels, said, strict=True)),
        note,
    )


def answers_of(report: Report, note: str = "") -> Answers:
    """Return which rows of its split an evaluated run answered rightly."""
    table = report.predictions()
    pairs = zip(table["label"].to_pylist(), table["predicted"].to_pylist(), strict=True)
    return Answers(
        tuple(table["row"].to_pylist()),
        tuple(actual == predicted for actual, predicted in pairs),
        note,
    )


def paired_interval(first: Sequence[bool], second: Sequence[bool]) -> Interval:
    """Return how far `first` leads `second` on the same rows, with its 95 % interval.

    Newcombe (1998), Statistics in Medicine 17:2635, method 10: Wilson's interval of each accuracy,
    joined with the correlation of the two. Unlike the textbook interval of McNemar's setting it
    keeps its level with few rows and near 0 and 1; unlike a bootstrap it needs no random numbers.

    Args:
        first: whether each row was answered rightly.
        second: the same of the other, row by row.

    Raises:
        ValueError: if the two are of different length, or empty.
    """
    pairs = list(zip(first, second, strict=True))
    if not pairs:
        raise ValueError("no rows to compare on")
    n = len(pairs)
    both = sum(a and b for a, b in pairs)
    only_first = sum(a and not b for a, b in pairs)
    only_second = sum(b and not a for a, b in pairs)
    neither = n - both - only_first - only_second

    p1, p2 = (both + only_first) / n, (both + only_second) / n
    (low1, high1), (low2, high2) = _wilson(p1, n), _wilson(p2, n)
    cross: float = both * neither - only_first * only_second
    if cross > 0:
        cross = max(cross - n / 2, 0)  # the continuity correction that makes it method 10
    margins = (both + only_first) * (only_second + neither)
    margins *= (both + only_second) * (only_first + neither)
    phi = cross / math.sqrt(margins) if margins else 0.0

    down1, up1, down2, up2 = p1 - low1, high1 - p1, p2 - low2, high2 - p2
    difference = (only_first - only_second) / n
    # Rounding can leave a hair below zero under the root.
    below = math.sqrt(max(down1**2 - 2 * phi * down1 * up2 + up2**2, 0))
    above = math.sqrt(max(up1**2 - 2 * phi * up1 * down2 + down2**2, 0))
    return Interval(difference, difference - below, difference + above)


def _wilson(share: float, n: int) -> tuple[float, float]:
    """Wilson's (1927) score interval of a share of `n`."""
    centre = share + _Z_95**2 / (2 * n)
    spread = _Z_95 * math.sqrt(share * (1 - share) / n + _Z_95**2 / (4 * n * n))
    scale = 1 + _Z_95**2 / n
    return (centre - spread) / scale, (centre + spread) / scale


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Contestants on the same rows: the first against each of the others.

    Attributes:
        rows: the contestants, in the order given.
        num_rows: rows that each of them answered.
    """

    rows: tuple[ComparisonRow, ...]
    num_rows: int

    def sentences(self) -> list[str]:
        """Say for each other contestant what the interval allows to say."""
        first = self.rows[0].name
        found = []
        for row in self.rows[1:]:
            assert row.interval is not None
            lead = row.interval
            span = f"{_signed(lead.low)} to {_signed(lead.high)} points"
            if lead.includes_zero:
                found.append(
                    f"{first} against {row.name}: {span}. This includes zero: on "
                    f"{self.num_rows:,} rows the two cannot be told apart."
                )
            else:
                better = "ahead of" if lead.difference > 0 else "behind"
                found.append(f"{first} is {better} {row.name} by {span}.")
        return found

    def _cells(self, row: ComparisonRow) -> tuple[str, str, str, str]:
        lead = row.interval
        return (
            row.name,
            f"{100 * row.accuracy:.1f} %",
            "" if lead is None else _signed(lead.difference),
            "" if lead is None else f"{_signed(lead.low)} to {_signed(lead.high)}",
        )

    def _headings(self) -> tuple[str, str, str, str]:
        return f"{self.num_rows:,} rows", "accuracy", "lead", "95 % interval"

    def __repr__(self) -> str:
        lines = [self._headings(), *map(self._cells, self.rows)]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        table = [
            "  ".join(
                cell.ljust(width) if i == 0 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        ]
        notes = [f"{row.name}: {row.note}." for row in self.rows if row.note]
        return "\n".join([*table, "", *self.sentences(), "", *notes]).rstrip()

    def _repr_html_(self) -> Markup:
        from nbtransfer.panels.style import card

        headings = tag("tr", *(tag("th", h) for h in self._headings()), tag("th", ""))
        body = [
            tag(
                "tr",
                *(tag("td", cell) for cell in self._cells(row)),
                tag("td", tag("span", row.note, class_="nbt-dim")),
                class_="nbt-best" if i == 0 else None,
            )
            for i, row in enumerate(self.rows)
        ]
        table = tag("table", tag("thead", headings), tag("tbody", *body), class_="nbt-table")
        said = [tag("li", sentence) for sentence in self.sentences()]
        return card(
            tag("div", table, class_="nbt-section nbt-scroll"),
            tag("div", tag("ul", *said, class_="nbt-list"), class_="nbt-section"),
        )


def comparison(contestants: Mapping[str, Answers | Report]) -> Comparison:
    """Compare answers to the same rows; the first contestant is measured against all others.

        comparison({"fine-tuned": nt.evaluate(run, split="test"), "TF-IDF": tfidf_baseline(data)})

    Args:
        contestants: by name, evaluated runs or baselines.

    Raises:
        DataError: if fewer than two are given, or their rows differ.
    """
    found = {
        name: one if isinstance(one, Answers) else answers_of(one)
        for name, one in contestants.items()
    }
    if len(found) < 2:
        raise DataError("a comparison needs at least two contestants, by name.")
    right = {name: dict(zip(a.rows, a.correct, strict=True)) for name, a in found.items()}
    first_name, rows = next((name, list(answered)) for name, answered in right.items())
    for name, answered in right.items():
        if answered.keys() != set(rows):
            raise DataError(
                f"{quoted(name)} answered {len(answered):,} rows and {quoted(first_name)} "
                f"{len(rows):,}, not the same ones. "
                "Evaluate both on the same split of the same data."
            )
    first = [right[first_name][row] for row in rows]
    return Comparison(
        rows=tuple(
            ComparisonRow(
                name,
                answers.accuracy,
                None
                if name == first_name
                else paired_interval(first, [right[name][r] for r in rows]),
                answers.note,
            )
            for name, answers in found.items()
        ),
        num_rows=len(rows),
    )


def _signed(share: float) -> str:
    """A difference of shares in percentage points, with its sign and a true minus."""
    return f"{100 * share:+.1f}".replace("-", "\N{MINUS SIGN}")
