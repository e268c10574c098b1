"""What is made of data that is odd but usable, and of any data at all."""

from __future__ import annotations

import contextlib
import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nbtransfer.data.sources import load_tables
from nbtransfer.errors import DataError, NbTransferError
from nbtransfer.tasks.labelled_data import prepare
from nbtransfer.tasks.text_classification import metrics

TEXTS = [f"film number {i} was {'good' if i % 2 else 'bad'}" for i in range(20)]
LABELS = ["pos" if i % 2 else "neg" for i in range(20)]


def prepared(data=None, **options):
    frame = {"text": TEXTS, "label": LABELS} if data is None else data
    return prepare(load_tables(frame, name="df"), **options)


def with_label(values, **options):
    return prepared(pd.DataFrame({"text": TEXTS, "label": values}), **options)


def with_text(values, **options):
    return prepared({"text": values, "label": LABELS}, text="text", **options)


def test_rows_carry_text_class_and_place_in_the_data():
    result = prepared(validation=False)
    train = result.splits["train"]
    assert train.schema == pa.schema({"text": pa.string(), "label": pa.int32(), "row": pa.int64()})
    assert train.column("text").to_pylist() == TEXTS
    assert train.column("label").to_pylist() == [0, 1] * 10
    assert train.column("row").to_pylist() == list(range(20))
    assert result.card.label_names == ("neg", "pos")


def test_guess_is_stated():
    notes = prepared().card.notes
    assert notes[0] == "text column: 'text' (by its name); label column: 'label' (2 classes)"


def test_default_validation_is_a_tenth_stratified_and_disjoint():
    splits = prepared().splits
    train, validation = (set(splits[s].column("row").to_pylist()) for s in ("train", "validation"))
    assert len(validation) == 2 and not train & validation and len(train | validation) == 20
    assert sorted(splits["validation"].column("label").to_pylist()) == [0, 1]


def test_validation_frame_and_table_are_used_as_given():
    held = pd.DataFrame({"label": ["neg", "pos"], "text": ["so dull", "so fine"]})
    for given_ in (held, pa.Table.from_pandas(held), held.to_dict("records")):
        result = prepared(validation=given_)
        assert result.splits["validation"].column("text").to_pylist() == ["so dull", "so fine"]
        assert result.card.num_rows == {"train": 20, "validation": 2}


def test_validation_file_is_used(tmp_path):
    file = tmp_path / "held.csv"
    file.write_text("text,label\nso dull,neg\nso fine,pos\n")
    result = prepared(validation=str(file))
    assert result.card.num_rows["validation"] == 2
    assert f"validation: {file}" in result.card.notes


def test_validation_file_replaces_the_split_and_says_so(tmp_path):
    file = tmp_path / "held.csv"
    file.write_text("text,label\nso fine,pos\n")
    rows = {"text": TEXTS, "label": LABELS}
    result = prepared({"train": pd.DataFrame(rows), "dev": pd.DataFrame(rows)}, validation=file)
    assert result.card.num_rows["validation"] == 1
    assert any("instead of the split named validation" in note for note in result.card.notes)


LABEL_KINDS = [
    ("whole numbers", [3, 7] * 10, ("3", "7")),
    ("signed numbers", [-1, 1] * 10, ("-1", "1")),
    ("unsigned", np.array([0, 1] * 10, dtype=np.uint8), ("0", "1")),
    ("whole floats", [0.0, 1.0] * 10, ("0", "1")),
    ("truth values", [False, True] * 10, ("False", "True")),
    ("numbers as text, in number order", ["10", "9"] * 10, ("9", "10")),
    ("categories", pd.Categorical(["b", "a"] * 10), ("a", "b")),
    ("nullable numbers", pd.array([0, 1] * 10, dtype="Int64"), ("0", "1")),
    ("NA and null are names", ["NA", "null"] * 10, ("NA", "null")),
]


