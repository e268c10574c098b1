"""The saved model, loaded again and asked the same."""

from __future__ import annotations

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
    assert verify.ask(run.paths.model_dir, questions)["equal"]
    weights = run.paths.model_dir / "model.safetensors"
    tensors = load_file(weights)
    tensors["classifier.bias"] += 0.01
    save_file(tensors, weights, metadata={"format": "pt"})
    assert not verify.ask(run.paths.model_dir, questions)["equal"]


def test_a_model_that_cannot_be_loaded_again_fails_the_run(tmp_path, monkeypatch):
    from nbtransfer.engine import export

    write = export._write_model

    def torn(training, step):
        write(training, step)
        weights = training.paths.model_dir / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:1000])

    monkeypatch.setattr(export, "_write_model", torn)
    run = make_run(tmp_path, max_steps=2)
    assert not work(str(run.dir), verify_in_process=False)
    assert run.status == "failed"
    assert "saved model cannot be loaded again" in run.state().error_message
