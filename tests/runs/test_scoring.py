"""Tests of nbtransfer.runs.scoring, with a worker that answers at once or not at all."""

from __future__ import annotations

import signal
from contextlib import nullcontext

import numpy as np
import pyarrow as pa
import pytest

from nbtransfer.errors import RunError
from nbtransfer.runs import scoring
from nbtransfer.runs.events import EventWriter
from nbtransfer.runs.files import read_json, read_table, write_table
from nbtransfer.runs.interrupts import InterruptCounter
from nbtransfer.runs.paths import EvaluationPaths
from nbtransfer.runs.report import write_report
from nbtransfer.runs.scoring import evaluate_rows, last_words, predict_rows, require_model
from tests.runs.folders import begun, completed, failed, make_run, write_events
from tests.runs.reports import answers_table, class_report

ROWS = pa.table(
    {
        "text": ["good film", "bad film"],
        "label": pa.array([1, 0], pa.int32()),
        "row": pa.array([0, 1], pa.int64()),
    }
)
TEXTS = ROWS.select(["text"])


def append(paths, *events):
    """Write events to an evaluation's log."""
    writer = EventWriter(paths.events)
    for name, fields in events:
        writer.append(name, **fields)
    writer.close()


class FakeWorker:
    """As launch.Worker, to the one who waits."""

    is_alive = True
    is_idle = True
    killed = False

    def kill(self):
        self.killed = True


