"""Tests of nbtransfer.hardware: recorded nvidia-smi answers and container files, no GPU."""

import subprocess
from types import SimpleNamespace

import pytest

from nbtransfer import hardware
from nbtransfer.hardware import detect_hardware, list_gpus, on_cpu

H100 = "0, GPU-aaaa-1, NVIDIA H100 80GB HBM3, 81559, 80994, 9.0"
T4 = "1, GPU-bbbb-2, Tesla T4, 15360, 3000, 7.5"


@pytest.fixture
def nvidia_smi(monkeypatch):
    """Let nvidia-smi answer with the given rows of GPUs and of processes."""
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)

    def arrange(*gpus, processes=()):
        def answer(command, **options):
            assert options["timeout"] <= 2
            rows = gpus if "--query-gpu" in command[1] else processes
            return SimpleNamespace(stdout="\n".join(rows) + "\n")

        monkeypatch.setattr(hardware.shutil, "which", lambda name: "/usr/bin/nvidia-smi")
        monkeypatch.setattr(hardware.subprocess, "run", answer)

    return arrange


@pytest.fixture
def torch_version(monkeypatch):
    def arrange(version):
        monkeypatch.setattr(hardware, "_version", lambda package: version)

    arrange("2.13.0+cu130")
    return arrange


@pytest.fixture
def container(monkeypatch, tmp_path):
    """Write the container's limits as files of a control group."""
    monkeypatch.setattr(hardware, "_CGROUP", tmp_path)

    def arrange(files):
        for name, text in files.items():
            file = tmp_path / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    return arrange


def test_a_gpu_is_described(nvidia_smi, torch_version, tmp_path):
    nvidia_smi(H100)
    found = detect_hardware(tmp_path)
    assert (found.device, found.name) == ("cuda", "NVIDIA H100 80GB HBM3")
    assert found.memory_bytes == 81559 * 2**20
    assert found.free_bytes == 80994 * 2**20
    assert found.bf16
    assert found.num_devices == 1
    assert found.host_memory_bytes > 0
    assert found.gpu_users == ()


def test_a_t4_has_no_bf16_and_its_users_are_named(nvidia_smi, torch_version, tmp_path):
    nvidia_smi(T4, processes=["GPU-bbbb-2, 4711, 12000", "GPU-aaaa-1, 12, 100"])
    found = detect_hardware(tmp_path)
    assert not found.bf16 and found.fp16
    assert found.gpu_users == ("process 4711 holds 12.6 GB",)


def test_the_cpu_build_of_torch_is_pointed_out(nvidia_smi, torch_version, tmp_path):
    nvidia_smi(H100)
    torch_version("2.13.0+cpu")
    found = detect_hardware(tmp_path)
    assert found.device == "cpu"
    assert "the installed torch (2.13.0+cpu) is the CPU build" in found.advice


@pytest.mark.parametrize(
    ("visible", "names"),
    [
        ("1,0", ["Tesla T4", "NVIDIA H100 80GB HBM3"]),
        ("1", ["Tesla T4"]),
        ("GPU-bbbb", ["Tesla T4"]),
        ("0,7,1", ["NVIDIA H100 80GB HBM3"]),
        ("", []),
        ("-1", []),
    ],
)
def test_only_visible_gpus_count(nvidia_smi, monkeypatch, visible, names):
    nvidia_smi(H100, T4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [gpu.name for gpu in list_gpus()] == names


def test_odd_rows_are_passed_over(nvidia_smi):
    nvidia_smi("", "No devices were found", "0, GPU-c, GB10, [N/A], [N/A], 12.1")
    assert [(gpu.name, gpu.memory_bytes) for gpu in list_gpus()] == [("GB10", 0)]


@pytest.mark.parametrize(
    "error",
    [
        subprocess.TimeoutExpired("nvidia-smi", 2),
        subprocess.CalledProcessError(9, "nvidia-smi"),
        PermissionError("not executable"),
    ],
)
def test_a_driver_that_does_not_answer_means_no_gpu(nvidia_smi, monkeypatch, error):
    nvidia_smi(H100)

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(hardware.subprocess, "run", fail)
    assert list_gpus() == []


def test_the_gpu_can_be_left_aside(nvidia_smi, torch_version, tmp_path):
    nvidia_smi(H100, T4)
    found = detect_hardware(tmp_path)
    assert found.num_devices == 2
    alone = on_cpu(found)
    assert (alone.device, alone.name, alone.bf16) == ("cpu", found.cpu_name, False)
    assert alone.memory_bytes == found.host_memory_bytes
    assert alone.free_bytes == found.host_free_bytes


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "150000 100000"}, 1.5),
        ({"cpu.max": "max 100000"}, None),
        ({"cpu/cpu.cfs_quota_us": "200000", "cpu/cpu.cfs_period_us": "100000"}, 2.0),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_a_containers_share_of_the_cpu(container, files, cores):
    container(files)
    assert hardware._cgroup_quota() == cores


@pytest.mark.parametrize(
    "files",
    [
        {"memory.max": "1000000", "memory.current": "400000"},
        {"memory/memory.limit_in_bytes": "1000000", "memory/memory.usage_in_bytes": "400000"},
    ],
)
def test_a_containers_memory_limit_counts(container, files):
    container(files)
    assert hardware._host_memory() == (1_000_000, 600_000)


def test_without_a_limit_the_machines_memory_counts(container):
    import psutil

    container({"memory.max": "max", "memory.current": "400000"})
    assert hardware._host_memory()[0] == psutil.virtual_memory().total


def test_every_core_is_a_thread_whatever_else_is_running(nvidia_smi, monkeypatch, tmp_path):
    monkeypatch.setattr(hardware.shutil, "which", lambda name: None)
    monkeypatch.setattr(hardware, "_num_cores", lambda: 3)
    found = detect_hardware(tmp_path / "not" / "yet" / "made")
    assert found.num_threads == 3
    assert found.disk_free_bytes > 0
