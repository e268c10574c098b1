import pytest

from nbtransfer.errors import DataError, SpecError


@pytest.fixture
def shown(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "nbtransfer.panels.data_panel.show_dataset",
        lambda data, **options: seen.append((data, options)),
    )
    return seen


def test_data_and_options_are_handed_on(cells, shown, rows):
    cells.names["films"] = rows
    cells.ok("%dataset films --text review --label stars --max-length 64 --model demo:bert-tiny")
    ((data, options),) = shown
    assert data is rows
    assert options == {
        "name": "films",
        "columns": {"text": "review", "label": "stars"},
        "max_length": 64,
        "model": "demo:bert-tiny",
    }


def test_no_model_counts_words(cells, shown):
    cells.ok("%dataset demo:tweets --model none")
    assert shown == [("demo:tweets", {"name": None, "columns": {}, "model": None})]


@pytest.mark.parametrize(
    ("line", "kind", "message"),
    [
        ("", DataError, "%dataset needs DATA. There is: films, demo:tweets."),
        ("flims", DataError, "Did you mean films?"),
        ("films --txt review", SpecError, "Did you mean --text?"),
        ("films --max-length long", SpecError, "--max-length 'long': not a whole number"),
    ],
)
def test_a_mistake_is_named(cells, shown, rows, line, kind, message):
    cells.names["films"] = rows
    error = cells.run(f"%dataset {line}").error
    assert isinstance(error, kind) and message in str(error)
