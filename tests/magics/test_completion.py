import json
from types import SimpleNamespace

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nbtransfer.magics import completion
from nbtransfer.magics.completion import Place, complete, find_place
from nbtransfer.runs.run import Run
from tests.runs.folders import make_run


@pytest.fixture
def notebook(cells):
    """A notebook with a frame, rows and a text."""
    cells.names.update(
        df=pd.DataFrame({"review": ["a"], "my label": ["b"]}),
        held=[{"review": "a", "my label": "b"}],
        note="a text",
        number=3,
    )
    return cells


def words(cells, text):
    """The last words that completion offers, the text before them taken off."""
    found = cells.complete(text)
    return [f.removeprefix(text.rpartition(" ")[0] + " ") for f in found]


@pytest.mark.parametrize(
    ("text", "some"),
    [
        ("%finetune ", ["demo:minilm", "demo:bert-tiny"]),
        ("%finetune demo:", ["demo:minilm"]),
        ("%finetune demo:minilm ", ["df", "held", "demo:tweets"]),
        ("%finetune demo:minilm d", ["df", "demo:tweets"]),
        ("%finetune demo:minilm df ", ["--text", "--label", "--epochs", "--plan"]),
        ("%finetune demo:minilm df --tech", ["--technique"]),
        ("%finetune demo:minilm df --num", ["--num-train-epochs"]),
        ("%finetune demo:minilm df --num_t", ["--num_train_epochs"]),
        ("%finetune demo:minilm df --technique ", ["full", "head", "features", "lora"]),
        ("%finetune demo:minilm df --technique=h", ["--technique=head"]),
        ("run = %finetune demo:minilm df --precision b", ["bf16"]),
        ("%finetune demo:minilm df --metric ", ["f1_macro", "accuracy", "loss"]),
        ("%finetune demo:minilm df --text ", ["review", "'my label'"]),
        ("%finetune demo:minilm df --label m", ["'my label'"]),
        ("%finetune demo:minilm held --text r", ["review"]),
        ("%finetune demo:minilm df --validation ", ["no", "validation", "held"]),
        ("%finetune demo:minilm df --class-weights ", ["balanced"]),
        ("%dataset ", ["df", "demo:tweets"]),
        ("%dataset df --label ", ["review", "'my label'"]),
        ("%dataset df --model ", ["demo:minilm"]),
        ("%evaluate df --text ", ["review"]),
        ("%predict df.r", ["df.review"]),
        ("%predict no", ["note"]),
        ("%runs ", ["show", "stop", "rm"]),
        ("%model d", ["demo:minilm"]),
        ("%%finetune demo:minilm ", ["df", "demo:tweets"]),
    ],
)
def test_tab_offers(notebook, text, some):
    offered = words(notebook, text)
    assert set(some) <= set(offered)
    assert "number" not in offered and "abs" not in offered


def test_what_is_given_is_not_offered_again(notebook):
    offered = words(notebook, "%finetune demo:minilm df --epochs 3 --")
    assert "--epochs" not in offered and "--lr" in offered


def test_quotes_that_were_opened_are_closed(notebook):
    assert notebook.complete("%finetune demo:minilm df --label 'my") == [
        "%finetune demo:minilm df --label 'my label'"
    ]


def test_body_of_a_cell_is_completed_from_what_stands_before(notebook):
    cell = "%%finetune demo:minilm df\n# the text's column\n--text review\n--label "
    assert set(notebook.complete(cell)) == {cell + "review", cell + "'my label'"}
    assert "--lr" in [c.rpartition("\n")[2] for c in notebook.complete("%%finetune m df\n--l")]


def test_only_the_cursors_line_counts_in_a_cell(notebook):
    cell = "%%finetune demo:minilm df\n--tech\n--epochs 2"
    cursor = len("%%finetune demo:minilm df\n--tech")
    assert notebook.complete(cell, cursor) == ["%%finetune demo:minilm df\n--technique"]


