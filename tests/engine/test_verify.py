"""The saved model, loaded again and asked the same."""

from __future__ import annotations

import json

import pytest

from nbtransfer.engine import verify
from nbtransfer.runs.files import read_json
from tests.engine.jobs import make_run, work

pytestmark = pytest.mark.slow


def test_a_fresh_process_loads_the_model_before_the_run_is_called_completed(tmp_path):
    run = make_run(tmp_path, max_steps=2)
    assert work(str(run.dir), verify_in_process=False), run.log()
    types = [event["type"] for event in run.events()]
    assert types.index("model_verified") < types.index("run_completed")
    verified = next(event for event in run.events() if event["type"] == "model_verified")
    assert verified["num_rows"] == verify.NUM_ROWS
    assert verified["difference"] <= 1e-6
    assert run.state().verified


def test_a_model_whose_weights_changed_on_disk_does_not_pass(tmp_path):
    from safetensors.torch import load_file, save_file

    run = make_run(tmp_path, max_steps=2)
    assert work(str(run.dir)), run.log()
    questions = read_json(run.paths.verification)
    assert verify.ask(run.paths.model_dir, questions)["problem"] is None
    weights = run.paths.model_dir / "model.safetensors"
    tensors = load_file(weights)
    tensors["classifier.bias"] += 0.01
    save_file(tensors, weights, metadata={"format": "pt"})
    assert "logits differ" in verify.ask(run.paths.model_dir, questions)["problem"]


def _spoilt(monkeypatch, spoil):
    """Let what is on the disk be spoilt after it was written, and before it is asked."""
    from nbtransfer.engine import export

    write = export._write_model

    def spoilt(training, step):
        write(training, step)
        spoil(training.paths.model_dir)

    monkeypatch.setattr(export, "_write_model", spoilt)


def _change_json(path, change):
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))


def test_a_model_without_the_names_of_its_classes_fails_the_run(tmp_path, monkeypatch):
    def without_names(model_dir):
        def change(config):
            del config["id2label"], config["label2id"]

        _change_json(model_dir / "config.json", change)

    _spoilt(monkeypatch, without_names)
    run = make_run(tmp_path, max_steps=2)
    assert not work(str(run.dir), verify_in_process=False)
    assert run.status == "failed"
    assert "calls its classes 'LABEL_0', 'LABEL_1', not 'bad', 'good'" in run.state().error_message


def test_names_of_classes_that_changed_places_do_not_pass(tmp_path):
    run = make_run(tmp_path, max_steps=2, technique="features")
    assert work(str(run.dir)), run.log()
    questions = read_json(run.paths.verification)
    assert verify.ask(run.paths.model_dir, questions)["problem"] is None
    config = run.paths.model_dir / "config.json"
    _change_json(config, lambda record: record.update(id2label={"0": "good", "1": "bad"}))
    assert "classes" in verify.ask(run.paths.model_dir, questions)["problem"]
    _change_json(config, lambda record: record.update(id2label={"0": "bad", "1": "good"}))
    _change_json(config, lambda record: record.update(label2id={"good": 0, "bad": 1}))
    assert "classes" in verify.ask(run.paths.model_dir, questions)["problem"]


def test_thresholds_that_are_not_those_decided_fail_the_run(tmp_path, monkeypatch):
    """They are tuned while the fresh process loads the model; it looks at them last."""
    from nbtransfer.engine import export

    monkeypatch.setattr(export, "write_decision", lambda *arguments: None)
    rows = [{"text": f"text {i}", "labels": ["a", "b"][: 1 + i % 2]} for i in range(40)]
    run = make_run(tmp_path, data=rows, max_steps=2)
    assert not work(str(run.dir))
    assert "decision.json" in run.state().error_message


def test_a_model_that_cannot_be_loaded_again_fails_the_run(tmp_path, monkeypatch):
    def torn(model_dir):
        weights = model_dir / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])

    _spoilt(monkeypatch, torn)
    run = make_run(tmp_path, max_steps=2)
    assert not work(str(run.dir), verify_in_process=False)
    assert run.status == "failed"
    assert "saved model cannot be loaded again" in run.state().error_message