@pytest.mark.parametrize("kind", LABEL_KINDS, ids=[k[0] for k in LABEL_KINDS])
def test_labels_of_many_types_become_classes(kind):
    _, values, names = kind
    result = with_label(values, label="label", validation=False)
    assert result.card.label_names == names
    assert set(result.splits["train"].column("label").to_pylist()) == {0, 1}


def test_class_label_names_of_datasets_are_kept_in_their_order():
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["pos", "neg"])}
    )
    rows = {"text": TEXTS, "label": [0, 1] * 10}
    dataset = datasets.Dataset.from_dict(rows, features=features).shuffle(seed=1)
    result = prepared(dataset, validation=False)
    assert result.card.label_names == ("pos", "neg")
    train = result.splits["train"].to_pydict()
    assert all(
        TEXTS.index(text) % 2 == label
        for text, label in zip(train["text"], train["label"], strict=True)
    )
    (column,) = [c for c in result.card.columns if c.name == "label"]
    assert column.type == "class label"


def test_withheld_test_labels_leave_the_test_split_out():
    rows = pd.DataFrame({"text": TEXTS, "label": [0, 1] * 10})
    result = prepared({"train": rows, "test": rows.assign(label=-1)})
    assert "test" not in result.splits
    assert any("withheld" in note for note in result.card.notes)


def test_missing_and_blank_rows_are_left_out_and_counted():
    result = with_text(["", None, "  ", *TEXTS[3:]], validation=False)
    assert result.splits["train"].column("row").to_pylist() == list(range(3, 20))
    assert "3 rows are left out of df: no text (first: row 0)" in result.card.notes


def test_rows_without_label_are_left_out_and_counted():
    labels = [*LABELS[:19], None]
    result = with_label(labels, validation=False)
    assert "1 row is left out of df: no label (first: row 19)" in result.card.notes
    assert result.card.num_rows == {"train": 19}


def test_numbers_among_texts_are_read_as_text_and_noted():
    result = with_text([*TEXTS[:18], 7, 2.5], validation=False)
    assert result.splits["train"].column("text").to_pylist()[-2:] == ["7", "2.5"]
    assert any("2 numbers in text column 'text'" in note for note in result.card.notes)


ODD_TEXTS = [
    ("NUL", "a\0b"),
    ("direction marks", "\u202eabc\u2066"),
    ("markup", "<img src=x onerror=alert(1)>"),
    ("formula", '=HYPERLINK("http://x")'),
    ("NA", "NA"),
    ("null", "null"),
    ("emoji", "👩‍👩‍👧 ok"),
    ("long", "word " * 100_000),
]


@pytest.mark.parametrize("odd", [o[1] for o in ODD_TEXTS], ids=[o[0] for o in ODD_TEXTS])
def test_odd_texts_are_kept_as_they_are(odd):
    result = with_text([odd, *TEXTS[1:]], validation=False)
    assert result.splits["train"].column("text")[0].as_py() == odd


def test_lone_surrogates_are_replaced_and_noted():
    result = with_text(["bad \ud800 char", *TEXTS[1:]], validation=False)
    assert "\ufffd" in result.splits["train"].column("text")[0].as_py()
    assert any("lone surrogates" in note for note in result.card.notes)


def test_huge_text_is_noted_with_its_row():
    result = with_text([*TEXTS[:19], "x" * 2_000_000], validation=False)
    assert "the longest text of df has 2,000,000 bytes (row 19)" in result.card.notes


WARNINGS = [
    ("alike", ["Pos", "pos ", "neg", "neg"] * 5, r"'Pos' and 'pos ' differ only by case or space"),
    ("single", ["odd", *LABELS[1:]], r"1 class has one row only, which stays in train"),
    ("skewed", ["pos"] * 19 + ["neg"], r"macro F1 rather than accuracy, or set class weights"),
]


@pytest.mark.parametrize("row", WARNINGS, ids=[w[0] for w in WARNINGS])
def test_doubtful_labels_are_warned_about(row):
    import re

    _, labels, says = row
    warnings = with_label(labels, label="label").card.warnings
    assert any(re.search(says, warning) for warning in warnings), warnings


