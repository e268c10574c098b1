"""Keeping secrets out of what is written and shown."""

from __future__ import annotations

import os
import re

_TOKEN = re.compile(r"\b(?:hf|api_org|sk|ghp|gho|github_pat|glpat|xox[abp])[_-][A-Za-z0-9_-]{16,}")
_SECRET_NAME = re.compile(r"TOKEN|SECRET|PASSWORD|API_?KEY|CREDENTIAL", re.IGNORECASE)


def redact(text: str) -> str:
    """Return `text` without what looks like a token, and without the values of secret variables."""
    # The longest first: a value that begins another must not leave the rest of it standing.
    for name, value in sorted(os.environ.items(), key=lambda pair: -len(pair[1])):
        if _SECRET_NAME.search(name) and len(value) >= 8:
            text = text.replace(value, f"<{name}>")
    return _TOKEN.sub("<secret>", text)
