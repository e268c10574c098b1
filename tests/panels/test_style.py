"""Tests of nbtransfer.panels.style."""

import re

from nbtransfer.panels.style import STYLE, card


def rules():
    return [rule.rsplit("}", 1)[-1] for rule in STYLE.split("{")[:-1]]


def test_every_rule_stays_within_our_own_cards():
    for selectors in rules():
        for selector in selectors.split(","):
            assert re.search(r"(^|\s)\.nbt\b", selector), selector


def test_the_sheet_is_one_line_with_its_braces_in_pairs():
    assert "\n" not in STYLE and STYLE.count("{") == STYLE.count("}")
    assert "<" not in STYLE


def test_nothing_is_loaded_and_the_system_s_preference_is_not_asked():
    assert "url(" not in STYLE and "@import" not in STYLE and "prefers-color-scheme" not in STYLE


def test_every_variable_used_is_set():
    used = set(re.findall(r"var\((--nbt-[a-z-]+)", STYLE))
    light, dark = STYLE.split('body[data-jp-theme-light="false"] .nbt', 1)
    assert used <= set(re.findall(r"(--nbt-[a-z-]+):", STYLE))
    assert set(re.findall(r"(--nbt-[a-z-]+):", light)) <= set(re.findall(r"(--nbt-[a-z-]+):", dark))


def test_a_card_carries_its_style_first_and_escapes_its_text():
    html = card("<b>")
    assert html.startswith('<div class="nbt mathjax_ignore tex2jax_ignore"><style>')
    assert html.endswith("</style>&lt;b&gt;</div>")
