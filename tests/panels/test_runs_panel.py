from nbtransfer.errors import RunError
from nbtransfer.panels import runs_panel
from nbtransfer.panels.runs_panel import run_row, runs_markup, runs_text, show_runs
from nbtransfer.spec import RunSpec


class FakeRun:
    def __init__(self, name="calm-heron-0712", status="completed", **metrics):
        self.id, self.status = name, status
        self.spec = RunSpec(model="demo:minilm", data="df")
        self._metrics = metrics

    def metrics(self):
        return self._metrics


class DamagedRun(FakeRun):
    def metrics(self):
        raise RunError("run 'x' is damaged: spec.json.")


def test_a_run_tells_its_main_metric_and_its_time():
    row = run_row(FakeRun(eval_f1_macro=0.8812, train_runtime_s=118.0))
    assert row == (
        "calm-heron-0712",
        "completed",
        "demo:minilm",
        "df",
        "macro F1 0.881",
        "1:58",
    )


def test_accuracy_is_a_percentage():
    run = FakeRun(eval_accuracy=0.5, eval_f1_macro=0.1)
    run.spec = RunSpec(model="m", data="d", metric_for_best_model="accuracy")
    assert run_row(run).metric == "accuracy 50.0 %"


def test_a_run_without_an_evaluation_has_empty_cells():
    row = run_row(FakeRun(status="running", train_runtime_s=0.0))
    assert (row.metric, row.time) == ("", "")


def test_a_damaged_folder_does_not_hide_the_others(monkeypatch):
    shown = []
    monkeypatch.setattr(runs_panel, "display", lambda data, raw: shown.append(data))
    show_runs([DamagedRun("broken"), FakeRun("whole")])
    text = shown[0]["text/plain"]
    assert "damaged" in text and "whole" in text
    assert shown[0]["text/html"].count("<tr>") == 3


def test_the_text_is_aligned_in_the_order_given():
    rows = [run_row(FakeRun("a-long-name")), run_row(FakeRun("b", "failed"))]
    lines = runs_text(rows).splitlines()
    assert lines[0].split()[:2] == ["name", "status"]
    assert lines[1].index("completed") == lines[2].index("failed") == lines[0].index("status")


def test_no_runs_say_how_to_start_one():
    assert "%finetune" in runs_text([])
    assert "%finetune" in runs_markup([])


def test_names_in_the_table_cannot_become_markup():
    run = FakeRun()
    run.spec = RunSpec(model="<img src=x>", data="</td><script>")
    markup = runs_markup([run_row(run)])
    assert "<img" not in markup and "<script" not in markup
