"""Tests of `%pretrain`: the task by the model's family, the plan, the code, the refusals."""

from __future__ import annotations

import pytest

from nbtransfer.errors import DataError, ModelError, SpecError
from nbtransfer.magics.arguments import parse
from nbtransfer.magics.candidates import find_candidates
from nbtransfer.magics.pretrain import pretrain

TEXTS = [f"the quick fox number {i} reads the log" for i in range(40)]
NAMES = {"texts": TEXTS, "number": 3}


def test_as_code_is_the_call_that_does_the_same(cells):
    cells.names["texts"] = TEXTS
    line = "demo:bert-tiny texts --epochs 2 --whole-word --mask-share 0.2 --as-code"
    assert cells.ok(f"%pretrain {line}").shown == (
        "import nbtransfer as nt\n\n"
        "run = nt.pretrain(\n"
        "    'demo:bert-tiny',\n"
        "    texts,\n"
        "    num_train_epochs=2,\n"
        "    mlm_probability=0.2,\n"
        "    whole_word_mask=True,\n"
        ")"
    )


def test_the_plan_says_blocks_and_the_line_that_starts_it(capsys):
    pretrain("demo:bert-tiny texts --plan", None, NAMES)
    out = capsys.readouterr().out
    assert "masked-language-modeling" in out
    assert "36 documents become 36 blocks" in out
    assert "%pretrain demo:bert-tiny texts" in out and "--task" not in out


def test_the_body_of_a_cell_holds_options():
    asked = parse("pretrain", "demo:bert-tiny texts", "--epochs 2\n--whole-word\n")
    assert asked.keywords == {"num_train_epochs": 2, "whole_word_mask": True}


def test_help_lists_what_language_models_have_and_nothing_else(capsys):
    pretrain("--help", None, {})
    out = capsys.readouterr().out
    assert "--mask-share" in out and "--from-scratch" in out
    assert "--label" not in out and "--class-weights" not in out
    assert "--technique" in out and "--lora-r" in out


@pytest.mark.parametrize(
    ("line", "error", "message"),
    [
        ("demo:bert-tiny", SpecError, "%pretrain needs MODEL and CORPUS"),
        ("demo:bert-tiny texts --label x", SpecError, "no option '--label'"),
        ("demo:bert-tiny texts --mask-share 2", SpecError, "--mask-share 2 must be a number"),
        ("demo:bert-tiny number", DataError, "number is an int, which cannot be read as data"),
        ("demo:bert-tiny missing.txt", DataError, "no file 'missing.txt'"),
        ("demo:bert-tyni texts", ModelError, "Did you mean 'demo:bert-tiny'?"),
        ("demo:bert-tiny texts --plan --as-code", SpecError, "do not go together"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(line, error, message):
    with pytest.raises(error) as caught:
        pretrain(line, None, NAMES)
    assert message in str(caught.value)


def test_corpora_complete_with_the_demo_and_text_files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("x")
    _, found = find_candidates("pretrain", "demo:bert-tiny ", None, {})
    assert found[0] == "demo:python-docs" and "notes.txt" in found
