"""What earlier versions wrote is read by this one (promise R27)."""

from __future__ import annotations

import dataclasses
import gzip
import json
import shutil
from pathlib import Path

import pytest

from nbtransfer import __version__
from nbtransfer.engine.checkpoints import damage, read_state
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
    left_out = shutil.ignore_patterns("checkpoint", "exp*", "base")
    shutil.copytree(asset, tmp_path / "run", ignore=left_out)
    run = Run(tmp_path / "run")
    folder = run.paths.checkpoints_dir / expected["checkpoint"]
    folder.mkdir(parents=True)
    for path in (asset / "checkpoint").iterdir():
        (folder / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    return run, folder, expected["state"]


def test_there_are_some_to_replay_of_this_version_too():
    """Before a new one is released: `python -m tests.assets.runs.record v0.N`."""
    series = "v" + ".".join(__version__.split(".")[:2])
    assert {series, f"{series}-lora", f"{series}-entities"} <= {*_VERSIONS}
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
    classes = {
        "text-classification": ("bad", "good"),
        "token-classification": ("O", "B-THING", "I-THING"),
    }
    assert run.data_card.label_names == classes[run.data_card.task]
    assert run.model_card.model_type == "bert"


def test_its_checkpoint_verifies_and_its_progress_is_read(old):
    run, folder, _ = old
    assert damage(folder) is None
    progress = Progress.from_json(read_state(folder)["progress"])
    assert f"step-{progress.step:06d}" == folder.name
    assert progress.schedule.num_steps == run.plan.num_steps


def test_it_goes_on_to_its_end(old, mini_model):
    run, folder, _ = old
    # Of the first one the pre-trained model was not kept.
    own = _ASSETS / run.spec.name / "base"
    base = own if own.is_dir() else Path(mini_model)
    card = read_json(run.paths.model_card)
    places = {"location": str(base), "tokenizer_file": str(base / "tokenizer.json")}
    write_json(run.paths.model_card, {**card, **places})
    run = Run(run.dir)
    assert work(str(run.dir)), run.state().error_message
    assert run.status == "completed"
    assert run.state().resumed_from == int(folder.name[-6:])
