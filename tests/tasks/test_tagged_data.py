"""What data of tagged words becomes, what is said of it, and which is refused in which words."""

from __future__ import annotations

from typing import Any, NamedTuple

import pandas as pd
import pyarrow as pa
import pytest

from nbtransfer.data.sources import load_tables
from nbtransfer.errors import DataError, SpecError
from nbtransfer.tasks.catalog import choose_task

TOKENS = [["Ada", "Byron", "met", "Alan"], ["Nothing", "here"], ["Leeds", "is", "cold"]] * 4
TAGS = [["B-PER", "I-PER", "O", "B-PER"], ["O", "O"], ["B-LOC", "O", "O"]] * 4
TEXTS = ["Ada Byron met Alan.", "Nothing here", "It is cold in Leeds"] * 4
SPANS = [
    [{"start": 0, "end": 9, "label": "PER"}, {"start": 14, "end": 18, "label": "PER"}],
    [],
    [{"start": 14, "end": 19, "label": "LOC"}],
] * 4


def prepared(data: Any, validation: object = False, **columns: str):
    tables = load_tables(data, name="df")
    task = choose_task(None, tables, columns)
    return task.prepare(tables, columns, validation=validation)


def rows_of(result):
    names = result.card.label_names
    return [
        (row["text"], row["tokens"], [names[tag] for tag in row["tags"]])
        for row in result.splits["train"].to_pylist()
    ]


def test_words_and_tags_are_recognised_and_said():
    result = prepared({"tokens": TOKENS, "ner_tags": TAGS})
    card = result.card
    assert card.task == "token-classification"
    assert card.roles == {"tokens": "tokens", "tags": "ner_tags"}
    assert card.label_names == ("O", "B-LOC", "I-LOC", "B-PER", "I-PER")
    assert "tokens column: 'tokens'; tags column: 'ner_tags'" in card.notes
    assert "tags are written as IOB2" in card.notes
    assert "entities in train: 12 ('LOC' 4, 'PER' 8)" in card.notes
    assert rows_of(result)[0] == ("Ada Byron met Alan", TOKENS[0], TAGS[0])
    assert result.splits["train"]["starts"][0].as_py() == [0, 4, 10, 14]


def test_spans_are_recognised_and_become_tags_of_our_words():
    result = prepared({"text": TEXTS, "entities": SPANS})
    assert result.card.roles == {"text": "text", "spans": "entities"}
    assert rows_of(result)[0] == (TEXTS[0], ["Ada", "Byron", "met", "Alan", "."], [*TAGS[0], "O"])


def test_other_names_of_places_and_types_are_read():
    spans = [[{"begin": 0, "stop": 3, "type": "PER"}]] * 12
    assert rows_of(prepared({"text": TEXTS, "annotations": spans}))[0][2][0] == "B-PER"


def test_numbers_take_the_names_of_the_dataset_and_their_order():
    import datasets

    names = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
    numbers = [[names.index(tag) for tag in row] for row in TAGS]
    label = datasets.ClassLabel(names=names)
    kinds = {"tokens": datasets.Sequence(datasets.Value("string"))}
    features = datasets.Features({**kinds, "ner_tags": datasets.Sequence(label)})
    data = datasets.Dataset.from_dict({"tokens": TOKENS, "ner_tags": numbers}, features=features)
    result = prepared(data)
    assert result.card.label_names == tuple(names)
    assert rows_of(result)[0][2] == TAGS[0]


def test_texts_with_classes_are_still_texts_with_classes():
    tables = load_tables({"text": TEXTS, "label": ["a", "b", "c"] * 4}, name="df")
    assert choose_task(None, tables, {}).name == "text-classification"


def test_a_label_named_for_tagged_data_is_refused_by_the_task():
    tables = load_tables({"tokens": TOKENS, "ner_tags": TAGS}, name="df")
    with pytest.raises(SpecError, match="token classification has no column 'label'"):
        choose_task("token-classification", tables, {"label": "ner_tags"})


NOTES = [
    ("IOB1", {"tags": [["I-PER", "I-PER", "O", "I-PER"], ["O", "O"], ["I-LOC", "O", "O"]]},
     "tags are written as IOB1; they are converted to IOB2"),
    ("IOBES", {"tags": [["B-PER", "E-PER", "O", "S-PER"], ["O", "O"], ["S-LOC", "O", "O"]]},
     "tags are written as IOBES; they are converted to IOB2"),
    ("I- after O", {"tags": [TAGS[0], ["O", "I-LOC"], TAGS[2]]},
     "tags are written as IOB2; 4 entities begin with I- and not B-, and are read so (first: row "
     "1)"),
    ("no tag", {"tags": [["B-PER", None, "O", "O"], ["O", "O"], TAGS[2]]},
     "4 words without a tag are read as outside of all entities in df (first: row 0)"),
    ("empty token", {"tokens": [TOKENS[0], ["", " "], ["Leeds", "", "cold"]]},
     "12 empty tokens left out in df (first: row 1)"),
    ("empty row", {"tokens": [TOKENS[0], [], TOKENS[2]], "tags": [TAGS[0], [], TAGS[2]]},
     "4 rows left out: no words or no tags in df (first: row 1)"),
    ("inside a word", {"text": TEXTS[:3], "entities": [SPANS[0], [{"start": 2, "end": 4,
     "label": "X"}], SPANS[2]]},
     "4 spans that begin or end inside a word are widened to it in df (first: row 1)"),
    ("only spaces", {"text": TEXTS[:3], "entities": [[{"start": 3, "end": 4, "label": "X"}],
     SPANS[1], SPANS[2]]}, "4 spans of spaces left out in df (first: row 0)"),
]  # fmt: skip


