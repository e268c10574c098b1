"""A run does not go on on top of another pre-trained model than it began with (promise R7).

A checkpoint does not restore everything: not the model's configuration, the tokenizer and the words
that the data does not use, nor what frozen layers said of each text before the first step.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from nbtransfer.runs.run import Run
from tests.engine.jobs import (
    make_run,
    start,
    with_all_words,
    work,
    work_until_killed,
)
from tests.faults.comparing import rows, same_last_checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture
def base(two_layers, tmp_path):
    """The folder of a pre-trained model that a test may change."""
    return Path(shutil.copytree(two_layers, tmp_path / "base"))


def _killed(base, tmp_path, *, all_words=False, **keywords):
    """Return a run that lost its worker at step 6 of 8, after a checkpoint."""
    defaults = {"num_rows": 40, "learning_rate": 3e-3, **keywords}
    run = make_run(tmp_path / "runs", model=str(base), **defaults)
    run = with_all_words(run) if all_words else run
    start(run, work_until_killed, 6).join()
    assert [row.step for row in run.state().checkpoints] == [4]
    return run


def _change_weights(base, part=""):
    path = base / "model.safetensors"
    tensors = {name: t * 1.5 if part in name else t for name, t in load_file(path).items()}
    save_file(tensors, path, metadata={"format": "pt"})


def _change_json(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def _refusal(run):
    assert not work(str(run.dir))
    message = Run(run.dir).state().error_message
    assert "another job" in message
    return message


@pytest.mark.parametrize("technique", ["full", "top:1", "head", "features", "lora"])
def test_other_weights_are_refused(base, tmp_path, technique):
    run = _killed(base, tmp_path, technique=technique)
    _change_weights(base, "word_embeddings")  # in each of them something rests on these
    assert "pre-trained weights" in _refusal(run)


def test_where_all_words_learn_the_checkpoint_holds_every_weight(base, tmp_path):
    clean = with_all_words(
        make_run(tmp_path / "clean", model=str(base), num_rows=40, learning_rate=3e-3)
    )
    assert work(str(clean.dir)), clean.log()
    run = _killed(base, tmp_path, all_words=True)
    _change_weights(base)
    assert work(str(run.dir)), run.log()
    assert rows(run) == rows(clean)
    assert same_last_checkpoint(run, clean)


def test_another_configuration_is_refused(base, tmp_path):
    run = _killed(base, tmp_path)
    _change_json(base / "config.json", hidden_dropout_prob=0.3)
    assert "model configuration" in _refusal(run)


def test_the_version_that_wrote_a_configuration_is_no_part_of_it(base, tmp_path):
    run = _killed(base, tmp_path)
    _change_json(base / "config.json", transformers_version="0.0.1")
    assert work(str(run.dir)), run.log()


def test_another_chat_template_is_refused(base, tmp_path):
    run = _killed(base, tmp_path)
    (base / "chat_template.jinja").write_text("{{ messages }}")
    assert "tokenizer files" in _refusal(run)


def test_another_vocabulary_is_refused_where_there_is_no_tokenizer_json(base, tmp_path):
    vocab = json.loads((base / "tokenizer.json").read_text())["model"]["vocab"]
    words = sorted(vocab, key=vocab.get)
    (base / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    (base / "tokenizer.json").unlink()
    run = _killed(base, tmp_path)
    words[-1], words[-2] = words[-2], words[-1]
    (base / "vocab.txt").write_text("\n".join(words), encoding="utf-8")
    assert "tokenizer files" in _refusal(run)
