"""What `%dataset` says of a data set, as pure functions from a DataView to HTML and text."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.panels.markup import Markup, join, style_sheet, tag
from nbtransfer.panels.quantities import share_text
from nbtransfer.panels.style import card
from nbtransfer.panels.text_table import text_table
from nbtransfer.tasks.label_columns import label_columns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nbtransfer.data.card import ColumnInfo, DataCard

MAX_CLASSES = 20
MAX_CELL = 160
MAX_TOKENS = 60

# `.nbt.nbt.nbt`: the sheet of a later card on the page must not win over these.
_STYLE = (
    ".nbt.nbt.nbt .nbt-words tr>*{text-align:left;overflow-wrap:break-word}"
    ".nbt.nbt.nbt .nbt-words tr>:last-child{overflow-wrap:anywhere}"
    ".nbt.nbt.nbt .nbt-tokens{margin:4px 0 0;line-height:1.9}"
    ".nbt.nbt.nbt .nbt-token{font-size:11.5px;padding:1px 4px;margin:0;border-radius:3px;"
    "color:var(--nbt-fg);background:var(--nbt-soft);border:1px solid var(--nbt-line)}"
    ".nbt.nbt.nbt .nbt-token-cut{opacity:.55;text-decoration:line-through}"
    ".nbt.nbt.nbt .nbt-counted{margin:0 0 10px}"
    ".nbt.nbt.nbt .nbt-counted:last-child{margin:0}"
)


class TokenizedText(NamedTuple):
    """A text before and after tokenisation.

    Attributes:
        text: the text, cut to what is shown.
        tokens: the model's words for it, special tokens among them.
        num_kept: tokens that stay when the text is cut to the maximum length.
    """

    text: str
    tokens: tuple[str, ...]
    num_kept: int


class LengthFacts(NamedTuple):
    """How long the texts are.

    Attributes:
        unit: `tokens`, or `words` where no tokenizer is at hand.
        median: half of the texts are at most this long.
        longest: the longest text.
        num_measured: texts counted; fewer than there are when they are very many.
        max_length: where texts are cut; 0 where they are not, for words.
        share_texts_cut: share of texts that are longer.
        share_tokens_cut: share of all tokens that this loses; 0 where windows are read.
    """

    unit: str
    median: int
    longest: int
    num_measured: int
    max_length: int = 0
    share_texts_cut: float = 0.0
    share_tokens_cut: float = 0.0


class DataView(NamedTuple):
    """Everything that is shown of a data set; parts that could not be found are None or empty."""

    name: str
    origin: str
    num_rows: dict[str, int]
    columns: tuple[ColumnInfo, ...]
    card: DataCard | None
    problems: tuple[str, ...]
    lengths: LengthFacts | None
    tokenizer: str
    tokenized: tuple[TokenizedText, ...]
    head: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def data_markup(view: DataView) -> Markup:
    """Return the data set as a card."""
    return card(
        style_sheet(_STYLE),
        tag(
            "div",
            tag("strong", view.name, class_="nbt-title"),
            tag("span", " ", _about(view), class_="nbt-dim"),
            class_="nbt-head",
        ),
        tag("div", *(_fact(n, words) for n, words in facts(view)), class_="nbt-facts"),
        *(_say(words, "nbt-say nbt-say-bad") for words in view.problems),
        *(_say(words, "nbt-say") for words in (view.card.warnings if view.card else ())),
        tag(
            "div",
            tag("div", tag("h4", "Columns"), _columns_table(view), class_="nbt-wide nbt-scroll"),
            tag("div", tag("h4", _title(view.card)), _classes_table(view.card))
            if view.card and view.card.class_counts
            else None,
            class_="nbt-grid",
        ),
        _section(_head_title(view), _head_table(view)) if view.head else None,
        _section(f"As {view.tokenizer} reads it", *map(_tokens, view.tokenized))
        if view.tokenized
        else None,
        _section("Notes", tag("ul", *(tag("li", n) for n in view.notes), class_="nbt-list"))
        if view.notes
        else None,
    )


def data_text(view: DataView) -> str:
    """Return the data set as plain text."""
    parts = [
        f"{view.name}: {_about(view)}",
        " · ".join(f"{figure} {words}" for figure, words in facts(view)),
        *view.problems,
        *(view.card.warnings if view.card else ()),
        "",
        text_table(_COLUMN_HEADINGS, [_column_cells(view, c) for c in view.columns]),
    ]
    if view.card is not None and view.card.class_counts:
        headings, rows = class_counts(view.card)
        parts += ["", text_table(headings, rows)]
    if view.head:
        names = [c.name for c in view.columns]
        parts += ["", f"{_head_title(view)}:", text_table(names, view.head, limit=60)]
    for text in view.tokenized:
        parts += ["", f"{view.tokenizer} reads {text.text[:80]!r} as", " ".join(text.tokens)]
    return "\n".join([*parts, "", *view.notes]).rstrip()


def facts(view: DataView) -> list[tuple[str, str]]:
    """Return the figures of the data set, each with the words that follow it."""
    found = [(f"{rows:,}", f"{split} rows") for split, rows in view.num_rows.items()]
    if (data := view.card) is not None:
        if data.class_counts:
            found.append((f"{len(data.counted.names):,}", data.counted.words))
        if data.majority_share is not None:
            share = f"{data.majority_share * 100:.1f} %"
            always = "the largest class"
            if data.task == "token-classification":
                always = "that a word is no entity"
            found.append((share, f"by always saying {always}"))
        found += _repetition(data)
    if (lengths := view.lengths) is not None:
        found.append((f"{lengths.median:,}", f"{lengths.unit} a text, longest {lengths.longest:,}"))
        at = f"cut at {lengths.max_length}"
        if lengths.max_length and lengths.share_texts_cut:
            tokens = share_text(lengths.share_tokens_cut)
            words = f"of texts and {tokens} of tokens are {at}"
            if not lengths.share_tokens_cut:
                words = f"of texts are read in several windows of {lengths.max_length} tokens"
            found.append((share_text(lengths.share_texts_cut), words))
        elif lengths.max_length:
            found.append(("no", f"text is {at}"))
    return found


def _repetition(data: DataCard) -> list[tuple[str, str]]:
    """Return what stands more than once; where nothing does, in one go."""
    counted = [
        (data.num_duplicates, "duplicates in train"),
        *((n, f"{split} texts also in train") for split, n in data.num_overlap.items()),
        (data.num_conflicts, "texts with two labels"),
    ]
    found = [(f"{n:,}", words) for n, words in counted if n]
    return found or [("no", "duplicates, overlap or conflicting labels")]


def class_counts(data: DataCard) -> tuple[list[str], list[list[str]]]:
    """Return the classes with their rows in each split, the most frequent first, at most 20."""
    counted = data.counted
    splits = list(counted.counts)
    order = sorted(
        range(len(counted.names)),
        key=lambda i: -counted.counts.get("train", next(iter(counted.counts.values())))[i],
    )
    rows = [
        [counted.names[i], *(f"{counted.counts[s][i]:,}" for s in splits)]
        for i in order[:MAX_CLASSES]
    ]
    if len(order) > MAX_CLASSES:
        rest = order[MAX_CLASSES:]
        totals = (sum(counted.counts[s][i] for i in rest) for s in splits)
        rows.append([f"{len(rest):,} more", *(f"{total:,}" for total in totals)])
    return [counted.word, *splits], rows


def _title(data: DataCard) -> str:
    words = data.counted.words
    return words[:1].upper() + words[1:]


_COLUMN_HEADINGS = ("column", "used as", "type", "missing", "distinct", "first value")


def _column_cells(view: DataView, column: ColumnInfo) -> tuple[str, ...]:
    used = ""
    if view.card is not None:
        names = [other.name for other in view.columns]
        used = next(
            (
                role
                for role, given in view.card.roles.items()
                if column.name in (label_columns(names, given) or [given])
            ),
            "",
        )
    distinct = "" if column.num_distinct is None else f"{column.num_distinct:,}"
    example = cut(column.example, 60)
    return (column.name, used, column.type, f"{column.num_missing:,}", distinct, example)


def cut(text: object, limit: int = MAX_CELL) -> str:
    """Return a cell's text on one line, cut to `limit` characters."""
    words = " ".join(str(text)[: 4 * limit].split())
    return words if len(words) <= limit else words[: limit - 1].rstrip() + "…"


