"""What befalls a worker that is asked of a model is told, and leaves nothing half done."""

from __future__ import annotations

import shutil
import signal

import pytest

from nbtransfer import api
from nbtransfer.errors import RunError
from nbtransfer.runs import scoring
from nbtransfer.runs.run import Run
from tests.engine.asking import answer_afresh

pytestmark = pytest.mark.slow

_ASK = {
    "evaluate": lambda run: api.evaluate(run, split="train"),
    "predict": lambda run: api.predict(run, ["a warm film", "a dull book"]),
    "embeddings": lambda run: api.embeddings(run, split="train"),
    "forgetting": lambda run: api.forgetting(run),
}
# As the job's first file is written: the answer itself.
_BEFALLS = {
    "kill": "ended without an answer.* Call again",
    "enospc": r"the disk is full\..* MB are free",
    "oom": "planned at file.write.* Take a smaller --batch-size",
}


@pytest.fixture
def run(clean, tmp_path):
    """A finished run of our own."""
    return Run(shutil.copytree(clean.dir, tmp_path / "run"))


@pytest.fixture
def left(run, tmp_path, monkeypatch):
    """What asking has left: files in the run's folder, its report, temporary files."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))

    def look():
        files = sorted(path.relative_to(run.dir) for path in run.dir.rglob("*"))
        return files, run.report(), list(scratch.glob("nbtransfer-*"))

    return look


def _interrupt_at_first_event(monkeypatch):
    """Let an interrupt come once the worker, which then stands still, has begun."""
    poll = scoring.EventReader.poll

    def polled(self):
        found = poll(self)
        if found:
            signal.raise_signal(signal.SIGINT)
        return found

    monkeypatch.setattr(scoring.EventReader, "poll", polled)


@pytest.mark.parametrize("asked", _ASK)
def test_asking_that_is_broken_off_is_told_and_the_next_call_is_answered(
    run, left, monkeypatch, asked
):
    ask, before = _ASK[asked], left()
    for kind, words in _BEFALLS.items():
        answer_afresh(monkeypatch, f"file.write:1:{kind}")
        with pytest.raises(RunError, match=words) as caught:
            ask(run)
        assert caught.value.run.dir == run.dir
        assert left() == before
    with monkeypatch.context() as patch:
        answer_afresh(patch, "event:3:hang")
        _interrupt_at_first_event(patch)
        with pytest.raises(KeyboardInterrupt):
            ask(run)
    assert left() == before
    answer_afresh(monkeypatch)
    assert ask(run)
