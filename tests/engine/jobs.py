"""Small jobs on a real tiny model, run in this process or in a forked one that can be killed."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from nbtransfer import api
from nbtransfer.engine import verify
from nbtransfer.runs import store
from nbtransfer.runs.files import read_json, write_json
from nbtransfer.runs.run import Run
from tests.engine.forks import preload

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess

    from pytest import MonkeyPatch

    from nbtransfer.engine.train import Training

_GOOD = ["lovely", "bright", "warm", "clever", "funny", "gentle", "rich", "fresh"]
_BAD = ["dull", "cold", "slow", "broken", "noisy", "bitter", "flat", "stale"]
_THINGS = ["film", "meal", "phone", "book", "walk", "song", "room", "game"]


def reviews(num_rows: int, seed: int = 0) -> list[dict[str, str]]:
    """Return made-up reviews of two classes, of various lengths."""
    draw = random.Random(seed)
    rows = []
    for i in range(num_rows):
        words, label = ((_GOOD, "good"), (_BAD, "bad"))[i % 2]
        chosen = draw.sample(words, draw.randint(1, 6))
        rows.append({"text": f"a {' and '.join(chosen)} {draw.choice(_THINGS)}", "label": label})
    return rows


def write_mini_model(folder: Path, *, num_layers: int = 1, **options: object) -> str:
    """Write a BERT of few layers and 16 features, with random weights, and return its folder.

    Its checkpoints are small enough to be written hundreds of times. `options` are of BertConfig.
    """
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    from nbtransfer.models.catalog import open_model

    torch.manual_seed(0)
    tokenizer = AutoTokenizer.from_pretrained(
        open_model("demo:bert-tiny", runs_dir=folder).location
    )
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=num_layers,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        **options,
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def make_run(
    runs_dir: Path,
    *,
    num_rows: int = 60,
    model: str = "demo:bert-tiny",
    data: object = None,
    products: str = "torch",
    **keywords: object,
) -> Run:
    """Write the folder of a small run, on reviews unless `data` is given; nothing is started."""
    defaults = {
        "per_device_train_batch_size": 8,
        "num_train_epochs": 2,
        "validation": 0.2,
        "learning_rate": 1e-3,
        "use_cpu": True,
    }
    job = api.prepare_job(
        model,
        reviews(num_rows) if data is None else data,
        keywords={**defaults, **keywords},
        runs_dir=runs_dir,
    )
    return store.create_run(
        job.runs_dir,
        spec=job.spec,
        # As many threads whatever else the machine does, and products of one kind whatever machine
        # it is: others give other bits.
        plan=dataclasses.replace(job.plan, num_threads=1, products=products),
        data_card=job.prepared.card,
        model_card=job.model_card,
        splits=job.prepared.splits,
    )


def with_all_words(run: Run) -> Run:
    """Let the run train all word vectors, as plans of earlier versions do; return it so planned."""
    write_json(run.paths.plan, {**read_json(run.paths.plan), "trains_used_words": False})
    return Run(run.dir)


def work(
    run_dir: str,
    *,
    verify_in_process: bool = True,
    restart: bool = False,
    patience_s: float = 30.0,
) -> bool:
    """Train the run in this process, as a worker would; return whether it succeeded.

    The saved model is loaded again here rather than in a process of its own, which would take
    longer than all the rest; one test takes the real way.
    """
    from nbtransfer.engine import export, worker
    from nbtransfer.engine.worker import StopSignal, run_job

    worker._PATIENCE_S = patience_s
    export.Verification = VerificationHere if verify_in_process else verify.Verification
    return run_job({"job": "train", "dir": run_dir, "restart": restart}, StopSignal(), warm=True)


def score_here(monkeypatch: MonkeyPatch) -> None:
    """Let evaluations and predictions be done in this process, as a worker would do them."""
    from nbtransfer.engine.worker import StopSignal, run_job
    from nbtransfer.runs import scoring

    def submit(folder: Path, log: Path) -> SimpleNamespace:
        run_job({"job": "score", "dir": str(folder)}, StopSignal(), warm=True)
        return SimpleNamespace(is_alive=False)

    monkeypatch.setattr(scoring, "submit_scoring", submit)


class VerificationHere:
    """The interface of `verify.Verification`, without a process."""

    def __init__(self, training: Training) -> None:
        self._paths = training.paths

    def result(self, decision: dict[str, Any] | None) -> float:
        answer = verify.ask(self._paths.model_dir, read_json(self._paths.verification))
        other = verify.other_decision(self._paths.model_dir, decision)
        verify.raise_problem({**answer, "problem": answer["problem"] or other})
        return answer["difference"]


def work_slowly(run_dir: str) -> None:
    """Train with 30 ms more a step, so that a test can act between two steps on any machine."""
    _before_each_step(lambda step: time.sleep(0.03))
    work(run_dir)


def work_once_told(run_dir: str) -> None:
    """Train, but take no step before a file beside the run's folder, `<run>.go`, is there."""
    told = Path(run_dir).with_suffix(".go")

    def wait(step: int) -> None:
        while not told.exists():
            time.sleep(0.01)

    _before_each_step(wait)
    work(run_dir)


def work_until_killed(run_dir: str, at_step: int) -> None:
    """Train, and die by SIGKILL when `at_step` steps are done and every save begun is durable."""
    from nbtransfer.engine.saving import CheckpointWriter

    save = CheckpointWriter.save

    def saved(self: CheckpointWriter, *arguments: object, **keywords: object) -> None:
        save(self, *arguments, **keywords)
        self._saves[-1].result()

    CheckpointWriter.save = saved

    def die(step: int) -> None:
        if step == at_step:
            os.kill(os.getpid(), signal.SIGKILL)

    _before_each_step(die)
    work(run_dir)


def _before_each_step(act: Callable[[int], None]) -> None:
    from nbtransfer.engine.step import EagerStep

    take = EagerStep.__call__

    def taken(self: EagerStep, rows: object, step: int) -> object:
        act(step)
        return take(self, rows, step)

    EagerStep.__call__ = taken


def work_with_faults(run_dir: str, faults: str) -> None:
    """Train with planned faults; see `nbtransfer.runs.faults`."""
    from nbtransfer.runs.faults import plan_faults

    plan_faults(faults)
    work(run_dir)


def start(run: Run, target: Callable[..., object] = work_slowly, *arguments: object) -> BaseProcess:
    """Train the run in a forked process that has everything loaded already."""
    preload()
    context = multiprocessing.get_context("forkserver")
    process = context.Process(target=target, args=(str(run.dir), *arguments))
    process.start()
    return process