@pytest.fixture(autouse=True)
def scratch(tmp_path, monkeypatch):
    """Where the system keeps what is temporary; each test's own."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(scoring.tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def run(runs_dir):
    made = make_run(runs_dir)
    made.paths.model_dir.mkdir()
    return made


@pytest.fixture
def worker(monkeypatch):
    """Lets a test say what the worker does: `worker(do)`, where do(paths, request) -> event."""

    def answers_with(do):
        def submit(folder, log):
            paths = EvaluationPaths(folder)
            assert log == paths.log
            answer = FakeWorker()
            event = do(paths, read_json(paths.request))
            if event is None:
                answer.is_alive = False
            else:
                started = ("worker_started", {"pid": 1, "process_start": 0.0, "warm": True})
                append(paths, started, event)
            return answer

        monkeypatch.setattr(scoring, "submit_scoring", submit)

    return answers_with


def complete(paths, request):
    """Answer with the probabilities 0.2 and 0.8 for every row."""
    rows = read_table(paths.inputs)
    probabilities = np.tile([0.2, 0.8], (rows.num_rows, 1))
    if "label" not in rows.column_names:
        write_table(
            paths.predictions, pa.table({"p_bad": probabilities[:, 0], "p_good": [0.8] * 2})
        )
        return "job_completed", {}
    answers = {
        "labels": ("bad", "good"),
        "texts": rows["text"].to_pylist(),
        "actual": rows["label"].to_numpy(),
        "probabilities": probabilities,
        "rows": rows["row"].to_numpy(),
    }
    report = class_report(
        run_id="calm-heron-0712",
        name=paths.dir.name,
        split=request["split"],
        majority_label=0,
        loss=0.5,
        duration_s=0.1,
        **answers,
    )
    write_report(report, paths, answers_table(**answers))
    return "job_completed", {}


def test_an_evaluation_is_kept_under_its_name(run, worker):
    worker(complete)
    report = evaluate_rows(run, ROWS, name="other", split="other (test)")
    assert (report.name, report.split) == ("other", "other (test)")
    assert report.metrics["eval_accuracy"] == 0.5
    assert run.report("other") == report


def test_probabilities_come_back_by_class_and_leave_no_folder(run, worker, scratch):
    worker(complete)
    found = predict_rows(run, TEXTS)
    assert found.to_pylist() == [{"p_bad": 0.2, "p_good": 0.8}] * 2
    assert list(scratch.iterdir()) == [] and not (run.dir / "evaluation").exists()


def test_two_predictions_use_two_folders_that_nobody_else_can_read(run, worker):
    folders = []

    def answer(paths, request):
        folders.append(paths.dir)
        assert paths.dir.parent.stat().st_mode & 0o077 == 0
        return complete(paths, request)

    worker(answer)
    predict_rows(run, TEXTS)
    predict_rows(run, TEXTS)
    assert len(set(folders)) == 2


def test_an_interrupt_ends_the_worker_with_its_job_and_leaves_no_folder(
    run, worker, scratch, monkeypatch
):
    started = []

    def interrupt(done, total):
        raise KeyboardInterrupt

    def tells(paths, request):
        append(paths, ("rows_read", {"done": 1, "total": 2}))
        return complete(paths, request)

    worker(tells)
    submit = scoring.submit_scoring
    monkeypatch.setattr(
        scoring, "submit_scoring", lambda *a: (started.append(submit(*a)), started[-1])[1]
    )
    with pytest.raises(KeyboardInterrupt), scoring.progress_told(interrupt):
        predict_rows(run, TEXTS)
    assert started[0].killed and list(scratch.iterdir()) == []


def test_the_answer_is_there_once_the_worker_takes_the_next_job(run, worker, monkeypatch):
    """Otherwise the next part of many rows would go to a second worker, which loads all anew."""
    looks = []

    class Busy(FakeWorker):
        @property
        def is_idle(self):
            looks.append(len(looks))
            return len(looks) > 3

    worker(complete)
    submit = scoring.submit_scoring
    monkeypatch.setattr(scoring, "submit_scoring", lambda *a: (submit(*a), Busy())[1])
    assert predict_rows(run, TEXTS).num_rows == 2
    assert len(looks) == 4


def test_without_a_place_for_temporary_files_it_says_what_to_do(run, worker, monkeypatch):
    def nowhere(prefix):
        raise FileNotFoundError(2, "No usable temporary directory found")

    monkeypatch.setattr(scoring.tempfile, "mkdtemp", nowhere)
    with pytest.raises(RunError, match=r"no folder for temporary files .*TMPDIR"):
        predict_rows(run, TEXTS)


def test_parts_count_as_one(run, worker):
    def tells(paths, request):
        append(paths, ("rows_read", {"done": 2, "total": 2}))
        return complete(paths, request)

    worker(tells)
    told = []
    with scoring.progress_told(lambda *counts: told.append(counts)):
        for before in (0, 2):
            with scoring.part_of(5, before):
                predict_rows(run, TEXTS)
        with scoring.part_of(None, 4):
            predict_rows(run, TEXTS)
        predict_rows(run, TEXTS)
    assert told == [(2, 5), (4, 5), (6, None), (2, 2)]


def test_the_request_names_the_run_and_the_split(run, worker):
    seen = []
    worker(lambda paths, request: (seen.append(request), ("job_failed", FAILURE))[1])
    with pytest.raises(RunError):
        evaluate_rows(run, ROWS, name="other", split="other (test)")
    assert seen == [{"v": 1, "run_dir": str(run.dir), "split": "other (test)", "wanted": "answers"}]


FAILURE = {
    "error_type": "OutOfMemoryError",
    "message": "the GPU is full.",
    "advice": "Try again on the CPU.",
    "traceback": "",
}


@pytest.mark.parametrize(
    ("advice", "end"), [("Try it.", "the GPU is full. Try it."), ("", "the GPU is full.")]
)
def test_a_failed_job_raises_its_words_and_leaves_no_folder(run, worker, scratch, advice, end):
    worker(lambda paths, request: ("job_failed", {**FAILURE, "advice": advice}))
    with pytest.raises(RunError) as caught:
        predict_rows(run, TEXTS)
    assert str(caught.value) == f"run 'calm-heron-0712': {end}"
    assert list(scratch.iterdir()) == []


def test_a_worker_that_ends_without_an_answer_is_quoted(run, worker):
    def die(paths, request):
        paths.log.write_text("loading\nKilled\n")

    worker(die)
    with pytest.raises(RunError, match=r"Its last words: 'Killed'\. Call again"):
        predict_rows(run, TEXTS)


def test_an_answer_written_just_before_the_end_counts(run, worker, monkeypatch):
    def submit(folder, log):
        paths = EvaluationPaths(folder)
        complete(paths, read_json(paths.request))
        append(paths, ("job_completed", {}))
        answer = FakeWorker()
        answer.is_alive = False
        return answer

    monkeypatch.setattr(scoring, "submit_scoring", submit)
    assert predict_rows(run, TEXTS).num_rows == 2


def test_an_earlier_report_of_the_name_stays_until_the_new_one_is_whole(run, worker):
    worker(complete)
    earlier = evaluate_rows(run, ROWS, name="other", split="test")
    seen = []

    def fail(paths, request):
        seen.append(run.report("other"))
        return "job_failed", FAILURE

    worker(fail)
    with pytest.raises(RunError, match="the GPU is full"):
        evaluate_rows(run, ROWS, name="other", split="other")
    assert seen == [earlier] and run.report("other") == earlier
    worker(complete)
    later = evaluate_rows(run, ROWS, name="other", split="validation")
    assert run.report("other") == later != earlier
    assert [path.name for path in (run.dir / "evaluation").iterdir()] == ["other"]


@pytest.mark.parametrize("outer", [False, True])
def test_the_first_interrupt_ends_it_also_where_those_of_a_run_are_counted(run, worker, outer):
    def interrupt(done, total):
        signal.raise_signal(signal.SIGINT)

    def tells(paths, request):
        append(paths, ("rows_read", {"done": 1, "total": 2}))
        return complete(paths, request)

    worker(tells)
    with (
        InterruptCounter() if outer else nullcontext(),
        pytest.raises(KeyboardInterrupt),
        scoring.progress_told(interrupt),
    ):
        predict_rows(run, TEXTS)


def test_rows_in_hand_reach_the_worker_as_they_are(run, worker):
    seen = []
    worker(lambda p, r: (seen.append(read_table(p.inputs)), ("job_failed", FAILURE))[1])
    with pytest.raises(RunError):
        evaluate_rows(run, ROWS, name="other", split="other")
    assert seen[0].equals(ROWS)


@pytest.mark.parametrize(
    ("become", "match"),
    [
        (lambda run: None, "is still running. Wait for it, or stop it: %runs stop calm"),
        (begun, "is still running. Wait for it, or stop it: %runs stop calm"),
        (
            lambda run: write_events(begun(run), ("run_paused", {"step": 1})),
            "is paused. Stop it to keep a model: %runs stop calm",
        ),
        (
            lambda run: write_events(run, failed(3)),
            "failed and left no model. Go on with it: %finetune --resume calm",
        ),
        (
            lambda run: write_events(run, ("worker_started", {})),
            "lost its worker and left no model. Go on with it: %finetune --resume calm",
        ),
    ],
)
def test_a_run_without_a_model_says_what_to_do(runs_dir, become, match):
    run = make_run(runs_dir)
    become(run)
    with pytest.raises(RunError, match=match):
        require_model(run)


def test_a_run_with_a_model_can_be_used_whatever_became_of_it(run):
    require_model(run)
    write_events(run, completed(3))
    require_model(run)


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (None, "none."),
        ("", "none."),
        (" \n\n", "none."),
        ("a\nb\n", "'b'."),
        ("a\n\x1b[31mred\n", r"'\x1b[31mred'."),
    ],
)
def test_last_words_are_the_last_line_escaped(tmp_path, log, words):
    paths = EvaluationPaths(tmp_path)
    if log is not None:
        paths.log.write_text(log)
    assert last_words(paths) == words


def test_last_words_are_short(tmp_path):
    paths = EvaluationPaths(tmp_path)
    paths.log.write_text("x" * 10_000)
    assert len(last_words(paths)) == 203


def test_who_waits_is_told_how_many_rows_are_read(run, worker):
    def tells(paths, request):
        append(paths, ("rows_read", {"done": 1, "total": 2}))
        return complete(paths, request)

    worker(tells)
    told = []
    with scoring.progress_told(lambda done, total: told.append((done, total))):
        predict_rows(run, TEXTS)
    predict_rows(run, TEXTS)  # outside, nobody is told
    assert told == [(1, 2)]
