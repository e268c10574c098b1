"""`demo:questions`: 62 short paragraphs with four questions each, written for this project.

Most tell of invented people and places, the others state well-known facts. 27 questions have no
answer in their paragraph. A paragraph's questions are all in one split.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from nbtransfer.data.columns import table_from_columns
from nbtransfer.data.tables import Tables

FILE = Path(__file__).with_suffix(".jsonl")
DESCRIPTION = "248 English questions on 62 paragraphs, 27 without an answer; split by paragraph"


def load_questions() -> Tables:
    """Return the questions as SQuAD's columns: title, context, question, answers."""
    splits: dict[str, dict[str, list[Any]]] = {
        split: {"title": [], "context": [], "question": [], "answers": []}
        for split in ("train", "validation", "test")
    }
    for line in FILE.read_text(encoding="utf-8").splitlines():
        paragraph = json.loads(line)
        columns = splits[paragraph["split"]]
        for asked in paragraph["qas"]:
            columns["title"].append(paragraph["title"])
            columns["context"].append(paragraph["context"])
            columns["question"].append(asked["question"])
            columns["answers"].append(asked["answers"])
    tables = {split: table_from_columns(columns) for split, columns in splits.items()}
    return Tables("demo:questions", "written for nbtransfer", tables)
