"""Written texts side by side, escaped, as a table in the record, the live panel and the report."""

from __future__ import annotations

from nbtransfer.panels.examples_view import (
    examples_table,
    latest_examples,
    samples_lines,
    samples_table,
)
from nbtransfer.panels.report_panel import report_card
from nbtransfer.runs.report import Report
from nbtransfer.runs.state import EvaluationRow, RunState
from nbtransfer.tasks.findings import Example, Sample
from nbtransfer.tasks.metric_words import signature_lines

EXAMPLE = Example("<b>open</b> it", "ouvrez-le", "fermez-le", 43.2, 7)


def _row(*examples):
    return EvaluationRow(20, 1.0, {"eval_chrf": 40.0}, 1.0, 2.0, True, "schedule", examples)


def test_source_target_and_output_stand_side_by_side_and_escaped():
    html = str(examples_table([EXAMPLE]))
    assert html.index("&lt;b&gt;open") < html.index("ouvrez-le") < html.index("fermez-le")
    assert "<b>" not in html
    assert "43" in html


def test_an_empty_output_is_said_to_be_nothing():
    assert "(nothing)" in str(examples_table([EXAMPLE._replace(output="")]))


def test_long_texts_are_cut():
    html = str(examples_table([EXAMPLE._replace(source="word " * 400)]))
    assert len(html) < 1500 and "…" in html


def test_the_last_evaluation_is_shown_and_without_texts_nothing():
    state = RunState()
    assert latest_examples(state) is None
    state.evaluations.append(_row())
    assert latest_examples(state) is None
    state.evaluations.append(_row(EXAMPLE))
    assert "after step 20" in str(latest_examples(state))


def _said(step, *said):
    samples = tuple(Sample("the <i>[?]</i> of it", "cap & al", text) for text in said)
    row = EvaluationRow(step, 1.0, {"eval_loss": 1.0}, None, 2.0, False, "schedule", ())
    return row._replace(samples=samples)


def test_what_a_model_said_stands_beside_what_it_said_before_and_is_escaped():
    state = RunState()
    assert samples_table(state) is None
    state.evaluations += [_said(step, f"<b>at {step}</b>", "") for step in range(0, 60, 10)]
    html = str(latest_examples(state))
    heads = [f"step {step}" for step in (30, 40, 50)]
    assert [html.index(head) for head in ("before", *heads)] == sorted(
        html.index(head) for head in ("before", *heads)
    )
    assert "step 10" not in html and "step 20" not in html
    assert "&lt;b&gt;at 50" in html and "&lt;i&gt;[?]" in html and "cap &amp; al" in html
    assert "<b>" not in html and "<i>" not in html
    assert "(nothing)" in html
    assert "[?] is the hidden token" in html


def test_plain_text_says_the_same():
    state = RunState()
    assert samples_lines(state) == []
    state.evaluations += [_said(0, "a"), _said(10, "b"), _said(20, "")]
    assert samples_lines(state) == [
        "“the <i>[?]</i> of it”",
        "    what stands there: cap & al",
        "    before: a",
        "    step 10: b",
        "    step 20: (nothing)",
    ]


def test_an_evaluation_without_samples_does_not_take_the_others_away():
    state = RunState()
    state.evaluations += [_said(0, "first"), _said(10), _said(20, "one", "too many")]
    html = str(samples_table(state))
    assert "first" in html and "step 10" not in html and "too many" not in html


def test_metrics_counted_alike_share_a_line():
    signatures = {"rouge1": "rouge-score 0.1.2", "rouge2": "rouge-score 0.1.2", "bleu": ""}
    assert signature_lines(signatures) == ["ROUGE-1, ROUGE-2: rouge-score 0.1.2"]


def test_the_report_shows_examples_with_signatures_instead_of_mistakes():
    report = Report(
        run_id="swift-otter-0042",
        name="validation",
        split="validation",
        num_rows=3,
        metrics={"eval_chrf": 43.2, "eval_bleu": 3.0, "eval_loss": 2.0},
        duration_s=1.0,
        task="translation",
        examples=(EXAMPLE,),
        signatures={"chrf": "nc:6|version:2.6.0"},
    )
    html = str(report_card(report))
    assert "fermez-le" in html and "chrF: nc:6|version:2.6.0" in html
    assert "mistakes" not in html
    assert "target: ouvrez-le" in str(report)
    assert Report.from_json(report.to_json()) == report