@pytest.mark.parametrize("case", NOTES, ids=[n[0] for n in NOTES])
def test_what_is_mended_is_noted(case):
    _, columns, note = case
    whole = columns if "text" in columns else {"tokens": TOKENS[:3], "tags": TAGS[:3], **columns}
    assert note in prepared({name: values * 4 for name, values in whole.items()}).card.notes


class Bad(NamedTuple):
    """Data that is refused, and what the message says."""

    id: str
    data: Any
    says: str
    columns: dict[str, str] = {}  # noqa: RUF012 -- never changed


def tagged(**changed: Any) -> dict[str, Any]:
    return {"tokens": TOKENS, "ner_tags": TAGS} | changed


def spanned(spans: list[dict[str, Any]], text: str = "Ada met Alan") -> dict[str, Any]:
    good = {"start": 0, "end": 3, "label": "PER"}
    return {"text": ["Ada was here", text], "spans": [[good], spans]}


BAD = [
    Bad(
        "different lengths",
        tagged(ner_tags=[TAGS[0][:3], *TAGS[1:]]),
        "row 0 of df has 4 tokens (column 'tokens') but 3 tags (column 'ner_tags'). Give each word "
        "one tag.",
    ),
    Bad(
        "no scheme",
        tagged(ner_tags=[["NOUN"] * len(row) for row in TOKENS]),
        "holds 'NOUN': no tags of entities as IOB1, IOB2 or IOBES write them (O, B-PER, I-PER). "
        "Tags of every word, such as parts of speech, are not built.",
    ),
    Bad(
        "no entity",
        tagged(ner_tags=[["O"] * len(row) for row in TOKENS]),
        "marks no entity: every tag is 'O'. There is nothing to learn. Mark some, or choose "
        "another column.",
    ),
    Bad(
        "numbers without names",
        tagged(ner_tags=[[int(tag != "O") for tag in row] for row in TAGS]),
        "tags column 'ner_tags' of df holds numbers without names. Name them first: df['ner_tags'] "
        "= [[NAMES[n] for n in tags] for tags in df['ner_tags']], with NAMES such as ['O', "
        "'B-PER', 'I-PER']",
    ),
    Bad(
        "words as one text",
        {"tokens": TEXTS, "ner_tags": TAGS},
        "no tokens column in df: column 'tokens' holds text, not lists of words. Split it first: "
        "df['tokens'] = df['tokens'].str.split() Columns: tokens, ner_tags.",
        {"tags": "ner_tags"},
    ),
    Bad(
        "named column of text",
        {"tokens": TEXTS, "ner_tags": TAGS},
        "tokens column 'tokens' of df holds text, not lists of words. Split it first: df['tokens'] "
        "= df['tokens'].str.split()",
        {"tokens": "tokens", "tags": "ner_tags"},
    ),
    Bad(
        "words that are numbers",
        {"tokens": [[1, 2]] * 3, "tags": [["O", "B-X"]] * 3},
        "tokens column 'tokens' of df holds lists of int64 values, not lists of words. Give lists "
        "of words.",
        {"tokens": "tokens", "tags": "tags"},
    ),
    Bad(
        "missing column",
        tagged(),
        "no column 'ner_tag' in df. Columns: tokens, ner_tags. Did you mean --tags ner_tags?",
        {"tags": "ner_tag"},
    ),
    Bad(
        "both pairs",
        {**tagged(), "text": TEXTS},
        "--text, --tokens do not go together. Give --tokens and --tags, or --text and --spans.",
        {"tokens": "tokens", "text": "text"},
    ),
    Bad(
        "same column twice",
        tagged(),
        "--tokens and --tags both name 'tokens'. Columns: tokens, ner_tags. Choose two.",
        {"tokens": "tokens", "tags": "tokens"},
    ),
    Bad(
        "two columns of tags",
        {"tokens": TOKENS, "fine": TAGS, "coarse": TAGS},
        "df has 2 columns that could be the tags: fine, coarse. Choose one: --tags fine",
        {"tokens": "tokens"},
    ),
    Bad(
        "overlapping spans",
        spanned([{"start": 0, "end": 7, "label": "A"}, {"start": 4, "end": 12, "label": "B"}]),
        "row 1 of df has overlapping spans: 'met Alan' begins at 4, before the one before it ends "
        "at 7. Keep one of them.",
    ),
    Bad(
        "negative span",
        spanned([{"start": -1, "end": 3, "label": "A"}]),
        "row 1 of df has a span from -1 to 3, but its text has 12 characters. A span begins at 0 "
        "or later and ends, after its beginning, at most there.",
    ),
    Bad(
        "span beyond the text",
        spanned([{"start": 8, "end": 13, "label": "A"}]),
        "a span from 8 to 13, but its text has 12 characters",
    ),
    Bad(
        "empty span",
        spanned([{"start": 4, "end": 4, "label": "A"}]),
        "a span from 4 to 4, but its text has 12 characters",
    ),
    Bad(
        "span without label",
        spanned([{"start": 4, "end": 7, "label": None}]),
        "row 1 of df has a span from 4 to 7 without a label. Name its type.",
    ),
    Bad(
        "spans of another form",
        {"text": TEXTS, "spans": [[{"from": 0, "to": 3, "label": "A"}]] * 12},
        "Give each text a list such as [{'start': 0, 'end': 5, 'label': 'PER'}]; spans "
        "(start, end, label) become that by",
        {"text": "text", "spans": "spans"},
    ),
    Bad(
        "all spans empty",
        {"text": TEXTS, "spans": [[]] * 12},
        "every list in spans column 'spans' of df is empty: there is nothing to learn. Mark some "
        "entities.",
        {"text": "text", "spans": "spans"},
    ),
    Bad(
        "thousands of types",
        tagged(
            tokens=[["a"]] * 300,
            ner_tags=[[f"B-{i}"] for i in range(300)],
        ),
        "has 300 different types of entities: it looks like names or ids, not types. Choose "
        "another column.",
    ),
    Bad(
        "no rows left",
        {"tokens": pa.array([[], []], pa.list_(pa.string())), "tags": [["O"], ["B-X"]]},
        "no row of df has both words and tags. Give some that do.",
        {"tokens": "tokens", "tags": "tags"},
    ),
]


