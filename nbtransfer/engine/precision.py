"""The arithmetic of a worker's passes: as planned, or float32 where the device cannot do it."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping

    from accelerate import Accelerator

    from nbtransfer.planning import Plan
    from nbtransfer.runs.events import EventWriter
    from nbtransfer.runs.usage import Usage

_TRIAL = "import torch; a = torch.ones(64, 64, dtype=torch.bfloat16); print(float((a @ a).sum()))"
_TRIAL_GIVES = "262144.0"
_TRIAL_S = 120.0


def usable_precision(plan: Plan | Usage, events: EventWriter) -> str:
    """Return the arithmetic of the passes: `fp32`, `tf32`, `bf16` or `fp16`; weights are float32.

    Where it is not the planned one, the log says why.
    """
    wanted, reason = plan.precision, None
    if plan.device == "cuda" and not torch.cuda.is_available():
        reason = "this build of torch sees no CUDA device"
        events.append("plan_changed", field="device", old="cuda", new="cpu", reason=reason)
        return "fp32"
    if plan.device == "cuda":
        if wanted in ("bf16", "tf32") and not torch.cuda.is_bf16_supported(
            including_emulation=False
        ):
            reason = f"this device has no {wanted} units"
    elif wanted == "bf16":
        reason = _why_no_bf16_on_cpu()
    if reason is None:
        return wanted
    events.append("plan_changed", field="precision", old=wanted, new="fp32", reason=reason)
    return "fp32"


def set_precision(precision: str) -> str:
    """Let torch compute float32 products as `precision` says; return accelerate's name for it.

    tf32 (19 bits a factor, float32 sums) is all of torch's doing; a warm worker may have had it on
    for the run before.
    """
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    return precision if precision in ("bf16", "fp16") else "no"


def set_determinism(wanted: bool) -> None:
    """Let torch take only operations that give the same bits each time, and fail where it has none.

    Allowed to warn instead of failing, torch would leave attention's backward pass on CUDA as it
    is, though it has another. A warm worker may have had this on for the run before.
    """
    torch.use_deterministic_algorithms(wanted)
    # As far as the first takes it, every new tensor would be filled, for programs that read what
    # they have never written.
    torch.utils.deterministic.fill_uninitialized_memory = not wanted


def _why_no_bf16_on_cpu() -> str | None:
    """Return what happens to a process that multiplies in bf16 here, unless it goes well.

    A processor may list units whose first use ends the process: virtual machines do that.
    """
    try:
        trial = subprocess.run(
            [sys.executable, "-c", _TRIAL], capture_output=True, text=True, timeout=_TRIAL_S
        )
    except subprocess.TimeoutExpired:
        return f"a product in bf16 took over {_TRIAL_S:g} s on this processor"
    if trial.returncode < 0:
        return f"a product in bf16 ends a process on this processor (signal {-trial.returncode})"
    if trial.stdout.strip() != _TRIAL_GIVES:
        return "this processor and torch give no products in bf16"
    return None


def scaler_state(accelerator: Accelerator) -> dict[str, Any]:
    """Return how fp16's loss is scaled now, for a checkpoint; nothing in other precisions."""
    scaler = accelerator.scaler
    return {} if scaler is None else {"scaler": scaler.state_dict()}


def load_scaler_state(accelerator: Accelerator, state: Mapping[str, Any]) -> None:
    """Scale fp16's loss as a checkpoint says, where it says so."""
    if accelerator.scaler is not None and state.get("scaler"):
        accelerator.scaler.load_state_dict(state["scaler"])
