"""What the worker's memory grows by when the rows are four times as many."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest

from tests.engine.jobs import make_run

pytestmark = [pytest.mark.benchmark, pytest.mark.slow]

# Anonymous memory alone: pages of a mapped file can be taken back at any time.
_LOADED = """
import re, sys, threading, time
from pathlib import Path
from types import SimpleNamespace
import nbtransfer.engine.train
import pyarrow.parquet
from nbtransfer.engine.loading import load_run
from nbtransfer.runs import cache
from nbtransfer.runs.run import Run

cache._READ_BYTES = 0  # what is read whole, for safety, is no measure of what is not

def in_use():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

def watch():
    while True:
        peak.append(max(peak.pop(), in_use()))
        time.sleep(0.005)

before = in_use()
peak = [before]
threading.Thread(target=watch, daemon=True).start()
load_run(Run(Path(sys.argv[1])), SimpleNamespace(append=lambda *_, **__: None))
time.sleep(0.1)
print(peak[0] - before)
"""


WORDS = ("film", "good", "slow", "bright", "story", "acting", "plot", "warm", "music", "scene")


def text(draw, i):
    return {"text": f"{' '.join(draw.choices(WORDS, k=23))} {i}", "label": "xy"[i % 2]}


def tagged(draw, i):
    """Of as many tokens."""
    tags = ["B-X", "I-X", *["O"] * 22]
    return {"tokens": [*draw.choices(WORDS, k=23), str(i)], "ner_tags": tags}


def question(draw, i):
    """Of as many tokens, too."""
    context = f"{' '.join(draw.choices(WORDS, k=15))} {i}"
    answer = {"text": [str(i)], "answer_start": [context.rindex(" ") + 1]}
    return {"question": "what is it about ?", "context": context, "answers": answer}


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("kind", [text, tagged, question])
def test_rows_of_text_take_next_to_no_memory(tmp_path, kind):
    grown = {}
    for num_rows in (50_000, 200_000):
        draw = random.Random(0)
        rows = [kind(draw, i) for i in range(num_rows)]
        run = make_run(tmp_path / str(num_rows), data=rows)
        command = [sys.executable, "-c", _LOADED, str(run.dir)]
        grown[num_rows] = float(subprocess.run(command, capture_output=True, check=True).stdout)
    print({rows: f"{megabytes:.0f} MB" for rows, megabytes in grown.items()})
    # Some numbers a row: 150,000 rows held whole, their tokens twice, took 87 MB.
    assert grown[200_000] - grown[50_000] < 35
