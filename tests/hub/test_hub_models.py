"""Models of the three great families, as users name them: loaded from the hub, trained, asked.

Two steps each: these tests are about names, downloads, tokenizers and heads, not about results.
"""

from __future__ import annotations

import socket

import pytest

import nbtransfer as nt
from tests.engine.jobs import reviews
from tests.engine.pairs import pairs

pytestmark = [pytest.mark.hub, pytest.mark.slow]

SHORT = {"max_steps": 2, "per_device_train_batch_size": 2, "max_length": 32, "use_cpu": True}


@pytest.fixture(autouse=True)
def hub(monkeypatch):
    """Let models be downloaded, or say that the test was not run."""
    import huggingface_hub

    try:
        socket.create_connection(("huggingface.co", 443), timeout=5).close()
    except OSError:
        pytest.skip("not run: the model hub cannot be reached from here")
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)


def test_bert_base_learns_to_classify(runs_dir):
    model = "google-bert/bert-base-uncased"
    run = nt.finetune(model, reviews(24), validation=0.25, runs_dir=runs_dir, **SHORT)
    assert run.status == "completed"
    assert run.model_card.source == "hub" and run.model_card.num_parameters > 100e6
    (answer,) = nt.predict(run, ["a lovely film"])
    assert answer.label in ("good", "bad")


def test_distilgpt2_goes_on_with_its_pre_training(runs_dir):
    texts = [row["text"] for row in reviews(60)]
    model = "distilbert/distilgpt2"
    run = nt.pretrain(model, texts, validation=0.25, runs_dir=runs_dir, **SHORT)
    assert run.status == "completed"
    assert run.metrics()["eval_perplexity"] > 1


def test_t5_small_learns_to_translate(runs_dir):
    run = nt.finetune(
        "google-t5/t5-small",
        pairs(24),
        task="translation",
        source="en",
        target="fr",
        validation=0.25,
        runs_dir=runs_dir,
        **SHORT,
    )
    assert run.status == "completed"
    (answer,) = nt.predict(run, ["open the file"])
    assert isinstance(answer.text, str)


def test_a_model_that_does_not_exist_is_said_to_be_unknown(runs_dir):
    with pytest.raises(nt.ModelError, match="hub"):
        nt.finetune("nbtransfer/no-such-model", reviews(24), runs_dir=runs_dir, **SHORT)
