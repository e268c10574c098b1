"""Tests of `%finetune ... --adapt CORPUS`: the two plans, the code, completion, the refusals."""

from __future__ import annotations

import pytest

from nbtransfer.errors import DataError, ModelError, SpecError
from nbtransfer.magics.candidates import find_candidates
from nbtransfer.magics.evaluate import evaluate
from nbtransfer.magics.finetune import finetune

TEXTS = [f"the quick fox number {i} reads the log" for i in range(40)]
ROWS = [{"text": f"text {i} is {'good' if i % 2 else 'bad'}", "label": i % 2} for i in range(30)]
NAMES = {"texts": TEXTS, "rows": ROWS, "number": 3}


def test_the_plan_shows_both_stages_with_their_lines(capsys):
    line = "demo:bert-tiny rows --adapt texts --adapt-epochs 0.5 --lr 1e-3"
    assert finetune(f"{line} --plan", None, NAMES) is None
    out = capsys.readouterr().out
    first, second = out.index("Plan, stage 1 of 2"), out.index("Plan, stage 2 of 2")
    assert first < out.index("%pretrain demo:bert-tiny texts --epochs 0.5") < second
    both = "%finetune demo:bert-tiny rows --lr 1e-3 --adapt texts --adapt-epochs 0.5"
    assert second < out.index(both)


def test_as_code_is_the_call_that_does_the_same(cells):
    cells.names.update(NAMES)
    line = "demo:bert-tiny rows --adapt texts --adapt-epochs 2 --as-code"
    shown = cells.ok(f"%finetune {line}").shown
    assert "nt.finetune('demo:bert-tiny', rows, adapt=texts, adapt_epochs=2)" in shown
    shown = cells.ok("%finetune demo:bert-tiny rows --adapt texts --adapt-lr 1e-3 --as-code").shown
    assert "adapt=texts, adapt_learning_rate=1e-3)" in shown
    shown = cells.ok("%finetune demo:bert-tiny rows --adapt 'notes/*.txt' --as-code").shown
    assert "adapt='notes/*.txt')" in shown


def test_a_corpus_is_completed_as_pretrain_completes_it():
    _, found = find_candidates("finetune", "demo:bert-tiny rows --adapt ", None, NAMES)
    assert found[0] == "demo:python-docs" and "rows" in found
    assert found == find_candidates("pretrain", "demo:bert-tiny ", None, NAMES)[1]


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("demo:bert-tiny rows --adapt", SpecError, r"--adapt needs a value: --adapt corpus\.txt"),
        ("demo:bert-tiny rows --adapt-epochs 2", SpecError, r"--adapt-epochs needs a corpus"),
        ("--adapt texts", SpecError, r"--adapt needs a model and data"),
        ("demo:bert-tiny rows --adapt texts --background", SpecError, r"leave out --background"),
        ("--resume r --adapt texts", SpecError, r"--resume takes a run as it is.*--adapt"),
        ("demo:bert-tiny rows --adapt number --plan", DataError, r"number is an int"),
        ("demo:bert-tiny rows --adapt gone.txt --plan", DataError, r"no file 'gone\.txt'"),
        ("demo:bert-tyni rows --adapt texts --plan", ModelError, r"Did you mean 'demo:bert-tiny'"),
        ("demo:bert-tiny rows --adapt texts --adapt-epochs 0 --plan", SpecError, r"adapt_epochs"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(line, error, message):
    with pytest.raises(error, match=message):
        finetune(line, None, NAMES)


def test_forgetting_takes_a_run_and_nothing_else(tmp_path, monkeypatch):
    from tests.runs.folders import make_run

    run = make_run(tmp_path, "done")
    with pytest.raises(SpecError, match=r"leave out DATA and --split"):
        evaluate("run rows --forgetting --split test", None, {"run": run, **NAMES})
