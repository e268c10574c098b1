"""Tests of nbtransfer.runs.redact: no token in what is written or shown."""

from __future__ import annotations

import pytest

from nbtransfer.runs.redact import redact

BODY = "AbCdEfGhIjKlMnOpQrStUvWxYz012345"


@pytest.mark.parametrize(
    "token",
    [
        f"hf_{BODY}",
        f"api_org_{BODY}",
        f"sk-{BODY}",
        f"sk-proj-{BODY}",
        f"ghp_{BODY}",
        f"gho_{BODY}",
        f"github_pat_{BODY}",
        f"glpat-{BODY}",
        f"xoxb-{BODY}",
    ],
)
@pytest.mark.parametrize("around", ["{}", "token={}", "'{}'", "https://u:{}@x.org/a", "\n{}\n"])
def test_what_looks_like_a_token_is_taken_out(token, around):
    shown = redact(around.format(token))
    assert BODY not in shown
    assert shown == around.format("<secret>")


@pytest.mark.parametrize(
    "name", ["HF_TOKEN", "MY_SECRET", "DB_PASSWORD", "OPENAI_API_KEY", "apikey", "AWS_CREDENTIALS"]
)
def test_the_value_of_a_secret_variable_is_replaced_by_its_name(monkeypatch, name):
    monkeypatch.setenv(name, "correct horse")
    assert redact("401 for 'correct horse' (correct horse)") == f"401 for '<{name}>' (<{name}>)"


def test_a_secret_that_begins_another_leaves_none_of_it(monkeypatch):
    monkeypatch.setenv("A_TOKEN", "abcdefgh")
    monkeypatch.setenv("B_TOKEN", "abcdefgh-the-rest")
    assert redact("x abcdefgh-the-rest y abcdefgh z") == "x <B_TOKEN> y <A_TOKEN> z"


def test_short_values_and_other_variables_stay(monkeypatch):
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    monkeypatch.setenv("EDITOR", "correct horse")
    text = "it is false that the correct horse is a secret"
    assert redact(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "sk-learn", "hf_hub_download", "a half_finished sentence", "task-classification-model"],
)
def test_ordinary_text_stays(text):
    assert redact(text) == text
