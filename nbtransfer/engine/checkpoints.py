"""Checkpoints: staged, synced, summed, renamed into place, and only then spoken of.

A checkpoint is a folder `step-NNNNNN` with model.safetensors, optimizer.safetensors, state.json and
manifest.json (size and sha256 of each). The order of a save is data, manifest, folder, rename,
parent folder; a crash at any point leaves a staging folder, which no reader takes for a checkpoint.
A checkpoint that is saved anew steps aside as `step-NNNNNN.old` until the new one is in its place.
"""

from __future__ import annotations

import copy
import errno
import hashlib
import json
import re
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from nbtransfer.engine.disk import is_disk_full
from nbtransfer.models.lora import has_adapters
from nbtransfer.runs.faults import reach
from nbtransfer.runs.files import read_json, sync, sync_folder

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import nn

_FILES = ("model.safetensors", "optimizer.safetensors", "state.json")
_MANIFEST = "manifest.json"
_STAGING = ".staging-"
_OLD = ".old"
_NAME = re.compile(r"step-(\d+)(\.old)?")
KEEP = 2


class Snapshot(NamedTuple):
    """A run's whole state at a step, copied to the host: training goes on meanwhile.

    `aliases` names the tensors that share another's storage; they are kept once.
    """

    model: dict[str, torch.Tensor]
    optimizer: dict[str, torch.Tensor]
    aliases: dict[str, str]
    state: dict[str, Any]

    @property
    def num_bytes(self) -> int:
        """Size of the tensors."""
        tensors = (*self.model.values(), *self.optimizer.values())
        return sum(tensor.numel() * tensor.element_size() for tensor in tensors)

    def find_not_finite(self) -> str | None:
        """Return the name of a tensor that learns and holds NaN or an infinity, if there is one.

        Buffers may hold infinities on purpose (attention masks do).
        """
        learning = {key.rpartition("/")[0] for key in self.optimizer}
        tensors = {k: v for k, v in self.model.items() if k in learning} | self.optimizer
        return next((k for k, v in tensors.items() if not bool(v.isfinite().all())), None)

    @classmethod
    def take(
        cls, model: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any]
    ) -> Snapshot:
        """Copy weights and moments to the host.

        Args:
            model: its whole state is kept, tied tensors once; with LoRA, what learns alone.
            optimizer: AdamW's moments of what learns.
            state: everything else, as JSON.
        """
        tensors, aliases = _without_aliases(_kept_state(model))
        moments = _optimizer_tensors(model, optimizer)
        return cls(_copies(tensors), _copies(moments), aliases, copy.deepcopy(state))


class Found(NamedTuple):
    """The newest checkpoint that verifies, and the newer ones that did not, with the reason."""

    folder: Path | None
    skipped: tuple[tuple[str, str], ...]


def save_checkpoint(folder: Path, snapshot: Snapshot) -> int:
    """Write a checkpoint to `folder`, all or nothing.

    Args:
        folder: where it will be; its parent is made as needed.
        snapshot: what it holds.

    Returns:
        The bytes written.

    Raises:
        OSError: if it cannot be written; earlier checkpoints are as they were.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    staging = folder.with_name(_STAGING + folder.name)
    shutil.rmtree(staging, ignore_errors=True)
    reach("checkpoint.staging")
    staging.mkdir()
    old = folder.with_name(folder.name + _OLD)
    try:
        num_bytes = _fill(staging, snapshot)
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
            reach("checkpoint.aside")
            folder.rename(old)
        reach("checkpoint.rename")
        staging.rename(folder)
    except (OSError, SafetensorError) as error:
        shutil.rmtree(staging, ignore_errors=True)
        if old.exists() and not folder.exists():
            old.rename(folder)
        if isinstance(error, OSError):
            raise
        full = is_disk_full(error)
        raise OSError(errno.ENOSPC if full else errno.EIO, str(error)) from error
    reach("checkpoint.parent")
    sync_folder(folder.parent)
    reach("checkpoint.clear")
    shutil.rmtree(old, ignore_errors=True)
    return num_bytes


def _fill(staging: Path, snapshot: Snapshot) -> int:
    """Write and sync a checkpoint's files and then their folder; return their bytes."""
    reach("checkpoint.model")
    save_file(snapshot.model, staging / _FILES[0])
    reach("checkpoint.optimizer")
    save_file(snapshot.optimizer, staging / _FILES[1])
    reach("checkpoint.state")
    # NaN is written as such (a validation loss can be), for only this module reads it again.
    state = {**snapshot.state, "aliases": snapshot.aliases}
    (staging / _FILES[2]).write_text(json.dumps(state))
    manifest: dict[str, dict[str, Any]] = {}
    for name in _FILES:
        reach("checkpoint.sync")
        # safetensors writes 0600. Asking for the umask would set it, for the other threads too.
        (staging / name).chmod((staging / _FILES[2]).stat().st_mode)
        _make_durable(staging / name)
        manifest[name] = {
            "num_bytes": (staging / name).stat().st_size,
            "sha256": _sha256(staging / name),
        }
    reach("checkpoint.manifest")
    (staging / _MANIFEST).write_text(json.dumps({"v": 1, "files": manifest}))
    reach("checkpoint.manifest_sync")
    _make_durable(staging / _MANIFEST)
    reach("checkpoint.folder")
    sync_folder(staging)
    return sum(entry["num_bytes"] for entry in manifest.values())


