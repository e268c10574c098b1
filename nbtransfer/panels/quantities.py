"""Figures in words: times, bytes, shares and learning rates as every panel writes them."""

from __future__ import annotations

import math

from nbtransfer.advice import bytes_text as bytes_text
from nbtransfer.advice import rate_text as rate_text


def duration_text(seconds: float) -> str:
    """Return seconds as a clock reads: `0:07`, `1:58`, `2:05:00`."""
    minutes, rest = divmod(math.ceil(max(seconds, 0)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


def share_text(share: float) -> str:
    """Return a share as a percentage with one decimal; a share that is small but not 0 says so."""
    return "< 0.1 %" if 0 < share < 0.0005 else f"{share * 100:.1f} %"


def count_text(count: float) -> str:
    """Return a large count short: `950`, `30,522`, `22.7 M`, `1.3 B`."""
    if count < 1e6:
        return f"{count:,.0f}"
    return f"{count / 1e6:.1f} M" if count < 999.95e6 else f"{count / 1e9:.1f} B"
