"""Tests of nbtransfer.adaptation: what each stage is asked, and what is refused."""

from __future__ import annotations

import pytest

import nbtransfer as nt
from nbtransfer import api
from nbtransfer.runs.run import Run

TEXTS = [
    f"document number {i} speaks of rivers and of the {i} towns beside them" for i in range(30)
]
ROWS = [{"text": f"text {i} is {'good' if i % 2 else 'bad'}", "label": i % 2} for i in range(30)]


def asked(tmp_path, epochs=None, rate=None, **keywords):
    return api.plan_adaptation(
        "demo:bert-tiny",
        ROWS,
        TEXTS,
        keywords=keywords,
        epochs=epochs,
        learning_rate=rate,
        runs_dir=tmp_path,
    )


def test_batches_seed_and_machine_hold_for_both_stages_and_the_rest_for_one(tmp_path):
    found = asked(
        tmp_path,
        epochs=2,
        rate=3e-4,
        batch_size=4,
        seed=7,
        use_cpu=True,
        learning_rate=1e-3,
        num_train_epochs=9,
        technique="head",
        whole_word_mask=True,
    )
    first, second = found.first.spec, found.second.spec
    for spec in (first, second):
        assert (spec.per_device_train_batch_size, spec.seed, spec.use_cpu) == (4, 7, True)
    assert (first.num_train_epochs, second.num_train_epochs) == (2, 9)
    assert (first.learning_rate, second.learning_rate) == (3e-4, 1e-3)
    assert (first.technique, second.technique) == ("full", "head")
    assert (first.whole_word_mask, second.whole_word_mask) == (True, False)
    assert (first.task, first.data) == ("masked-language-modeling", "corpus")
    assert found.options == (
        ("adapt", "corpus"),
        ("adapt_epochs", 2),
        ("adapt_learning_rate", 3e-4),
        ("whole_word_mask", True),
    )


def test_the_first_stage_is_named_after_the_second_and_knows_what_follows(tmp_path):
    found = asked(tmp_path, name="mine", learning_rate=1e-3)
    assert found.first.spec.name == "mine-adapted"
    line = found.first.plan.follow_up
    assert line.startswith("%finetune mine-adapted data --lr 1e-3 --name mine --runs-dir ")
    assert "Stage 1 of 2" in found.first.notes[0]
    drawn = asked(tmp_path)
    assert drawn.first.spec.name in drawn.first.plan.follow_up and drawn.second.spec.name is None


def test_random_weights_are_for_the_first_stage_alone(tmp_path):
    found = asked(tmp_path, from_scratch=True)
    assert (found.first.spec.from_scratch, found.second.spec.from_scratch) == (True, False)


def test_impossible_options_are_named_as_they_were_typed(tmp_path):
    with pytest.raises(nt.SpecError, match="adapt_epochs=-1 must be"):
        asked(tmp_path, epochs=-1)
    with pytest.raises(nt.SpecError, match="adapt_learning_rate=7 must be"):
        asked(tmp_path, rate=7)


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"adapt": TEXTS, "wait": False}, "leave out wait=False.*nt.pretrain"),
        ({"adapt": TEXTS, "resume": "r"}, "resume takes a run as it is"),
        ({"adapt_epochs": 2}, "need a corpus"),
        ({"adapt": TEXTS, "keep_head": True}, "keep_head and adapt do not go together"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(keywords, message):
    with pytest.raises(nt.SpecError, match=message):
        nt.finetune("demo:bert-tiny", ROWS, **keywords)


def test_the_plan_of_two_stages_is_shown_with_the_lines_that_ask_for_them(tmp_path, capsys):
    from nbtransfer.panels.plan_view import show_plans

    show_plans(asked(tmp_path, epochs=2))
    out = capsys.readouterr().out
    assert out.index("stage 1 of 2") < out.index("%pretrain demo:bert-tiny corpus --epochs 2")
    assert out.index("stage 2 of 2") < out.index(
        "%finetune demo:bert-tiny data --adapt corpus --adapt-epochs 2"
    )


def test_measuring_that_is_interrupted_costs_the_run_nothing(tmp_path, monkeypatch, capsys):
    def interrupt(run):
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "forgetting", interrupt)
    api._gauge(Run(tmp_path / "calm-heron"), show=False)
    assert "calm-heron --forgetting" in capsys.readouterr().err
