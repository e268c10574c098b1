"""Source and target columns are recognised, and what was chosen is said."""

from __future__ import annotations

import pytest

from nbtransfer.data.sources import load_tables
from nbtransfer.errors import DataError
from nbtransfer.tasks.catalog import choose_task
from nbtransfer.tasks.languages import language_of
from nbtransfer.tasks.sequence_columns import choose_summarised, choose_translation, flatten_pairs

SHORT, LONG = ["open it", "close it"], ["ouvrez-le", "fermez-le"]
NOTHING = {"text": None, "label": None, "source": None, "target": None}


def _tables(columns):
    return load_tables(columns, name="df")


def _recognised(columns, **named):
    return choose_task(None, _tables(columns), {**NOTHING, **named}).name


@pytest.mark.parametrize(
    ("column", "language"),
    [
        ("en", "English"),
        ("fr-FR", "French"),
        ("text_de", "German"),
        ("French", "French"),
        ("pt_BR", "Portuguese"),
        ("review", None),
        ("text", None),
        ("en_fr", None),
        ("", None),
    ],
)
def test_languages_are_read_from_columns_names(column, language):
    assert language_of(column) == language


@pytest.mark.parametrize(
    "columns",
    [
        {"source": SHORT, "target": LONG},
        {"en": SHORT, "fr": LONG},
        {"id": ["a", "b"], "en": SHORT, "fr": LONG},
        {"translation": [{"en": "open it", "fr": "ouvrez-le"}, {"en": "close", "fr": "fermer"}]},
    ],
)
def test_pairs_of_languages_are_translation(columns):
    assert _recognised(columns) == "translation"


@pytest.mark.parametrize(
    "columns",
    [
        {"article": SHORT, "highlights": LONG},
        {"document": SHORT, "summary": LONG},
        {"dialogue": SHORT, "summary": LONG, "id": ["1", "2"]},
    ],
)
def test_a_text_and_its_summary_are_summarization(columns):
    assert _recognised(columns) == "summarization"


@pytest.mark.parametrize(
    "columns",
    [
        {"text": SHORT, "label": ["a", "b"]},
        {"text": SHORT, "summary": LONG, "stars": [1, 5]},
        {"text": SHORT, "source": ["web", "app"], "label": ["a", "b"]},
        {"id": ["a", "b"], "text": SHORT, "label": ["x", "y"]},
    ],
)
def test_texts_with_classes_stay_classification(columns):
    assert _recognised(columns) == "text-classification"


def test_naming_source_and_target_is_enough_to_mean_translation():
    columns = {"formal": SHORT, "casual": LONG}
    assert _recognised(columns, source="formal", target="casual") == "translation"
    assert _recognised({"a": SHORT, "tldr": LONG}, source="a", target="tldr") == "summarization"


def test_the_first_language_is_the_source_and_the_way_round_is_said():
    found = choose_translation(_tables({"en": SHORT, "fr": LONG}), None, None)
    assert (found.source, found.target) == ("en", "fr")
    assert found.languages == ("English", "French")
    assert "--source fr --target en" in found.notes[0]


def test_with_one_side_named_the_other_is_what_is_left():
    tables = _tables({"en": SHORT, "fr": LONG})
    assert choose_translation(tables, "fr", None)[:2] == ("fr", "en")
    assert choose_translation(tables, None, "en")[:2] == ("fr", "en")
    tables = _tables({"article": SHORT, "blurb": LONG})
    assert choose_summarised(tables, None, "blurb")[:2] == ("article", "blurb")


def test_three_languages_are_a_question():
    tables = _tables({"en": SHORT, "fr": LONG, "de": SHORT})
    with pytest.raises(DataError, match=r"3 columns named after languages.*--source en --target"):
        choose_translation(tables, None, None)


@pytest.mark.parametrize("choose", [choose_translation, choose_summarised])
def test_a_missing_column_is_named_with_the_nearest(choose):
    tables = _tables({"article": SHORT, "summary": LONG})
    with pytest.raises(DataError, match=r"no column 'sumary' in df.*Did you mean --target summary"):
        choose(tables, None, "sumary")


def test_one_column_for_both_is_refused():
    with pytest.raises(DataError, match=r"--source and --target both name 'en'.*Choose two"):
        choose_translation(_tables({"en": SHORT, "fr": LONG}), "en", "en")


def test_columns_that_say_nothing_are_a_question():
    with pytest.raises(DataError, match=r"no column to translate from.*--source a --target b"):
        choose_translation(_tables({"a": SHORT, "b": LONG}), None, None)
    with pytest.raises(DataError, match=r"no column to take as summary was recognised in df"):
        choose_summarised(_tables({"article": SHORT, "number": [1, 2]}), None, None)


def test_translations_in_objects_become_columns():
    rows = [{"id": 1, "translation": {"en": "open", "fr": "ouvrir"}}]
    flat = flatten_pairs(_tables(rows).splits["train"])
    assert flat.to_pylist() == [{"id": 1, "en": "open", "fr": "ouvrir"}]


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_translations_in_objects_are_read_from_files(tmp_path, suffix):
    import json

    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [{"translation": {"en": f"open {i}", "fr": f"ouvrir {i}"}} for i in range(4)]
    path = tmp_path / f"pairs.{suffix}"
    if suffix == "parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    else:
        path.write_text("\n".join(map(json.dumps, rows)))
    tables = load_tables(str(path))
    task = choose_task(None, tables, NOTHING)
    assert task.name == "translation"
    prepared = task.prepare(tables, NOTHING, validation=False)
    assert prepared.splits["train"]["target"].to_pylist() == [f"ouvrir {i}" for i in range(4)]
