"""Tests of nbtransfer.panels.run_card."""

import html
import re

import pytest

from nbtransfer.panels.run_card import card_bundle
from nbtransfer.runs.files import write_json
from tests.panels.live_runs import LiveRun, about


@pytest.fixture
def run(runs_dir):
    return LiveRun(runs_dir / "calm-heron").start(10)


def bundle_of(run, **changes):
    return card_bundle(about(**changes), run.state(), run.status, run.dir).data


def without_styles(page):
    """The card as a page shows it that keeps neither styles nor scripts."""
    return " ".join(re.sub(r"<style>.*?</style>|<[^>]*>", " ", page, flags=re.S).split())


def test_a_finished_run_says_what_is_kept_and_what_to_type_next(run):
    run.evaluation(10)
    run.complete(10)
    for text in bundle_of(run).values():
        words = without_styles(text).replace("&quot;", '"')
        assert "Kept: the best model, from step 10 (macro F1 0.790)" in words
        assert '%evaluate calm-heron %predict calm-heron "a text of yours"' in words


def test_a_failed_run_says_why_and_how_to_go_on(run):
    run.evaluation(10)
    run.fail(12)
    for text in bundle_of(run).values():
        words = without_styles(text)
        assert "Failed at step 12. RunError: the loss is NaN. Lower the learning rate." in words
        assert "%finetune --resume calm-heron" in words
        assert "%predict" not in words


def test_a_lost_run_without_a_checkpoint_says_so(run):
    words = card_bundle(about(), run.state(), "lost", run.dir).data["text/plain"]
    assert "There is no checkpoint yet." in words
    assert "%finetune --resume calm-heron" in words


def test_a_run_in_progress_has_no_ending(run):
    assert "%" not in bundle_of(run)["text/plain"]


def test_the_card_reads_well_without_styles(run):
    run.evaluation(10)
    words = without_styles(bundle_of(run)["text/html"])
    assert "calm-heron demo:minilm → df" in words
    assert "step 10 of 30 epoch 1.0 of 3" in words
    assert "training loss validation loss accuracy macro F1 time" in words
    assert "1 best 0.450 0.400 80.0 % 0.790" in words


def test_the_card_has_no_controls_and_no_drawing_and_is_small(run):
    for step in range(1, 200):
        run.evaluation(step)
    html = bundle_of(run)["text/html"]
    assert not re.search(r"<(svg|button|input|script)", html)
    assert len(html) < 30_000


def test_text_from_outside_is_escaped(run):
    run.log(
        "run_failed",
        step=1,
        error_type="E",
        message="<script>alert(1)</script>",
        advice="<img src=x>",
        traceback="",
    )
    html = bundle_of(run, name="<b>", data="<iframe>")["text/html"]
    assert not re.search(r"<(script|img|iframe)", html)


def test_a_run_that_reads_pairs_says_how_to_give_one(run):
    run.evaluation(10)
    run.complete(10)
    text = bundle_of(run, reads_pairs=True)["text/plain"]
    assert 'pairs = [("a text of yours", "and another")]' in text
    assert "%predict calm-heron pairs" in text


def test_a_run_that_answers_questions_says_how_to_ask_one(run):
    run.evaluation(10)
    run.complete(10)
    text = bundle_of(run, task="question-answering")["text/plain"]
    assert '%predict calm-heron --question "Who ...?" --context "a text of yours"' in text


def test_a_run_lost_elsewhere_says_where_it_was_seen(run):
    write_json(run.paths.process, {"pid": 7, "host": "<b>pod-7</b>"})
    for text in card_bundle(about(), run.state(), "lost", run.dir).data.values():
        assert "The worker, last seen on '<b>pod-7</b>', is gone" in html.unescape(text)