def load_model_state(folder: Path, model: nn.Module) -> None:
    """Put a checkpoint's weights into `model`."""
    tensors = load_file(folder / _FILES[0])
    for alias, name in read_state(folder)["aliases"].items():
        tensors[alias] = tensors[name]
    adapted = has_adapters(model)
    if adapted and tensors.keys() != _kept_state(model).keys():
        raise RuntimeError(f"{folder.name} holds other weights than those that learn")
    model.load_state_dict(tensors, strict=not adapted)


def read_state(folder: Path) -> dict[str, Any]:
    """Return what a checkpoint holds besides its tensors."""
    return read_json(folder / _FILES[2])


def load_checkpoint(folder: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Put a checkpoint's weights and moments in place; they are those of such a model."""
    load_model_state(folder, model)
    tensors = load_file(folder / _FILES[1])
    for name, parameter in model.named_parameters():
        moments = {
            key.rpartition("/")[2]: tensor
            for key, tensor in tensors.items()
            if key.rpartition("/")[0] == name
        }
        if moments:
            optimizer.state[parameter] = {
                # AdamW keeps its step count on the CPU unless fused on an accelerator.
                key: tensor.to(parameter.device)
                if key != "step" or _step_on_device(parameter)
                else tensor
                for key, tensor in moments.items()
            }


def newest_checkpoint(checkpoints_dir: Path) -> Found:
    """Return the newest checkpoint whose every file has the size and sha256 its manifest says."""
    skipped: list[tuple[str, str]] = []
    for folder in reversed(_checkpoints(checkpoints_dir)):
        reason = damage(folder)
        if reason is None:
            return Found(folder, tuple(skipped))
        skipped.append((folder.name, reason))
    return Found(None, tuple(skipped))


def damage(folder: Path) -> str | None:
    """Return what is wrong with the checkpoint in `folder`, in words, or None if it verifies."""
    try:
        files = read_json(folder / _MANIFEST)["files"]
        promised = {name: (files[name]["num_bytes"], files[name]["sha256"]) for name in _FILES}
    except FileNotFoundError:
        return "manifest.json is missing"
    except (OSError, ValueError, KeyError, TypeError):
        return "manifest.json is damaged"
    for name in _FILES:
        path = folder / name
        try:
            if not path.is_file():
                return f"{name} is missing"
            if path.stat().st_size != promised[name][0]:
                return f"{name} has {path.stat().st_size} bytes, not what the manifest says"
            reach("damage.read")
            if _sha256(path) != promised[name][1]:
                return f"{name} differs from its sha256"
        except OSError as error:
            return f"{name} cannot be read ({error.strerror})"
    return None


def prune(checkpoints_dir: Path, saved: str, best: str | None) -> None:
    """Remove what is no longer needed, and what a crash left behind.

    Args:
        checkpoints_dir: the folder of all checkpoints.
        saved: the one just made. It and the one before it are kept; later ones are from before a
            resume that did not take them, so they are damaged.
        best: the one of the best evaluation, kept too.
    """
    folders = _checkpoints(checkpoints_dir)
    names = [folder.name for folder in folders]
    if saved not in names:  # somebody else took it away: then what is left is all there is
        return
    at = names.index(saved)
    keep = {*names[max(0, at + 1 - KEEP) : at + 1], best}
    for folder in folders:
        if folder.name not in keep:
            reach("checkpoint.prune")
            shutil.rmtree(folder, ignore_errors=True)
    for folder in checkpoints_dir.glob(_STAGING + "*"):
        shutil.rmtree(folder, ignore_errors=True)


def _checkpoints(checkpoints_dir: Path) -> list[Path]:
    """Return the checkpoints' folders, oldest first; by number, for names sort by letters."""
    found = [(_NAME.fullmatch(path.name), path) for path in checkpoints_dir.glob("step-*")]
    ordered = sorted((int(m[1]), m[2] is None, path) for m, path in found if m is not None)
    return [path for *_, path in ordered]


def _kept_state(model: nn.Module) -> dict[str, torch.Tensor]:
    """Return what of a model a checkpoint holds.

    Adapters are thin, and what they stand beside is where the model came from: the job's identity
    knows it by its hash.
    """
    state: dict[str, torch.Tensor] = model.state_dict()
    if not has_adapters(model):
        return state
    return {name: state[name] for name, p in model.named_parameters() if p.requires_grad}


def _without_aliases(
    tensors: dict[str, torch.Tensor],
) -> tuple[dict[str, torch.Tensor], dict[str, str]]:
    """Return `tensors` with those that share storage once, and alias -> name kept."""
    names: dict[tuple[object, ...], str] = {}
    aliases: dict[str, str] = {}
    kept: dict[str, torch.Tensor] = {}
    for name, tensor in tensors.items():
        key = (tensor.data_ptr(), tensor.shape, tensor.stride(), tensor.dtype)
        if tensor.numel() and key in names:
            aliases[name] = names[key]
            continue
        names[key] = name
        kept[name] = tensor
    return kept, aliases


def _copies(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in tensors.items()
    }


def _optimizer_tensors(
    model: nn.Module, optimizer: torch.optim.Optimizer
) -> dict[str, torch.Tensor]:
    """Return AdamW's state by `parameter name/field`."""
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def _step_on_device(parameter: torch.Tensor) -> bool:
    return parameter.device.type == "cuda"  # fused AdamW counts on the device


def _make_durable(path: Path) -> None:
    with path.open("rb+") as file:
        sync(file.fileno())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
