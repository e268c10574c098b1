"""`demo:interface-fr`: the words of JupyterLab's interface in English and in French.

They come from jupyterlab-language-pack-fr-FR (BSD-3 licence), the translation that JupyterLab's
contributors keep. The package is located and its json files read; its code is not imported. Kept
are strings that were translated (not copied), without markup and with the same placeholders on both
sides; of strings that stand several times the first is kept. Validation and test rows are drawn the
same each time, from every catalogue its share.
"""

from __future__ import annotations

import importlib.util
import json
import random
import re
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.data.columns import table_from_columns
from nbtransfer.data.tables import Tables
from nbtransfer.errors import DataError, MissingPackageError

if TYPE_CHECKING:
    import pyarrow as pa

_MODULE = "jupyterlab_language_pack_fr_FR"
_VERSION = "4.5.post3"
_REQUIREMENT = f"jupyterlab-language-pack-fr-FR=={_VERSION}"
_FOLDER = "locale/fr_FR/LC_MESSAGES"
INTERFACE_FR = (
    "2,832 strings of JupyterLab's interface in English and French: 2,125 train, 283 validation, "
    "424 test"
)
_SEED = 20261102
_SHARES = {"test": 0.15, "validation": 0.1}
_MAX_CHARACTERS = 200
# Between the context of a string ("schema") and the string itself, as gettext writes it.
_CONTEXT_END = "\x04"
_PLACEHOLDER = re.compile(r"%\d+|%[sd]|\{\{?[^{}]*\}?\}|\$\{?\w+\}?")
_MARKUP = re.compile(r"<[^<>]+>|https?://|`|\]\(")
_LETTERS = re.compile(r"[^\W\d_]{2,}")


class _Pair(NamedTuple):
    english: str
    french: str
    catalogue: str


def load_interface_fr() -> Tables:
    """Return the pairs as columns en, fr and catalogue (which part of the interface it is from).

    Raises:
        MissingPackageError: if the package that carries them is not installed.
        DataError: if its files are not there.
    """
    found = importlib.util.find_spec(_MODULE)
    if found is None or not found.submodule_search_locations:
        raise MissingPackageError(_REQUIREMENT, "demo:interface-fr", _REQUIREMENT)
    folder = Path(next(iter(found.submodule_search_locations))) / _FOLDER
    files = sorted(folder.glob("*.json"))
    if not files:
        raise DataError(
            "demo:interface-fr: the installed language pack has no json files. Install it anew: "
            f"pip install --force-reinstall {_REQUIREMENT}"
        )
    return Tables("demo:interface-fr", _REQUIREMENT.replace("==", " "), _splits(_pairs(files)))


def _pairs(files: list[Path]) -> list[_Pair]:
    seen: set[str] = set()
    pairs = []
    # The interface's own catalogue first: of strings that stand in several, its words are kept.
    for file in sorted(files, key=lambda f: (f.stem != "jupyterlab", f.stem)):
        record = json.loads(file.read_text(encoding="utf-8"))
        for key, translations in record.items():
            if not key or not isinstance(translations, list) or not translations:
                continue
            english = " ".join(key.rpartition(_CONTEXT_END)[2].split())
            french = " ".join(str(translations[0]).split())
            if english.casefold() in seen or not _is_clean(english, french):
                continue
            seen.add(english.casefold())
            pairs.append(_Pair(english, french, file.stem))
    return pairs


def _is_clean(english: str, french: str) -> bool:
    """Return whether a pair is a translation that can be learnt from."""
    return (
        english.casefold() != french.casefold()
        and max(len(english), len(french)) <= _MAX_CHARACTERS
        and all(_LETTERS.search(_PLACEHOLDER.sub("", text)) for text in (english, french))
        and sorted(_PLACEHOLDER.findall(english)) == sorted(_PLACEHOLDER.findall(french))
        and not any(_MARKUP.search(text) for text in (english, french))
        and "\ufffd" not in french
    )


def _splits(pairs: list[_Pair]) -> dict[str, pa.Table]:
    by_catalogue: dict[str, list[_Pair]] = {}
    for pair in pairs:
        by_catalogue.setdefault(pair.catalogue, []).append(pair)
    draw = random.Random(_SEED)
    rows: dict[str, list[_Pair]] = {"train": [], "validation": [], "test": []}
    for own in by_catalogue.values():
        draw.shuffle(own)
        start = 0
        for split, share in _SHARES.items():
            count = round(share * len(own))
            rows[split] += own[start : start + count]
            start += count
        rows["train"] += own[start:]
    for own in rows.values():
        draw.shuffle(own)
    return {
        split: table_from_columns(
            {
                "en": [pair.english for pair in own],
                "fr": [pair.french for pair in own],
                "catalogue": [pair.catalogue for pair in own],
            }
        )
        for split, own in rows.items()
    }
