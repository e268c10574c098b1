"""The one place that makes HTML: `tag` escapes everything that is not already markup.

Text from data, labels, models, files and exceptions is untrusted. It reaches the page only as a
child or an attribute value of `tag`, which escapes it; nothing else in nbtransfer writes a `<`.
"""

from __future__ import annotations

import html
import re

_VOID = frozenset({"br", "hr", "img", "col"})
_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*")


class Markup(str):
    """A string that is HTML already. Made only by `tag` and `join`."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return str(self)


def tag(name: str, *children: object, **attributes: object) -> Markup:
    """Return one element with `children` and `attributes` escaped.

    Args:
        name: the element's name.
        children: text (escaped), `Markup` (kept), or None (left out).
        attributes: values are escaped; True writes the bare name, None and False leave it out; a
            trailing underscore is dropped and the others become hyphens (`class_`, `text_anchor`).

    Returns:
        The element's HTML.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"not an element name: {name!r}")
    parts = []
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        attribute = key.rstrip("_").replace("_", "-")
        if not _NAME.fullmatch(attribute) or attribute.lower().startswith("on"):
            raise ValueError(f"not an attribute name: {key!r}")
        parts.append(
            f" {attribute}" if value is True else f' {attribute}="{html.escape(_clean(value))}"'
        )
    opening = f"<{name}{''.join(parts)}>"
    return Markup(opening if name in _VOID else f"{opening}{join(*children)}</{name}>")


def join(*children: object) -> Markup:
    """Return `children` side by side, escaped where they are not markup."""
    return Markup(
        "".join(
            c if isinstance(c, Markup) else html.escape(_clean(c))
            for c in children
            if c is not None
        )
    )


def _clean(value: object) -> str:
    """Return `value` as text that HTML can hold: no NUL, no lone surrogate."""
    return str(value).replace("\0", "\N{REPLACEMENT CHARACTER}").encode("utf-8", "replace").decode()


def style_sheet(css: str) -> Markup:
    """Return `css` of our own as a style element. Never pass anything a user can reach."""
    return Markup(f"<style>{css}</style>")
