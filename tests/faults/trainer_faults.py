"""What is done to a life of transformers' Trainer: each at a step or a call that is counted."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.faults.no_sync import refuse_sync

if TYPE_CHECKING:
    from collections.abc import Callable

    from transformers import Trainer


def _before(owner: Any, name: str, count: int, act: Callable[[], None]) -> None:
    """Call `act` before the count-th call of `owner.name`."""
    call = getattr(owner, name)
    calls = 0

    def called(*arguments: Any, **keywords: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == count:
            act()
        return call(*arguments, **keywords)

    setattr(owner, name, called)


def _kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _disk_full() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _kill_before_model(trainer: Trainer, save: int) -> None:
    _before(trainer.model, "save_pretrained", save, _kill)


def _kill_before_optimizer(trainer: Trainer, save: int) -> None:
    _before(trainer, "_save_optimizer_and_scheduler", save, _kill)


def _kill_before_rng(trainer: Trainer, save: int) -> None:
    _before(trainer, "_save_rng_state", save, _kill)


def _kill_before_state(trainer: Trainer, save: int) -> None:
    from transformers.trainer_callback import TrainerState

    _before(TrainerState, "save_to_json", save, _kill)


def _kill_before_step(trainer: Trainer, step: int) -> None:
    _before(trainer, "training_step", step, _kill)


def _disk_full_at_optimizer(trainer: Trainer, save: int) -> None:
    _before(trainer, "_save_optimizer_and_scheduler", save, _disk_full)


def _nan_at_step(trainer: Trainer, step: int) -> None:
    def spoil() -> None:
        trainer.model.classifier.bias.data[0] = float("nan")

    _before(trainer, "training_step", step, spoil)


def _out_of_memory_at_step(trainer: Trainer, step: int) -> None:
    def refuse() -> None:
        import torch

        raise torch.OutOfMemoryError("CUDA out of memory. (planned)")

    _before(trainer, "training_step", step, refuse)


def _device_dead_at_step(trainer: Trainer, step: int) -> None:
    def fail() -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    _before(trainer, "training_step", step, fail)


def _interrupt() -> None:
    """As a kernel's Interrupt does: KeyboardInterrupt, right here."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in a shell's background
    os.kill(os.getpid(), signal.SIGINT)


def _interrupt_in_step(trainer: Trainer, step: int) -> None:
    _before(trainer, "compute_loss", step, _interrupt)


def _interrupt_in_save(trainer: Trainer, save: int) -> None:
    _before(trainer, "_save_optimizer_and_scheduler", save, _interrupt)


def _terminate_at_step(trainer: Trainer, step: int) -> None:
    _before(trainer, "training_step", step, lambda: os.kill(os.getpid(), signal.SIGTERM))


def _terminate_in_long_step(trainer: Trainer, step: int) -> None:
    """SIGTERM in a step that takes longer than the three seconds Trainer waits after it."""

    def terminate() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(4)

    _before(trainer, "training_step", step, terminate)


def _kill_in_pruning(trainer: Trainer, count: int) -> None:
    """SIGKILL once a checkpoint is half removed."""
    remove = shutil.rmtree

    def half_removed(folder: Any, *arguments: Any, **keywords: Any) -> None:
        (Path(folder) / "model.safetensors").unlink()
        _kill()
        remove(folder, *arguments, **keywords)

    shutil.rmtree = half_removed


def change_one_weight(folder: Path) -> None:
    """Change one weight of the model saved in `folder`."""
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["classifier.bias"][0] += 0.01
    save_file(tensors, path, metadata={"format": "pt"})


def _save_other_weights(trainer: Trainer, save: int) -> None:
    """One weight of the model is another on the disk than in memory."""
    write = trainer.model.save_pretrained
    saves = 0

    def written(folder: Any, *arguments: Any, **keywords: Any) -> None:
        nonlocal saves
        write(folder, *arguments, **keywords)
        saves += 1
        if saves == save:
            change_one_weight(Path(folder))

    trainer.model.save_pretrained = written


def _display_fails_at_update(trainer: Trainer, update: int) -> None:
    """The bar that Trainer draws in notebooks cannot be drawn once."""
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.display import DisplayHandle
    from transformers import PrinterCallback
    from transformers.utils.notebook import NotebookProgressCallback

    def fail() -> None:
        raise ConnectionError("the front end has gone")

    InteractiveShell.instance()
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(NotebookProgressCallback)
    _before(DisplayHandle, "update", update, fail)


def _sync_deadly(trainer: Trainer, _: int) -> None:
    refuse_sync(deadly=True)


def _wait_before_step(trainer: Trainer, step: int) -> None:
    """Wait until somebody writes a file `go` beside the job's folder."""
    go = Path(trainer.args.output_dir).with_suffix(".go")

    def wait() -> None:
        while not go.exists():
            time.sleep(0.02)

    _before(trainer, "training_step", step, wait)


FAULTS: dict[str, Callable[[Trainer, int], None]] = {
    "kill before model": _kill_before_model,
    "kill before optimizer": _kill_before_optimizer,
    "kill before rng": _kill_before_rng,
    "kill before state": _kill_before_state,
    "kill before step": _kill_before_step,
    "disk full at optimizer": _disk_full_at_optimizer,
    "nan at step": _nan_at_step,
    "out of memory at step": _out_of_memory_at_step,
    "device dead at step": _device_dead_at_step,
    "interrupt in step": _interrupt_in_step,
    "interrupt in save": _interrupt_in_save,
    "terminate at step": _terminate_at_step,
    "terminate in long step": _terminate_in_long_step,
    "kill in pruning": _kill_in_pruning,
    "other weights at save": _save_other_weights,
    "display fails at update": _display_fails_at_update,
    "sync deadly": _sync_deadly,
    "wait before step": _wait_before_step,
}