def test_a_line_magic_in_the_middle_of_a_cell_is_completed(notebook):
    assert notebook.complete("x = 1\n%finetune demo:minilm df --tech") == [
        "x = 1\n%finetune demo:minilm df --technique"
    ]


@pytest.mark.parametrize("text", ["x = 5 % finetune ", "%finetuned demo", "%%evaluate a\n--", "d"])
def test_other_code_is_left_to_ipython(text):
    lines = text.split("\n")
    assert find_place(text, len(lines) - 1, len(lines[-1])) is None


def test_runs_are_offered_by_name_and_variable(notebook, runs_dir):
    notebook.names["mine"] = make_run(runs_dir)
    assert isinstance(notebook.names["mine"], Run)
    for line in ("%evaluate ", "%runs stop ", "%finetune --resume ", "%finetune --attach "):
        assert {"mine", "calm-heron-0712"} <= set(words(notebook, line)), line


def test_files_and_their_columns_are_offered(notebook, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "films.csv").write_text("kritik;note\nx;1\n")
    (tmp_path / "lines.jsonl").write_text(json.dumps({"body": "x", "grade": 1}) + "\n")
    (tmp_path / "notes.txt").write_text("x")
    assert "data/" in words(notebook, "%finetune demo:minilm da")
    assert words(notebook, "%finetune demo:minilm data/f") == ["data/films.csv"]
    assert complete(Place("finetune", "demo:minilm not"), notebook.names)[1] == []
    assert words(notebook, "%finetune demo:minilm data/films.csv --label ") == ["kritik", "note"]
    assert words(notebook, "%finetune demo:minilm lines.jsonl --label ") == ["body", "grade"]
    assert words(notebook, "%predict data/f") == ["data/films.csv"]
    assert words(notebook, "%predict lines.jsonl --column ") == ["body", "grade"]
    assert "lines.jsonl" in words(notebook, "%predict demo:tweets --output li")


class Awkward:
    """A variable that answers every question with an error."""

    __module__ = "pandas"

    def __len__(self):
        raise ValueError("no length")

    @property
    def columns(self):
        raise TypeError("no columns")


def test_a_variable_that_cannot_be_looked_at_does_no_harm(notebook):
    notebook.names["odd"] = type("DataFrame", (Awkward,), {"__module__": "pandas"})()
    assert complete(Place("finetune", "demo:minilm "), notebook.names) == ("", [])


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="abd-_=:'\"\\ /.#%\n\0é", max_size=30), st.booleans())
def test_completion_never_raises(text, in_body):
    names = {"df": [{"a b": 1}], "ba": "x"}
    place = Place("finetune", "demo:minilm df", text) if in_body else Place("finetune", text)
    fragment, found = complete(place, names)
    assert text.endswith(fragment)
    assert all(isinstance(word, str) for word in found)


def test_an_old_ipython_completes_first_lines_through_its_hook(notebook):
    hooks = {}
    shell = SimpleNamespace(
        user_ns=notebook.names,
        magics_manager=notebook.shell.magics_manager,
        set_hook=lambda name, hook, str_key: hooks.update({(name, str_key): hook}),
    )
    completion._install_hook(shell)
    line = "%finetune demo:minilm demo:tw"
    event = SimpleNamespace(text_until_cursor=line, line=line, symbol="demo:tw")
    assert hooks["complete_command", "%finetune"](None, event) == ["demo:tweets"]
    line = "%finetune demo:minilm df --technique=f"
    event = SimpleNamespace(text_until_cursor=line, line=line, symbol="f")
    assert hooks["complete_command", "%finetune"](None, event) == ["full", "features"]
    hooks_before = dict(hooks)
    completion._install_hook(shell)  # %reload_ext
    assert hooks == hooks_before
    shell.magics_manager = SimpleNamespace(magics={"line": {}})  # %unload_ext
    assert hooks["complete_command", "%finetune"](None, event) == []
