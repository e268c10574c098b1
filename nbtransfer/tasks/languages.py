"""Languages as columns are named after them, and as T5's prefixes spell them."""

from __future__ import annotations

import re

_NAMES = {
    "af": "Afrikaans", "am": "Amharic", "ar": "Arabic", "az": "Azerbaijani", "be": "Belarusian",
    "bg": "Bulgarian", "bn": "Bengali", "bs": "Bosnian", "ca": "Catalan", "cs": "Czech",
    "cy": "Welsh", "da": "Danish", "de": "German", "el": "Greek", "en": "English",
    "eo": "Esperanto", "es": "Spanish", "et": "Estonian", "eu": "Basque", "fa": "Persian",
    "fi": "Finnish", "fr": "French", "ga": "Irish", "gl": "Galician", "gu": "Gujarati",
    "ha": "Hausa", "he": "Hebrew", "hi": "Hindi", "hr": "Croatian", "hu": "Hungarian",
    "hy": "Armenian", "id": "Indonesian", "ig": "Igbo", "is": "Icelandic", "it": "Italian",
    "ja": "Japanese", "ka": "Georgian", "kk": "Kazakh", "km": "Khmer", "kn": "Kannada",
    "ko": "Korean", "lt": "Lithuanian", "lv": "Latvian", "mk": "Macedonian", "ml": "Malayalam",
    "mn": "Mongolian", "mr": "Marathi", "ms": "Malay", "mt": "Maltese", "my": "Burmese",
    "ne": "Nepali", "nl": "Dutch", "no": "Norwegian", "pa": "Punjabi", "pl": "Polish",
    "ps": "Pashto", "pt": "Portuguese", "ro": "Romanian", "ru": "Russian", "si": "Sinhala",
    "sk": "Slovak", "sl": "Slovenian", "so": "Somali", "sq": "Albanian", "sr": "Serbian",
    "sv": "Swedish", "sw": "Swahili", "ta": "Tamil", "te": "Telugu", "th": "Thai",
    "tr": "Turkish", "uk": "Ukrainian", "ur": "Urdu", "uz": "Uzbek", "vi": "Vietnamese",
    "xh": "Xhosa", "yo": "Yoruba", "zh": "Chinese", "zu": "Zulu",
}  # fmt: skip
_BY_NAME = {name.casefold(): name for name in _NAMES.values()}
# Codes that more often are something else as the name of a column.
_WORDS = frozenset(("id", "no", "is", "it", "so", "am", "my", "ms", "or"))
_AROUND = frozenset(("text", "sentence", "src", "tgt", "source", "target", "translation"))


def language_of(column: str) -> str | None:
    """Return the English name of the language a column is named after, as `en`, `fr-FR`, `text_de`.

    None where it is named after none.
    """
    column = re.sub(r"^([a-z]{2,3})[-_][A-Z]{2}$", r"\1", column.strip())  # the region of pt-BR
    parts = [part for part in re.split(r"[^a-z]+", column.casefold()) if part]
    own = [part for part in parts if part not in _AROUND]
    if len(own) != 1:
        return None
    return _NAMES.get(own[0]) or _BY_NAME.get(own[0])


def is_word(column: str) -> bool:
    """Return whether a column named after a language more likely means something else, as `id`."""
    return column.strip().casefold() in _WORDS
