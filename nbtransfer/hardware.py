"""What this machine offers a run, found without torch: device, memory, cores and free disk."""

from __future__ import annotations

import dataclasses
import importlib.metadata
import math
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

_SMI_TIMEOUT_S = 2.0
_GPU_FIELDS = "index,uuid,name,memory.total,memory.free,compute_cap"
# Units for float16 came with the Volta generation, for bfloat16 and tf32 with Ampere.
_FP16_CAPABILITY, _BF16_CAPABILITY = 7.0, 8.0
_CGROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, kw_only=True)
class Hardware:
    """One machine as a run would use it.

    Attributes:
        device: where the model would train.
        name: the device's name.
        num_devices: how many of them; one is used.
        num_cores: CPU cores this process may use.
        num_threads: all of the cores, whatever else is running: another number of threads adds up
            in another order, and the same cell would give other bits.
        memory_bytes: all memory of the device (the machine's own for `cpu` and `mps`).
        free_bytes: what is free of it.
        disk_free_bytes: free space where runs are kept.
        bf16: the device computes in bfloat16 itself, without emulation.
        fp16: the device has units for float16.
        cpu_name: the processor's name.
        host_memory_bytes: the machine's own memory.
        host_free_bytes: what is free of it.
        gpu_users: other programs that hold the device's memory, in words.
        advice: a sentence for the user where something better is within reach.
    """

    device: Literal["cpu", "cuda", "mps"]
    name: str
    num_devices: int
    num_cores: int
    num_threads: int
    memory_bytes: int
    free_bytes: int
    disk_free_bytes: int
    bf16: bool
    fp16: bool = False
    cpu_name: str = "CPU"
    host_memory_bytes: int = 0
    host_free_bytes: int = 0
    gpu_users: tuple[str, ...] = ()
    advice: str = ""


class Gpu(NamedTuple):
    """One row of nvidia-smi."""

    name: str
    uuid: str
    memory_bytes: int
    free_bytes: int
    capability: float


def detect_hardware(runs_dir: Path) -> Hardware:
    """Return what this machine offers now; slow only where nvidia-smi is."""
    memory_bytes, free_bytes = _host_memory()
    num_cores = _num_cores()
    host = Hardware(
        device="cpu",
        name=_cpu_name(),
        num_devices=1,
        num_cores=num_cores,
        num_threads=num_cores,
        memory_bytes=memory_bytes,
        free_bytes=free_bytes,
        disk_free_bytes=_disk_free(runs_dir),
        bf16=_cpu_has_bf16(),
        cpu_name=_cpu_name(),
        host_memory_bytes=memory_bytes,
        host_free_bytes=free_bytes,
    )
    return _with_accelerator(host)


def _with_accelerator(host: Hardware) -> Hardware:
    gpus = list_gpus()
    torch_version = _version("torch")
    if gpus and torch_version.endswith("+cpu"):
        return dataclasses.replace(
            host,
            advice=f"This machine has a GPU ({gpus[0].name}), but the installed torch "
            f"({torch_version}) is the CPU build. Install the CUDA build: pip install "
            "--force-reinstall torch.",
        )
    if gpus:
        gpu = gpus[0]
        return dataclasses.replace(
            host,
            device="cuda",
            name=gpu.name,
            num_devices=len(gpus),
            memory_bytes=gpu.memory_bytes,
            free_bytes=gpu.free_bytes,
            bf16=gpu.capability >= _BF16_CAPABILITY,
            fp16=gpu.capability >= _FP16_CAPABILITY,
            gpu_users=_gpu_users(gpu) if gpu.free_bytes < 0.8 * gpu.memory_bytes else (),
        )
    if sys.platform == "darwin" and platform.machine() == "arm64":
        return dataclasses.replace(host, device="mps", name=f"GPU of {host.cpu_name}", bf16=False)
    return host


def on_cpu(hardware: Hardware) -> Hardware:
    """Return the same machine with its accelerator left aside."""
    if hardware.device == "cpu":
        return hardware
    return dataclasses.replace(
        hardware,
        device="cpu",
        name=hardware.cpu_name,
        num_devices=1,
        memory_bytes=hardware.host_memory_bytes,
        free_bytes=hardware.host_free_bytes,
        bf16=False,
        fp16=False,
        gpu_users=(),
    )


