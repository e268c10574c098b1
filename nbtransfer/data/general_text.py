"""A little everyday English: 72 short paragraphs, written for this project.

What a model says of them before and after training on something else shows what it forgot. They
tell of no real person, and stand in no other text that a model could have been trained on.
"""

from __future__ import annotations

from pathlib import Path

FILE = Path(__file__).with_suffix(".txt")


def general_paragraphs() -> list[str]:
    """Return the paragraphs, each of 30 to 50 words."""
    text = FILE.read_text("utf-8")
    return [" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n")]
