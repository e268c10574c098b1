"""What earlier versions wrote is read by this one (promise R27)."""

from __future__ import annotations

import dataclasses
import gzip
import json
import shutil
from pathlib import Path

import pytest

from nbtransfer.engine.checkpoints import damage, load_checkpoint, read_state
from nbtransfer.engine.optim import make_optimizer
from nbtransfer.engine.progress import Progress
from nbtransfer.runs.files import read_json, write_json
from nbtransfer.runs.run import Run
from tests.engine.jobs import work

pytestmark = pytest.mark.slow

_ASSETS = Path(__file__).parents[1] / "assets" / "runs"
_VERSIONS = sorted(path.name for path in _ASSETS.iterdir() if path.name.startswith("v"))


@pytest.fixture(params=_VERSIONS)
def old(request, tmp_path):
    """A run of an earlier version, killed after its second checkpoint, and what was so of it."""
    asset = _ASSETS / request.param
    expected = read_json(asset / "expected.json")
    shutil.copytree(asset, tmp_path / "run", ignore=shutil.ignore_patterns("checkpoint", "exp*"))
    run = Run(tmp_path / "run")
    folder = run.paths.checkpoints_dir / expected["checkpoint"]
    folder.mkdir(parents=True)
    for path in (asset / "checkpoint").iterdir():
        (folder / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    return run, folder, expected["state"]


def test_there_is_one_to_replay():
    assert "v0.1" in _VERSIONS
    for name in _VERSIONS:
        size = sum(p.stat().st_size for p in (_ASSETS / name).rglob("*") if p.is_file())
        assert size < 300_000


def test_its_log_folds_to_the_same_state(old):
    run, _, expected = old
    state = json.loads(json.dumps(dataclasses.asdict(run.state())))
    width = len(expected["evaluations"][0])  # this version may know more of an evaluation
    state["evaluations"] = [row[:width] for row in state["evaluations"]]
    assert {name: state[name] for name in expected} == expected
    assert run.status == "lost"


def test_its_spec_plan_and_cards_are_read(old):
    run, _, _ = old
    assert run.spec.num_train_epochs == 3
    assert run.plan.num_steps == 12
    assert run.data_card.label_names == ("bad", "good")
    assert run.model_card.model_type == "bert"


def test_its_checkpoint_verifies_and_loads(old, mini_model):
    from transformers import AutoModelForSequenceClassification

    run, folder, _ = old
    assert damage(folder) is None
    model = AutoModelForSequenceClassification.from_pretrained(mini_model, num_labels=2)
    optimizer = make_optimizer(model, run.spec)
    load_checkpoint(folder, model, optimizer)
    progress = Progress.from_json(read_state(folder)["progress"])
    assert f"step-{progress.step:06d}" == folder.name
    assert all(state["step"] == progress.step for state in optimizer.state.values() if state)
    assert optimizer.state


def test_it_goes_on_to_its_end(old, mini_model):
    run, folder, _ = old
    card = read_json(run.paths.model_card)
    tokenizer = str(Path(mini_model) / "tokenizer.json")
    write_json(run.paths.model_card, {**card, "location": mini_model, "tokenizer_file": tokenizer})
    run = Run(run.dir)
    assert work(str(run.dir)), run.state().error_message
    assert run.status == "completed"
    assert run.state().resumed_from == int(folder.name[-6:])