def list_gpus() -> list[Gpu]:
    """Return the NVIDIA GPUs that CUDA would show this process, in its order."""
    rows = _nvidia_smi(f"--query-gpu={_GPU_FIELDS}")
    by_key: dict[str, Gpu] = {}
    for row in rows:
        if len(row) != 6:
            continue
        index, uuid, name, total, free, capability = row
        by_key[index] = Gpu(name, uuid, _mib(total), _mib(free), _number(capability))
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return list(by_key.values())
    chosen = []
    for key in (part.strip() for part in visible.split(",")):
        by_uuid = (g for g in by_key.values() if key.startswith("GPU-") and g.uuid.startswith(key))
        gpu = by_key.get(key) or next(by_uuid, None)
        if gpu is None:  # CUDA stops at the first device it does not know
            break
        chosen.append(gpu)
    return chosen


def _gpu_users(gpu: Gpu) -> tuple[str, ...]:
    rows = _nvidia_smi("--query-compute-apps=gpu_uuid,pid,used_memory")
    return tuple(
        f"process {row[1]} holds {_mib(row[2]) / 1e9:.1f} GB"
        for row in rows
        if len(row) == 3 and row[0] == gpu.uuid
    )


def _nvidia_smi(query: str) -> list[list[str]]:
    """Return the rows of one nvidia-smi query; none where no driver answers."""
    binary = shutil.which("nvidia-smi")
    if binary is None:
        return []
    try:
        answer = subprocess.run(
            [binary, query, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=_SMI_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return []
    return [[part.strip() for part in line.split(",")] for line in answer.stdout.splitlines()]


def _mib(text: str) -> int:
    return int(_number(text) * 2**20)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:  # "[N/A]", on devices that share the machine's memory
        return 0.0


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _num_cores() -> int:
    """Return the cores to use: fewer than the machine has in a container or under taskset."""
    import psutil

    allowed = _num_allowed_cores()
    # A few logical cores are all used; of many, the second half shares units with the first.
    physical = psutil.cpu_count(logical=False) or allowed
    return allowed if allowed <= 4 else min(allowed, max(physical, 4))


def _num_allowed_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        count = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count() or 1
    quota = _cgroup_quota()
    return max(1, min(count, math.ceil(quota))) if quota else count


def _cgroup_quota() -> float | None:
    """Return the CPU limit of a container in cores, None where there is none."""
    words = _read(_CGROUP / "cpu.max").split()
    if len(words) == 2 and words[0] != "max":
        return _number(words[0]) / (_number(words[1]) or 1) or None
    folder = _CGROUP / "cpu"
    quota, period = (_number(_read(folder / f"cpu.cfs_{n}_us")) for n in ("quota", "period"))
    return quota / period if quota > 0 and period > 0 else None


def _host_memory() -> tuple[int, int]:
    """Return all and free memory, a container's limit applied."""
    import psutil

    memory = psutil.virtual_memory()
    limit, used = _read(_CGROUP / "memory.max"), _read(_CGROUP / "memory.current")
    if not limit:
        folder = _CGROUP / "memory"
        limit = _read(folder / "memory.limit_in_bytes")
        used = _read(folder / "memory.usage_in_bytes")
    total = int(_number(limit))
    if not 0 < total < memory.total:
        return memory.total, memory.available
    return total, max(0, min(memory.available, total - int(_number(used))))


def _disk_free(folder: Path) -> int:
    existing = next((p for p in (folder, *folder.parents) if p.exists()), Path())
    return shutil.disk_usage(existing).free


def _cpu_name() -> str:
    for line in _read(Path("/proc/cpuinfo")).splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine() or "CPU"


def _cpu_has_bf16() -> bool:
    flags = _read(Path("/proc/cpuinfo")).split()
    return "avx512_bf16" in flags or "amx_bf16" in flags


def _read(file: Path) -> str:
    try:
        return file.read_text(errors="replace").strip()
    except OSError:
        return ""
