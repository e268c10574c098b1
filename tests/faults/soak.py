"""One small job, disturbed at random times in random ways until it is done (promise R28).

A disturbance is a pair of a fault and a time. After each the run is resumed; a job that is done
while pairs are left is compared with the clean run and begun anew. The long soak:

    python -m tests.faults.soak --pairs 500 --seed 1

The seed decides what is done and when, in seconds; what a fault meets there is up to the machine.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.engine.checkpoints import damage, newest_checkpoint
from nbtransfer.runs.control import change_control
from nbtransfer.runs.events import EventReader
from nbtransfer.runs.run import Run
from tests.engine.forks import preload
from tests.engine.jobs import VerificationHere, make_run, start, write_mini_model
from tests.faults.comparing import rows, same_bits, same_last_checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess

    from nbtransfer.runs.events import Event

_POINTS = {"checkpoint.*": 60, "event": 80, "step.*": 60, "file.*": 12, "export.*": 3}
_AT_THE_END = ("file.*", "export.*")  # a run reaches these when it begins and when it ends
_WEIGHTS = {
    "kill": 4,
    "kill at": 4,
    "sigterm": 2,
    "stop": 2,
    "pause": 2,
    "flip": 2,
    "truncate": 1,
    "tear": 2,
    "enospc at": 3,
}
_LONGEST_DELAY_S = 0.8
_PATIENCE_S = 120.0


class Disturbance(NamedTuple):
    """What is done to one life of the run.

    `delay_s` counts from the first step, or from the start of the process where `early`; `again_s`
    is how long after that a fault which does not end the life is followed by SIGKILL.
    """

    kind: str
    point: str
    count: int
    delay_s: float
    again_s: float
    early: bool

    def __str__(self) -> str:
        at = f" {self.point}:{self.count}" if self.point else ""
        since = "start" if self.early else "first step"
        return f"{self.kind}{at}, {self.delay_s:.2f} s after the {since}"

    @property
    def plan(self) -> str:
        """It as NBTRANSFER_FAULT, where it strikes at a point."""
        kinds = {"kill at": "kill", "enospc at": "enospc"}
        return f"{self.point}:{self.count}:{kinds[self.kind]}" if self.point else ""


class Result(NamedTuple):
    """What a soak came to; `problems` is empty where every promise held."""

    kinds: Counter[str]
    num_jobs: int
    problems: list[str]


def draw_disturbance(draw: random.Random) -> Disturbance:
    """Return a random one."""
    kind = draw.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
    # No step writes to the disk.
    points = [p for p in _POINTS if kind == "kill at" or p != "step.*"]
    point = draw.choice(points) if kind.endswith(" at") else ""
    count = draw.randint(1, _POINTS[point]) if point else 0
    delay_s, again_s = draw.uniform(0, _LONGEST_DELAY_S), draw.uniform(0, _LONGEST_DELAY_S)
    return Disturbance(kind, point, count, delay_s, again_s, draw.random() < 0.15)


def live(run_dir: str, faults: str, step_s: float, restart: bool = False) -> None:
    """Train in this process, as a worker does, each step `step_s` longer than it takes."""
    from nbtransfer.engine import export
    from nbtransfer.engine.step import EagerStep
    from nbtransfer.engine.worker import StopSignal, run_job
    from nbtransfer.runs import faults as seam

    stop_signal = StopSignal()
    stop_signal.install()
    stop_signal.busy = True
    log = os.open(Run(run_dir).paths.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    take = EagerStep.__call__

    def taken(self: EagerStep, rows: object, step: int) -> object:
        time.sleep(step_s)
        return take(self, rows, step)

    EagerStep.__call__ = taken
    export.Verification = VerificationHere
    strike = seam._strike

    def struck(kind: str, point: str) -> None:
        _mark(run_dir).touch()
        strike(kind, point)

    seam._strike = struck
    seam.plan_faults(faults)
    run_job({"job": "train", "dir": run_dir, "restart": restart}, stop_signal, warm=True)


def _mark(run_dir: str | Path) -> Path:
    """The file that a planned fault leaves when it strikes."""
    return Path(run_dir).with_suffix(".struck")


class Soak:
    """Disturb copies of one job.

    Args:
        job: a run that was created and not started.
        clean: the same job, done undisturbed.
        draw: decides everything random.
        step_s: how much longer each step takes.
    """

    def __init__(self, job: Run, clean: Run, draw: random.Random, step_s: float) -> None:
        self._job, self._clean, self._draw, self._step_s = job, clean, draw, step_s
        self._ruined: set[str] = set()  # checkpoints that we damaged
        self.kinds: Counter[str] = Counter()
        self.problems: list[str] = []

    def begin(self, folder: Path) -> Run:
        """Return a copy of the job."""
        shutil.copytree(self._job.dir, folder)
        self._ruined.clear()
        return Run(folder)

    def disturb(self, run: Run, fault: Disturbance) -> str:
        """Give the run one life, disturb it, and look at what is left; return where it stands."""
        ruined = set(self._ruined)
        process = self._start(run, fault.plan)
        kind = self._act(run, process, fault)
        self._join(process, fault)
        self.kinds[kind] += 1
        self._inspect(run, fault, ruined)
        return run.status

    def finish(self, run: Run) -> None:
        """Let the run end undisturbed and compare it with the clean one."""
        for _ in range(2):  # the first may say that no checkpoint is good any more
            if run.status != "completed":
                self._join(self._start(run, ""), None)
        if run.status != "completed":
            said = f"{run.state().error_message}\n{run.log()[-3000:]}"
            self._note(f"{run.id} is {run.status}: {said}")
            return
        if not same_bits(run, self._clean):
            self._note(f"{run.id}: the model differs from the clean run's")
        if not same_last_checkpoint(run, self._clean):
            self._note(f"{run.id}: the last checkpoint differs from the clean run's")
        if rows(run) != rows(self._clean):
            self._note(f"{run.id}: the log's rows differ from the clean run's")
        if run.state().saved_step != self._clean.state().saved_step:
            self._note(f"{run.id}: step {run.state().saved_step} was kept")

    def _start(self, run: Run, plan: str) -> BaseProcess:
        if run.paths.control.exists():  # as resuming does
            change_control(run.paths.control, stop=None, paused=False)
        self._reader = EventReader(run.paths.events)
        self._reader.poll()
        self._events: list[Event] = []
        _mark(run.dir).unlink(missing_ok=True)
        # A run that had no good checkpoint was refused; then its user says to begin again.
        return start(run, live, plan, self._step_s, bool(run.state().lost_checkpoints))

    def _act(self, run: Run, process: BaseProcess, fault: Disturbance) -> str:
        """Do what the disturbance says; return what really happened to the worker."""
        if not fault.early:
            self._wait(process, lambda: self._has("training_started"))
        time.sleep(fault.delay_s)
        if not process.is_alive() and not fault.point:
            return "none, for the worker had ended"
        if fault.kind == "sigterm":
            process.terminate()
            return fault.kind
        if fault.kind == "stop" or fault.point in _AT_THE_END:
            run.stop()
        if fault.kind == "stop":
            return fault.kind
        if fault.point in _AT_THE_END:
            self._join(process, fault)
        elif fault.point:
            process.join(fault.again_s)
        if fault.kind == "pause":
            run.pause()
            self._wait(process, lambda: self._has("run_paused"))
            if fault.again_s > _LONGEST_DELAY_S / 2:  # otherwise it dies while it holds
                run.unpause()
            time.sleep(fault.again_s)
        killed = process.is_alive()
        process.kill()
        process.join()
        if fault.kind in ("flip", "truncate", "tear"):
            did = self._tear_log(run) if fault.kind == "tear" else self._ruin(run, fault.kind)
            return fault.kind if did else "kill"
        if fault.point and not _mark(run.dir).exists():
            if fault.point in _AT_THE_END:
                return "stop"
            return "kill" if killed else "none, for the worker had ended"
        return fault.kind

    def _wait(self, process: BaseProcess, condition: Callable[[], bool]) -> None:
        while process.is_alive() and not condition():
            time.sleep(0.005)

    def _has(self, type: str) -> bool:
        """Whether this life has said so."""
        self._events += self._reader.poll()
        return any(event["type"] == type for event in self._events)

    def _join(self, process: BaseProcess, fault: Disturbance | None) -> None:
        process.join(_PATIENCE_S)
        if process.is_alive():
            self._note(f"the worker did not end after {fault or 'the last resume'}")
            process.kill()
            process.join()

    def _ruin(self, run: Run, kind: str) -> bool:
        """Change one bit of the newest checkpoint, or cut one of its files."""
        folder = newest_checkpoint(run.paths.checkpoints_dir).folder
        if folder is None:
            return False
        path = self._draw.choice(sorted(folder.iterdir()))
        data = bytearray(path.read_bytes())
        if kind == "truncate":
            del data[self._draw.randrange(len(data)) :]
        else:
            data[self._draw.randrange(len(data))] ^= 1 << self._draw.randrange(8)
        path.write_bytes(data)
        if damage(folder) is not None:
            self._ruined.add(folder.name)
        elif path.suffix == ".safetensors":
            self._note(f"{kind} of {path.name} in {folder.name} is not found")
        return True

    def _tear_log(self, run: Run) -> bool:
        """Leave a part of a further line at the end of the log, as a power cut does."""
        lines = run.paths.events.read_bytes().splitlines()
        if not lines:
            return False
        with run.paths.events.open("ab") as file:
            file.write(lines[-1][: self._draw.randrange(1, len(lines[-1]))])
        return True

    def _inspect(self, run: Run, fault: Disturbance, ruined: set[str]) -> None:
        """Check what must hold between two lives; `ruined` is what the last one found damaged."""
        state = run.state()
        self._events += self._reader.poll()
        spoken_of = [e["name"] for e in self._events if e["type"] == "checkpoint_saved"]
        if self._has("run_resumed"):
            resumed = next(e for e in self._events if e["type"] == "run_resumed")
            spoken_of = spoken_of or list(filter(None, [resumed["checkpoint"]]))
            newer = {name for name in ruined if name >= (resumed["checkpoint"] or "")}
            if not newer <= {name for name, _ in resumed["skipped"]}:
                self._note(f"after {fault}: {newer} were damaged, and it said {resumed}")
        full = any(said in state.error_message for said in ("No space left", "disk is full"))
        folders = run.paths.checkpoints_dir
        lost = bool(ruined) and newest_checkpoint(folders).folder is None  # by our own doing
        refused = state.error_type == "NoGoodCheckpoint"
        if run.status == "failed" and not (lost if refused else full):
            self._note(f"after {fault}: {state.error_type} {state.error_message}")
        # One that was saved anew is good again.
        there = [name for name in self._ruined if (folders / name).exists()]
        self._ruined = {name for name in there if damage(folders / name) is not None}
        found = newest_checkpoint(folders)
        for name, reason in found.skipped:
            if name not in self._ruined:
                self._note(f"after {fault}: {name} does not verify: {reason}")
        newest = spoken_of[-1] if spoken_of else None
        if newest is None or newest in self._ruined:
            return
        if found.folder is None or found.folder.name < newest:
            self._note(f"after {fault}: {newest} was announced and is not there")

    def _note(self, problem: str) -> None:
        self.problems.append(problem)


def soak(
    folder: Path,
    *,
    pairs: int,
    seed: int,
    num_epochs: int,
    step_s: float = 0.005,
    seconds: float = math.inf,
    say: Callable[[str], None] = print,
) -> Result:
    """Disturb a job `pairs` times; what went wrong, with the run that shows it, is in the result.

    Args:
        folder: where the runs are made; it exists and is empty.
        pairs: how many disturbances.
        seed: of everything random.
        num_epochs: length of one job, in epochs of four steps.
        step_s: how much longer each step takes.
        seconds: no further pair is begun after so many.
        say: takes a line after each pair.
    """
    preload()
    model = write_mini_model(folder / "model")
    options = {"num_rows": 40, "num_train_epochs": num_epochs, "learning_rate": 3e-3}
    job = make_run(folder / "job", model=model, **options)
    shutil.copytree(job.dir, folder / "clean")
    clean = Run(folder / "clean")
    draw = random.Random(seed)
    soaked = Soak(job, clean, draw, step_s)
    start(clean, live, "", 0.0).join()
    assert clean.status == "completed", clean.log()
    run = soaked.begin(folder / "disturbed-1")
    num_jobs = 1
    end = time.monotonic() + seconds
    for i in range(1, pairs + 1):
        if time.monotonic() > end:
            break
        fault = draw_disturbance(draw)
        known = len(soaked.problems)
        status = soaked.disturb(run, fault)
        step = f"step {run.state().step} of {4 * num_epochs}"
        say(f"{i}/{pairs} {run.id}: {fault} -> {status}, {step}")
        if status == "completed" and i < pairs:
            soaked.finish(run)
            if len(soaked.problems) == known:
                shutil.rmtree(run.dir)
            num_jobs += 1
            run = soaked.begin(folder / f"disturbed-{num_jobs}")
        for problem in soaked.problems[known:]:
            say(f"PROBLEM after pair {i}: {problem}")
    soaked.finish(run)
    return Result(soaked.kinds, num_jobs, soaked.problems)


def main() -> int:
    """Run the long soak and print one line of result."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--minutes", type=float, default=math.inf, help="at most so long")
    parser.add_argument("--epochs", type=int, default=100, help="length of one job")
    parser.add_argument("--folder", type=Path, help="where the runs are kept; default: nowhere")
    asked = parser.parse_args()
    print(f"seed {asked.seed}", flush=True)
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="soak-"))
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    result = soak(
        folder,
        pairs=asked.pairs,
        seed=asked.seed,
        num_epochs=asked.epochs,
        seconds=60 * asked.minutes,
        say=lambda line: print(f"{time.monotonic() - began:6.0f} s {line}", flush=True),
    )
    for problem in result.problems:
        print(problem)
    if asked.folder is None and not result.problems:
        shutil.rmtree(folder)
    kinds = ", ".join(f"{kind} {n}" for kind, n in sorted(result.kinds.items()))
    print(
        f"soak: {len(result.problems)} problems in {result.kinds.total()} pairs, "
        f"seed {asked.seed}, {result.num_jobs} jobs of {4 * asked.epochs} steps, "
        f"{time.monotonic() - began:.0f} s; {kinds}"
    )
    return bool(result.problems)


if __name__ == "__main__":
    sys.exit(main())