@pytest.mark.parametrize(
    "labels",
    [
        ['[{"start": 0, "end": 4, "label": "PER"}]', "[]"],
        ["['pos', 'neg']", "['pos']"],
        ['{"a": 1}', '{"a": 0}'],
    ],
    ids=["spans", "names", "dicts"],
)
def test_lists_written_as_text_are_no_classes(labels):
    with pytest.raises(DataError, match=r"a list written as text is no class. Read it back"):
        with_label(labels * 10, label="label")
    assert with_label(["[other]", "{x"] * 10, label="label").card.label_names == ("[other]", "{x")


def test_class_that_only_validation_has_is_warned_about_with_its_rows():
    import datasets

    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["a", "b", "c"])}
    )

    def part(labels):
        return datasets.Dataset.from_dict({"text": TEXTS[:4], "label": labels}, features=features)

    card = prepared({"train": part([0, 1, 0, 1]), "validation": part([0, 1, 2, 2])}).card
    expected = "no training row has the class 'c', but 2 validation rows do: they cannot be right."
    assert expected in card.warnings


OTHER_COLUMNS = {
    "period": pd.period_range("2024-01", periods=20, freq="M"),
    "interval": pd.interval_range(0, 20),
    "timedelta": pd.to_timedelta(range(20), unit="s"),
    "date with zone": pd.date_range("2024-01-01", periods=20, tz="UTC"),
    "category of numbers": pd.Categorical([1, 2] * 10),
    "sparse": pd.arrays.SparseArray([0.0, 1.5] * 10),
    "complex": [1j] * 20,
    "objects": [object()] * 20,
    "nested": [{"a": [1, {"b": 2}]}] * 20,
    "nothing": [None] * 20,
}


@pytest.mark.parametrize("values", OTHER_COLUMNS.values(), ids=OTHER_COLUMNS)
def test_columns_of_any_type_may_stand_beside(values):
    card = prepared(pd.DataFrame({"text": TEXTS, "label": LABELS, "other": values})).card
    assert [c.name for c in card.columns] == ["text", "label", "other"]


def test_data_sorted_by_class_is_recognised():
    rows = {"remark": [f"remark {i}" for i in range(30_000)], "side": [0] * 15_000 + [1] * 15_000}
    notes = prepared(rows, validation=False).card.notes
    assert "label column: 'side' (2 classes)" in notes[0]


def test_overlap_duplicates_and_conflicts_are_counted():
    train = pd.DataFrame({"text": ["a", "a", "b", "c"], "label": ["x", "y", "x", "y"]})
    held = pd.DataFrame({"text": ["a", "d", "b"], "label": ["x", "y", "y"]})
    card = prepared({"train": train, "validation": held}).card
    assert (card.num_duplicates, card.num_overlap, card.num_conflicts) == (1, {"validation": 2}, 2)
    assert "2 validation texts are also in train." in card.warnings
    assert "2 texts carry two labels." in card.warnings


def test_evaluation_data_takes_the_models_classes():
    result = prepared(
        {"text": ["so fine"], "label": ["pos"]}, validation=False, label_names=("neg", "pos")
    )
    assert result.splits["train"].column("label").to_pylist() == [1]
    with pytest.raises(DataError, match=r"which the model does not have. Classes: 'neg', 'pos'"):
        prepared({"text": ["a"], "label": ["great"]}, validation=False, label_names=("neg", "pos"))


def test_all_problems_are_told_at_once():
    with pytest.raises(DataError) as raised:
        prepared({"text": [["a"]] * 4, "label": [0.5, 1.5, 0.5, 1.5]}, text="text", label="label")
    assert len(raised.value.problems) == 2