@pytest.mark.parametrize("bad", BAD, ids=[b.id for b in BAD])
def test_bad_data_is_refused_in_one_line_that_says_what_to_do(bad):
    with pytest.raises(DataError) as caught:
        prepared(bad.data, **bad.columns)
    assert any(bad.says in problem for problem in caught.value.problems), caught.value.problems
    assert all("\n" not in problem for problem in caught.value.problems)


def test_evaluation_data_may_be_written_otherwise_but_has_no_new_types():
    trained = prepared({"tokens": TOKENS, "ner_tags": TAGS}).card
    other = {"text": TEXTS, "entities": SPANS}
    task = choose_task("token-classification", load_tables(other), {})
    again = task.prepare(load_tables(other), {}, validation=False, trained_on=trained)
    assert again.card.label_names == trained.label_names
    new = {"text": TEXTS, "entities": [[{"start": 0, "end": 2, "label": "ORG"}]] * 12}
    with pytest.raises(DataError, match=r"type 'ORG', which the model does not have. Types: 'LOC'"):
        task.prepare(load_tables(new), {}, validation=False, trained_on=trained)


def test_what_is_held_out_has_its_share_of_sentences_with_entities():
    tokens = [["a", str(i)] for i in range(100)]
    tags = [["B-X" if i < 20 else "O", "O"] for i in range(100)]
    held = prepared({"tokens": tokens, "tags": tags}, validation=0.2).splits["validation"]
    assert held.num_rows == 20
    assert sum(any(row) for row in held["tags"].to_pylist()) == 4


def test_repeated_sentences_rare_and_unseen_types_are_warned_about():
    train = pd.DataFrame({"tokens": TOKENS[:3], "ner_tags": TAGS[:3]})
    held = pd.DataFrame({"tokens": [TOKENS[2], ["Acme"]], "ner_tags": [TAGS[2], ["B-ORG"]]})
    card = prepared({"train": train, "validation": held}, validation=None).card
    assert card.num_overlap == {"validation": 1}
    assert any("type 'LOC' has only 1 training entity" in text for text in card.warnings)
    assert any(
        "no training row has an entity of type 'ORG', but there are 1 in validation" in text
        for text in card.warnings
    )


def test_a_validation_split_without_an_entity_is_taken_and_a_training_split_is_not():
    marked = {"text": "Ada met Alan.", "spans": [{"start": 0, "end": 3, "label": "PER"}]}
    none = [{"text": "So it was.", "spans": []}]
    found = prepared({"train": [marked] * 2, "validation": none}, None)
    assert found.card.num_rows == {"train": 2, "validation": 1}
    with pytest.raises(DataError, match="every list in spans column 'spans' of df is empty"):
        prepared(none)


def test_places_of_spans_may_be_whole_numbers_with_a_point():
    spans = [[{"start": 0.0, "end": 9.0, "label": "PER"}]]
    found = prepared({"text": ["Ada Byron met Alan."], "spans": spans})
    assert rows_of(found)[0][2] == ["B-PER", "I-PER", "O", "O", "O"]
