"""Tests of engine.forgetting and the flow of two stages: heads put back, chained runs, refusals."""

from __future__ import annotations

import dataclasses

import pytest
import torch

import nbtransfer as nt
from nbtransfer import api
from nbtransfer.engine.forgetting import put_back, stage_losses
from nbtransfer.errors import ModelError
from nbtransfer.runs import scoring, store
from tests.engine.jobs import reviews, work
from tests.engine.language_jobs import documents, write_model

pytestmark = pytest.mark.slow


def load(folder, auto_class):
    import transformers

    return getattr(transformers, auto_class).from_pretrained(folder).eval()


HEADS = {
    "bert": ("AutoModelForMaskedLM", "AutoModelForSequenceClassification"),
    "distilbert": ("AutoModelForMaskedLM", "AutoModelForSequenceClassification"),
    "gpt2": ("AutoModelForCausalLM", "AutoModelForSequenceClassification"),
}


@torch.inference_mode()
@pytest.mark.parametrize("family", HEADS)
def test_an_unchanged_backbone_put_back_guesses_as_before(tmp_path, family):
    folder = write_model(tmp_path, family)
    language, classes = (load(folder, name) for name in HEADS[family])
    ids = torch.arange(5, 14)[None]
    before = language(input_ids=ids).logits
    put_back(language, classes.base_model)
    assert torch.equal(language(input_ids=ids).logits, before)


@pytest.mark.parametrize("family", HEADS)
def test_the_head_stays_as_it_was_and_the_backbone_does_not(tmp_path, family):
    folder = write_model(tmp_path, family)
    language, classes = (load(folder, name) for name in HEADS[family])
    head = language.get_output_embeddings().weight.detach().clone()
    with torch.no_grad():
        for parameter in classes.base_model.parameters():
            parameter.add_(0.5)
    put_back(language, classes.base_model)
    assert torch.equal(language.get_output_embeddings().weight, head)
    ours, theirs = language.base_model.state_dict(), classes.base_model.state_dict()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)
    assert not torch.equal(
        language.get_input_embeddings().weight, head
    )  # no longer one and the same


def test_a_backbone_of_another_shape_is_refused(tmp_path):
    language = load(write_model(tmp_path / "a", "bert"), "AutoModelForMaskedLM")
    other = load(write_model(tmp_path / "b", "distilbert"), "AutoModelForSequenceClassification")
    with pytest.raises(ModelError, match=r"shape|lacks"):
        put_back(language, other.base_model)


@pytest.fixture
def in_process(monkeypatch):
    """Train and measure in this process: the real worker's imports would take longer than both."""
    from tests.engine.test_evaluate import CPU

    def start(job):
        run = store.create_run(
            job.runs_dir,
            spec=job.spec,
            plan=dataclasses.replace(job.plan, num_threads=1, products="torch", notes=job.notes),
            data_card=job.prepared.card,
            model_card=job.model_card,
            splits=job.prepared.splits,
        )
        started.append(run)
        work(str(run.dir))
        return run

    started = []
    monkeypatch.setattr(api, "start_job", start)
    monkeypatch.setattr(
        scoring, "measure_stages", lambda run, rows, asked: stage_losses(asked, rows, CPU)
    )
    return started


OPTIONS = {
    "per_device_train_batch_size": 8,
    "learning_rate": 5e-3,
    "use_cpu": True,
    "validation": 0.2,
    "num_train_epochs": 1,
}


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_both_stages_are_runs_and_what_was_forgotten_is_measured(tmp_path, family, in_process):
    run = nt.finetune(
        write_model(tmp_path / "m", family),
        reviews(40),
        adapt=documents(),
        adapt_epochs=8,
        adapt_learning_rate=5e-3,
        runs_dir=tmp_path / "runs",
        name="tuned",
        show=False,
        **OPTIONS,
    )
    first, second = in_process
    assert (first.id, second.id, run.id) == ("tuned-adapted", "tuned", "tuned")
    assert (first.status, second.status) == ("completed", "completed")
    assert first.plan.num_train_epochs == 8 and second.plan.num_train_epochs == 1
    assert [a.run for a in second.model_card.lineage] == ["tuned-adapted"]
    assert any("(tuned-adapted)" in note for note in second.plan.notes)
    from nbtransfer.runs.forgetting import read_forgetting

    found = read_forgetting(second.paths.forgetting)
    assert len(found.stages) == 3 and not any(stage.why_not for stage in found.stages)
    base, adapted, tuned = found.stages
    assert adapted.corpus < base.corpus - 0.5  # it learnt the corpus, which it had not seen
    assert tuned.corpus != adapted.corpus and tuned.general != adapted.general
    assert found.num_general > 50 and found.num_corpus > 10
    # What the gauge says of the first stage is what the run itself measured.
    again = nt.forgetting("tuned-adapted", runs_dir=tmp_path / "runs")
    assert again.stages == found.stages[:2]


def test_a_first_stage_that_is_stopped_stops_the_flow_and_says_how_to_go_on(
    tmp_path, in_process, capsys, monkeypatch
):
    from nbtransfer.runs.control import change_control

    start = api.start_job

    def stopped(job):
        from nbtransfer.engine.train import Training

        if not in_process:
            loop = Training.loop

            def stop_first(self):
                change_control(self.paths.control, stop="stop")
                loop(self)

            with monkeypatch.context() as patched:
                patched.setattr(Training, "loop", stop_first)
                return start(job)
        return start(job)

    monkeypatch.setattr(api, "start_job", stopped)
    run = nt.finetune(
        write_model(tmp_path / "m", "bert"),
        reviews(40),
        adapt=documents(),
        runs_dir=tmp_path / "runs",
        show=False,
        **OPTIONS,
    )
    assert in_process == [run] and run.status == "stopped"
    told = capsys.readouterr().err
    assert f"%finetune {run.id} data" in told and "has not begun" in told
    from nbtransfer.panels.run_card import card_text
    from nbtransfer.panels.run_view import About

    text = card_text(About.of(run), run.state(), "stopped", run.dir, 0.0)
    resume, follow = text.index("%finetune --resume"), text.index(f"%finetune {run.id} data")
    assert resume < follow


def test_everything_wrong_with_the_second_stage_is_found_before_the_first(tmp_path, in_process):
    rows = [{"text": "same", "label": "x"}] * 10
    with pytest.raises(nt.DataError):
        nt.finetune(
            write_model(tmp_path / "m", "bert"), rows, adapt=documents(), runs_dir=tmp_path / "runs"
        )
    assert in_process == []
