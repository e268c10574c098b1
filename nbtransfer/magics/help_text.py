"""What `--help` prints: a magic's help and its options by group."""

from __future__ import annotations

import textwrap

from nbtransfer.magics.options import SYNTAX, Option
from nbtransfer.magics.table import BY_NAME

_WIDTH = 96
_INDENT = 34


def help_text(magic: str) -> str:
    """Return a magic's help with every option, grouped."""
    groups: dict[str, list[Option]] = {}
    for option in SYNTAX[magic].options:
        if option.help:
            groups.setdefault(option.group, []).append(option)
    parts = [BY_NAME[magic].help]
    for group, options in groups.items():
        parts.append("\n".join([f"{group}:", *map(_line, options)]))
    return "\n\n".join(parts)


def _line(option: Option) -> str:
    listed = "|".join(option.choices)
    if len(listed) > _WIDTH - _INDENT:  # Tab shows them; here the option's own name has to do
        listed = option.flags[0].strip("-").upper()
    value = listed or {
        "switch": "", "number": "NUMBER", "whole": "N", "column": "COLUMN", "run": "RUN",
        "live_run": "[RUN]", "folder": "FOLDER", "file": "FILE", "model": "MODEL",
        "corpus": "CORPUS",
    }.get(option.kind, "VALUE")  # fmt: skip
    others = f" ({', '.join(option.flags[1:])})" if option.flags[1:] else ""
    left = f"  {option.flags[0]} {value}".rstrip()
    right = textwrap.wrap(option.help + others, _WIDTH - _INDENT, break_on_hyphens=False)
    if len(left) >= _INDENT:
        return "\n".join([left, *(" " * _INDENT + line for line in right)])
    return "\n".join([f"{left:<{_INDENT}}{right[0]}", *(" " * _INDENT + r for r in right[1:])])
