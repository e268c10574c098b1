"""Tab in magic lines and in the body of `%%finetune`; the candidates are found in `candidates`."""

from __future__ import annotations

import re
from collections import ChainMap
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.magics.table import BY_NAME, MAGICS

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

_CELL = re.compile(r"\s*%%(\w+)(?:[ \t]+(.*))?", re.DOTALL)
_LINE = re.compile(r"\s*(?:[\w.,\s\[\]]+=\s*)?%(\w+)\s+(.*)", re.DOTALL)
_MATCHERS: dict[int, Any] = {}  # by the shell's id
_HOOKED: set[int] = set()  # a hook cannot be taken away: it is set once and looks whether to act


class Place(NamedTuple):
    """Where the cursor stands: in which magic, and the text of it before the cursor."""

    magic: str
    line: str
    body: str | None = None


def find_place(full_text: str, cursor_line: int, cursor_column: int) -> Place | None:
    """Return the magic that the cursor stands in, or None."""
    lines = full_text.split("\n")
    before = lines[cursor_line][:cursor_column]
    cell = _CELL.fullmatch(lines[0])
    if cell is not None:
        if cell[1] not in BY_NAME or not BY_NAME[cell[1]].has_cell:
            return None
        if cursor_line > 0:
            body = "\n".join([*lines[1:cursor_line], before])
            return Place(cell[1], cell[2] or "", body)
        first = _CELL.fullmatch(before)
        return Place(first[1], first[2]) if first and first[2] is not None else None
    line = _LINE.fullmatch(before)
    if line is None or line[1] not in BY_NAME:
        return None
    return Place(line[1], line[2])


def complete(place: Place, names: Any) -> tuple[str, list[str]]:  # noqa: ANN401 -- a mapping
    """Return the fragment before the cursor and what may stand in its place; never raises."""
    try:
        from nbtransfer.magics.candidates import find_candidates

        return find_candidates(place.magic, place.line, place.body, names)
    except (ArithmeticError, AttributeError, ImportError, LookupError, OSError, RuntimeError) as _:
        return "", []
    except (TypeError, ValueError):  # a variable of the user's that is not what it seems
        return "", []


def install(shell: InteractiveShell) -> None:
    """Add completion to `shell`: on IPython before 8.6 for first lines only."""
    remove(shell)
    try:
        from IPython.core.completer import SimpleCompletion, context_matcher
    except ImportError:
        _install_hook(shell)
        return

    @context_matcher(identifier="nbtransfer")  # type: ignore[untyped-decorator]
    def matcher(context: Any) -> Any:  # noqa: ANN401 -- IPython's provisional types
        place = find_place(context.full_text, context.cursor_line, context.cursor_position)
        if place is None:
            return {"completions": []}
        fragment, found = complete(place, ChainMap(shell.user_ns))
        return {
            "completions": [SimpleCompletion(text=text, type="param") for text in found],
            "matched_fragment": fragment,
            "ordered": True,
            "suppress": True,
        }

    _MATCHERS[id(shell)] = matcher
    shell.Completer.custom_matchers.append(matcher)


def remove(shell: InteractiveShell) -> None:
    """Take the completion away again."""
    matcher = _MATCHERS.pop(id(shell), None)
    matchers = getattr(shell.Completer, "custom_matchers", [])
    if matcher in matchers:
        matchers.remove(matcher)


def _install_hook(shell: InteractiveShell) -> None:
    if id(shell) in _HOOKED:
        return
    _HOOKED.add(id(shell))

    def hook(_: object, event: Any) -> list[str]:  # noqa: ANN401 -- IPython's event
        place = find_place(event.text_until_cursor, 0, len(event.text_until_cursor))
        if place is None or place.magic not in shell.magics_manager.magics["line"]:
            return []
        fragment, found = complete(place, ChainMap(shell.user_ns))
        # IPython replaces `symbol`, which begins after the last of its own delimiters.
        skipped = len(fragment) - len(event.symbol)
        return [text[skipped:] for text in found] if skipped >= 0 else []

    for magic in MAGICS:
        shell.set_hook("complete_command", hook, str_key=f"%{magic.name}")  # type: ignore[no-untyped-call]
