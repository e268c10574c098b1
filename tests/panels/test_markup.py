"""Tests of nbtransfer.panels.markup: nothing of a text may become an element or an attribute."""

import itertools
from html.parser import HTMLParser

import pytest

from nbtransfer.panels.markup import Markup, join, style_sheet, tag

# 6 ways to get out of where the text stands x 10 things to run x 5 disguises: 300 payloads.
_ESCAPES = ("", '">', "'>", "</div>", "-->", "]]>")
_ATTACKS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<a href='javascript:alert(1)'>x</a>",
    '" onmouseover="alert(1)" x="',
    "' autofocus onfocus='alert(1)",
    "<style>*{background:url(//evil.example)}</style>",
    "<math><mtext><table><mglyph><style><img src onerror=alert(1)>",
    "<object data=data:text/html,x><embed src=x><form action=x><input>",
)
_DISGUISES = (
    str,
    str.upper,
    lambda text: "\0" + text.replace("<", "<\0").replace("=", "\0="),
    lambda text: "\f" + text.replace(" ", "\t\n/"),
    lambda text: "\ud800&lt;&#60;&#x3c\x00" + text + "\u202e<!--",
)
PAYLOADS = [
    disguise(escape + attack)
    for escape, attack, disguise in itertools.product(_ESCAPES, _ATTACKS, _DISGUISES)
]


class Seen(HTMLParser):
    """What a page's parser makes of some HTML."""

    def __init__(self, html):
        super().__init__(convert_charrefs=True)
        self.elements = []
        self.others = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, name, attributes):
        self.elements.append((name, attributes))

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        self.others.append(data)

    handle_decl = handle_pi = unknown_decl = handle_comment


def as_shown(payload):
    """The text as HTML can hold it: no NUL, no lone surrogate."""
    return payload.replace("\0", "\N{REPLACEMENT CHARACTER}").replace("\ud800", "?")


def test_there_are_300_different_payloads():
    assert len(set(PAYLOADS)) == 300


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_payload_stays_text_as_child_and_as_attribute(payload):
    html = tag("div", payload, tag("b", payload), join(payload), title=payload, data_name=payload)
    seen = Seen(html)
    shown = as_shown(payload)
    assert seen.elements == [("div", [("title", shown), ("data-name", shown)]), ("b", [])]
    assert seen.others == []
    assert seen.text == shown * 3


def test_the_parser_of_these_tests_would_see_an_element_that_got_through():
    assert Seen("<div><img src=x onerror=alert(1)></div>").elements[1] == (
        "img",
        [("src", "x"), ("onerror", "alert(1)")],
    )


def test_markup_is_kept_and_none_is_left_out():
    assert tag("p", tag("b", "x"), None, 3) == "<p><b>x</b>3</p>"


def test_text_that_was_joined_to_markup_is_escaped_again():
    # A sum of Markup and str is a plain str: whoever builds HTML by hand gets it escaped.
    assert tag("p", tag("b", "x") + "<i>") == "<p>&lt;b&gt;x&lt;/b&gt;&lt;i&gt;</p>"


def test_attributes_may_be_bare_or_left_out_and_names_are_hyphenated():
    html = tag("input", disabled=True, hidden=False, title=None, class_="a", text_anchor="end")
    assert html.startswith('<input disabled class="a" text-anchor="end">')


@pytest.mark.parametrize("name", ["br", "hr", "img", "col"])
def test_void_elements_have_no_end(name):
    assert tag(name) == f"<{name}>"


@pytest.mark.parametrize("name", ["", "a b", "a>", "1a", "script src=x", "<b"])
def test_element_names_that_are_none_are_refused(name):
    with pytest.raises(ValueError, match="not an element name"):
        tag(name)


@pytest.mark.parametrize("name", ["onclick", "ONload", "on_error", "a b", 'a"', "a>", "", "_"])
def test_attribute_names_that_could_run_or_break_out_are_refused(name):
    with pytest.raises(ValueError, match="not an attribute name"):
        tag("div", **{name: "x"})


def test_markup_shows_itself_as_html_and_a_style_sheet_is_not_escaped():
    assert Markup("<b>x</b>")._repr_html_() == "<b>x</b>"
    assert style_sheet("a>b{color:red}") == "<style>a>b{color:red}</style>"