def test_metrics_equal_scikit_learn():
    from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 57)
    probabilities = rng.dirichlet(np.ones(3), 57)
    predicted = probabilities.argmax(1)
    found = metrics(labels, probabilities, ("a", "b", "c"))
    macro = {"average": "macro", "zero_division": 0}
    assert found == pytest.approx(
        {
            "eval_accuracy": accuracy_score(labels, predicted),
            "eval_f1_macro": f1_score(labels, predicted, **macro),
            "eval_precision_macro": precision_score(labels, predicted, **macro),
            "eval_recall_macro": recall_score(labels, predicted, **macro),
        },
        abs=1e-12,
    )


def test_metrics_refuse_probabilities_of_another_shape():
    with pytest.raises(ValueError, match=r"expected \(3, 2\)"):
        metrics(np.zeros(3, int), np.zeros((3, 4)), ("a", "b"))


ANY_TEXT = st.text(st.characters(), max_size=8)
ANY_VALUE = st.one_of(
    st.none(),
    ANY_TEXT,
    st.integers(),
    st.floats(),
    st.booleans(),
    st.binary(max_size=3),
    st.lists(st.integers(0, 1), max_size=2),
    st.dictionaries(ANY_TEXT, st.integers(), max_size=1),
    st.just(datetime.date(2024, 1, 1)),
    st.decimals(),
    st.complex_numbers(),
)
FEW = st.sampled_from(["good", "bad", "", None, "Good "])


@st.composite
def frames(draw):
    rows = draw(st.integers(0, 8))
    names = draw(
        st.lists(st.one_of(st.sampled_from(["text", "label", "review"]), ANY_TEXT), max_size=3)
    )
    kinds = [draw(st.sampled_from([ANY_VALUE, ANY_TEXT, FEW, st.integers(-1, 2)])) for _ in names]
    columns = [draw(st.lists(kind, min_size=rows, max_size=rows)) for kind in kinds]
    frame = pd.DataFrame({i: pd.Series(c, dtype=object) for i, c in enumerate(columns)})
    if draw(st.booleans()):
        # pandas itself refuses lone surrogates here.
        with contextlib.suppress(UnicodeEncodeError):
            frame = frame.infer_objects()
    frame.columns = pd.Index(names, dtype=object)
    return frame


ROLE = st.one_of(st.none(), st.sampled_from(["text", "label", "review", "no"]))
VALIDATION = st.one_of(st.none(), st.just(False), st.floats(), st.sampled_from(["test", "dev"]))


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(frames(), ROLE, ROLE, VALIDATION)
@example(
    pd.DataFrame({"text": ["\ud800"], "label": ["\udfff"]}, dtype=object), "text", "label", None
)
@example(pd.DataFrame({"text": ["a"], "label": [None]}), None, None, None)
@example(
    pd.DataFrame([["a", 0], ["b", 1]], columns=pd.Index(["\ud800", "label"], dtype=object)),
    None,
    None,
    None,
)
@example(pd.DataFrame({"text": ["a", "b"], "label": [1.0, 1e300]}), None, "label", None)
def test_any_frame_is_prepared_or_refused_by_us(frame, text, label, validation):
    try:
        result = prepare(
            load_tables(frame, name="df"), text=text, label=label, validation=validation
        )
    except NbTransferError as error:
        assert str(error)
        return
    assert result.splits["train"].num_rows >= 1
    assert len(result.card.label_names) >= 2
    assert not result.splits["train"].column("text").null_count


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from(["a.csv", "a.tsv", "a.jsonl", "a.json", "a.parquet", "a.csv.gz"]),
    st.one_of(
        st.binary(max_size=60),
        st.text(st.sampled_from('text,label\n";\t|{}[]:0.1\r\\u\ufeffé\0'), max_size=60).map(
            str.encode
        ),
        st.text(st.sampled_from('ab,;"\r\n01 '), max_size=40).map(
            lambda t: b"text,label\n" + t.encode()
        ),
    ),
)
def test_any_file_is_prepared_or_refused_by_us(tmp_path_factory, name, content):
    path = Path(tmp_path_factory.getbasetemp()) / name
    path.write_bytes(content)
    try:
        prepare(load_tables(str(path)))
    except NbTransferError as error:
        assert str(error)
