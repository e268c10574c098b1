"""What loading costs, each in a fresh interpreter."""

import json
import subprocess
import sys

import pytest

HEAVY = ["torch", "transformers", "accelerate", "datasets", "pandas", "plotly", "ipywidgets"]
HEAVY += ["sklearn", "pyarrow", "numpy", "matplotlib"]

LOADING = """
import json, sys, time
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config
config = Config()
config.HistoryManager.enabled = False
shell = InteractiveShell.instance(config=config)
shell.run_cell("pass")
before = set(sys.modules)

def timed(code):
    start = time.perf_counter()
    result = shell.run_cell(code)
    assert result.success, code
    return time.perf_counter() - start

# A part of the standard library that is as large as what the extension needs, as the measure.
peer = timed("import unittest.mock")
load = timed("%load_ext nbtransfer")
again = [timed("%reload_ext nbtransfer") for _ in range(3)]
print(json.dumps([load, peer, min(again), sorted(set(sys.modules) - before)]))
"""


def fresh(code):
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_loading_the_extension_is_quick_and_imports_nothing_heavy():
    load, peer, _, loaded = fresh(LOADING)
    print(f"%load_ext nbtransfer: {load * 1000:.0f} ms; {load / peer:.2f} x unittest.mock")
    assert not set(HEAVY) & {name.split(".")[0] for name in loaded}
    assert "nbtransfer.magics.arguments" not in loaded, "the magics' code is imported on call"
    # On a quiet machine 10 ms and 0.5 x; several times that is a new import.
    assert load < 0.05 or load / peer < 4


@pytest.mark.parametrize(
    "code",
    [
        "import nbtransfer; dir(nbtransfer); nbtransfer.options; nbtransfer.RunSpec",
        "import nbtransfer; nbtransfer.finetune; nbtransfer.Run; nbtransfer.Plan",
        "from nbtransfer.magics.arguments import parse; parse('finetune', 'm d --epochs 3')",
        "from nbtransfer.magics.completion import Place, complete; "
        "assert complete(Place('finetune', '--tech'), {}) == ('--tech', ['--technique'])",
    ],
)
def test_nothing_heavy_is_imported_by(code):
    loaded = fresh(f"import json, sys\n{code}\nprint(json.dumps(sorted(sys.modules)))")
    assert not set(HEAVY) & {name.split(".")[0] for name in loaded}
