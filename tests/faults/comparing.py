"""Whether a disturbed run came to the same as a clean one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from safetensors.torch import load_file

if TYPE_CHECKING:
    from pathlib import Path

    import torch

    from nbtransfer.runs.run import Run


def same_bits(run: Run, clean: Run) -> bool:
    """Whether the kept models are equal in every bit."""
    ours, theirs = (_tensors_in(r.paths.model_dir) for r in (run, clean))
    return ours.keys() == theirs.keys() and all((ours[k] == theirs[k]).all() for k in ours)


def _tensors_in(folder: Path) -> dict[str, torch.Tensor]:
    """Every tensor of a saved model; with frozen features it has two files."""
    files = sorted(folder.glob("*.safetensors"))
    assert files, f"no model in {folder}"
    return {f"{f.stem}/{name}": tensor for f in files for name, tensor in load_file(f).items()}


def rows(run: Run) -> tuple[object, object]:
    """The log's rows, without the clock."""
    state = run.state()
    steps = [row._replace(elapsed_s=0.0) for row in state.steps]
    return steps, [row._replace(elapsed_s=0.0) for row in state.evaluations]


def same_last_checkpoint(run: Run, clean: Run) -> bool:
    """Whether weights and moments after the last step are equal in every bit.

    The kept model may be that of an early step; what came after it shows here.
    """
    name = clean.paths.checkpoint(clean.state().step).name
    for part in ("model.safetensors", "optimizer.safetensors"):
        ours, theirs = (load_file(r.paths.checkpoints_dir / name / part) for r in (run, clean))
        if ours.keys() != theirs.keys() or not all((ours[k] == theirs[k]).all() for k in ours):
            return False
    return True
