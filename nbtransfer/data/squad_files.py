"""SQuAD's nested form (data, paragraphs, questions) as rows of question, context and answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nbtransfer.errors import DataError

_MARK = b'"paragraphs"'
_LOOKED_AT = 1 << 16  # bytes at the beginning of a file in which the first paragraphs must stand


def may_be_squad(text: bytes) -> bool:
    """Return whether JSON text looks like SQuAD's form, without reading it whole."""
    start = text[:_LOOKED_AT]
    return start.lstrip()[:1] == b"{" and _MARK in start and b'"data"' in start


def is_squad(record: object) -> bool:
    """Return whether a JSON object has SQuAD's form."""
    if not isinstance(record, Mapping):
        return False
    articles = record.get("data")
    return (
        isinstance(articles, (list, tuple))
        and bool(articles)
        and isinstance(articles[0], Mapping)
        and isinstance(articles[0].get("paragraphs"), (list, tuple))
    )


def squad_columns(record: Mapping[str, Any], name: str) -> dict[str, list[Any]]:
    """Return the questions as columns: id, title, context, question, and answers.

    `answers` is {text: [...], answer_start: [...]}, both empty for a question that is marked as
    impossible (SQuAD 2.0).

    Raises:
        DataError: naming the article and paragraph where the form breaks off.
    """
    columns: dict[str, list[Any]] = {
        "id": [], "title": [], "context": [], "question": [], "answers": []
    }  # fmt: skip
    for i, article in enumerate(record["data"]):
        paragraphs = article.get("paragraphs") if isinstance(article, Mapping) else None
        if not isinstance(paragraphs, (list, tuple)):
            raise DataError(
                f"{name}: article {i} has no list of paragraphs. Each must look like "
                '{"title": ..., "paragraphs": [{"context": ..., "qas": [...]}]}.'
            )
        for j, paragraph in enumerate(paragraphs):
            try:
                context, asked = paragraph["context"], paragraph["qas"]
                for one in asked:
                    given = [] if one.get("is_impossible") else one.get("answers") or []
                    columns["id"].append(one.get("id"))
                    columns["title"].append(article.get("title"))
                    columns["context"].append(context)
                    columns["question"].append(one["question"])
                    columns["answers"].append(
                        {
                            "text": [answer["text"] for answer in given],
                            "answer_start": [answer.get("answer_start") for answer in given],
                        }
                    )
            except (KeyError, TypeError, AttributeError) as error:
                what = f"no {error}" if isinstance(error, KeyError) else "another form"
                raise DataError(
                    f"{name}: paragraph {j} of article {i} has {what}. Each must look like "
                    '{"context": ..., "qas": [{"question": ..., "answers": [{"text": ..., '
                    '"answer_start": ...}]}]}.'
                ) from None
    return columns