def _about(view: DataView) -> str:
    parts = [view.origin]
    if view.card is not None:
        parts.append(view.card.task)
    return " · ".join(parts)


def _fact(figure: str, words: str) -> Markup:
    return tag("span", tag("b", figure), " ", tag("span", words, class_="nbt-dim"), " ")


def _say(words: str, kind: str) -> Markup:
    return tag("div", words, class_=kind)


def _section(title: str, *children: object) -> Markup:
    return tag("div", tag("h4", title), *children, class_="nbt-section nbt-scroll")


def _table(
    headings: Sequence[str],
    rows: Sequence[Sequence[object]],
    *,
    words: bool,
) -> Markup:
    return tag(
        "table",
        tag("thead", tag("tr", *(tag("th", h, scope="col") for h in headings))),
        tag("tbody", *(tag("tr", *(tag("td", cell) for cell in row)) for row in rows)),
        class_="nbt-table nbt-words" if words else "nbt-table",
    )


def _columns_table(view: DataView) -> Markup:
    rows = []
    for column in view.columns:
        name, used, *rest = _column_cells(view, column)
        chip = tag("span", used, class_="nbt-chip") if used else ""
        rows.append((tag("b", name), chip, *rest))
    return _table(_COLUMN_HEADINGS, rows, words=True)


def _classes_table(data: DataCard) -> Markup:
    headings, rows = class_counts(data)
    return _table(headings, rows, words=False)


def _head_title(view: DataView) -> str:
    first = next(iter(view.num_rows), "train")
    return f"First {len(view.head)} rows of {first}"


def _head_table(view: DataView) -> Markup:
    return _table([c.name for c in view.columns], list(view.head), words=True)


def _tokens(text: TokenizedText) -> Markup:
    """Tokens are `code` elements: without styles they are still told apart."""
    shown = text.tokens[:MAX_TOKENS]
    marks: list[object] = []
    for place, token in enumerate(shown):
        kind = "nbt-token" if place < text.num_kept else "nbt-token nbt-token-cut"
        marks += [tag("code", token, class_=kind), " "]
    if len(text.tokens) > len(shown):
        marks.append(f"… {len(text.tokens) - len(shown)} more")
    lost = max(len(text.tokens) - text.num_kept, 0)
    counted = f"{len(text.tokens)} tokens" + (f", the last {lost} are cut off" if lost else "")
    return join(
        tag("p", text.text),
        tag("p", *marks, class_="nbt-tokens"),
        tag("p", counted, class_="nbt-note nbt-counted"),
    )
