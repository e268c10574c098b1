"""A fine-tuning behind an adaptation loses nothing when a worker dies or all moves (R1, R17).

Workers are forked ones here; what they are handed is what the real one is.
"""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING

import pytest

import nbtransfer as nt
from nbtransfer import api
from nbtransfer.errors import RunError
from nbtransfer.gauge import _chain
from nbtransfer.magics.finetune import finetune
from nbtransfer.runs import launch
from nbtransfer.runs.process import write_process
from nbtransfer.runs.run import Run
from tests.engine.jobs import reviews, start, work, work_with_faults
from tests.engine.language_jobs import documents
from tests.faults.comparing import rows, same_bits, same_last_checkpoint

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

pytestmark = pytest.mark.slow

_ROWS = reviews(24)


class _Workers:
    """Takes the launcher's place. The workers it starts meet the faults planned, one each."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self._process: BaseProcess | None = None

    def submit(self, run: Run, *, restart: bool = False) -> None:
        after_seq = run.state().last_seq
        self._process = start(run, work_with_faults, self.faults.pop(0) if self.faults else "")
        write_process(run.paths.process, self._process.pid, after_seq=after_seq)

    def bury(self) -> None:
        """Wait until nothing of a worker that was killed is left, its lock above all."""
        if self._process is not None:
            self._process.join()


@pytest.fixture(scope="module")
def workers():
    workers = _Workers()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(launch, "warm_up", lambda: None)
        patch.setattr(launch, "submit_run", workers.submit)
        patch.setattr(api, "_gauge", lambda run, *, show: None)
        yield workers


@pytest.fixture(scope="module")
def adapt(workers, mini_model):
    """Return a maker of both runs, whose workers meet the faults given."""

    def make(runs_dir, *faults):
        workers.faults = list(faults)
        options = {
            "per_device_train_batch_size": 8,
            "num_train_epochs": 2,
            "learning_rate": 3e-3,
            "use_cpu": True,
        }
        try:
            return nt.finetune(
                *(mini_model, _ROWS),
                adapt=documents(24),
                adapt_epochs=2,
                name="mine",
                runs_dir=runs_dir,
                show=False,  # by default that is up to whether an earlier test left an IPython
                **options,
            )
        finally:
            workers.bury()

    return make


@pytest.fixture(scope="module")
def clean(adapt, tmp_path_factory):
    """The second run of a chain that was never disturbed."""
    return adapt(tmp_path_factory.mktemp("clean") / "runs")


def _assert_same(run, clean):
    assert run.status == "completed"
    assert same_bits(run, clean)
    assert same_last_checkpoint(run, clean)
    assert rows(run) == rows(clean)


def test_killed_in_the_first_stage_both_lines_of_the_advice_end_with_the_same_bits(
    tmp_path, adapt, clean, capsys
):
    with pytest.raises(RunError, match="lost its worker") as caught:
        adapt(tmp_path / "runs", "event:14:kill")
    assert caught.value.run.id == "mine-adapted"
    resume, then = re.findall(r"^    %finetune (.+)$", capsys.readouterr().err, re.MULTILINE)
    assert f"%finetune {resume}" in str(caught.value)
    first = finetune(resume, None, {})
    _assert_same(first, Run(clean.dir.with_name("mine-adapted")))
    _assert_same(finetune(then, None, {"data": _ROWS}), clean)


def test_killed_in_the_second_stage_the_line_of_the_advice_ends_with_the_same_bits(
    tmp_path, adapt, clean
):
    with pytest.raises(RunError, match="lost its worker") as caught:
        adapt(tmp_path / "runs", "", "checkpoint.rename:2:kill")
    resume = re.search(r"%finetune (--resume .+)$", str(caught.value))[1]
    _assert_same(finetune(resume, None, {}), clean)


def test_the_second_run_goes_on_where_the_runs_folder_has_been_moved(tmp_path, adapt, clean):
    with pytest.raises(RunError, match="lost its worker"):
        adapt(tmp_path / "runs", "", "checkpoint.rename:2:kill")
    moved = shutil.move(tmp_path / "runs", tmp_path / "elsewhere")
    run = Run(moved / "mine")
    assert run.model_card.location == str(moved / "mine-adapted" / "model")
    # Without the first run it says which model is gone; put back, it goes on.
    shutil.move(moved / "mine-adapted", tmp_path / "aside")
    assert not work(str(run.dir))
    message = run.state().error_message
    assert re.search(r"model '.*mine-adapted' is gone: '.*mine-adapted/model'. Put it", message)
    shutil.move(tmp_path / "aside", moved / "mine-adapted")
    run = Run(run.dir)
    assert work(str(run.dir)), run.state().error_message
    _assert_same(run, clean)
    assert [r.id for r in _chain(run)] == ["mine-adapted", "mine"]
