"""Turns a magic's line into checked arguments, or into one error that lists every mistake.

Not argparse: it stops at the first mistake, takes a text that begins with a hyphen for an option,
and knows nothing of what was quoted. Here nothing exits, prints or is evaluated.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any

from nbtransfer.errors import SpecError, nearest, quoted
from nbtransfer.keywords import sort_keywords
from nbtransfer.magics.options import SPEC_NAMES, SYNTAX, TRAINER, Option
from nbtransfer.magics.words import Word, split_line
from nbtransfer.spec import RunSpec

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d{1,4})?", re.ASCII | re.IGNORECASE)
_MAX_DIGITS = 40
_NOT_FINITE = re.compile(r"[+-]?(nan|inf|infinity)", re.IGNORECASE)
_TOKEN = re.compile(
    r"(?<![A-Za-z0-9])(hf|api|api_org|sk|ghp|gho|github_pat|glpat|xox[abp])[_-][A-Za-z0-9]{16,}"
)
_TOKEN_FLAGS = {"token", "hub-token", "hf-token", "use-auth-token", "api-key", "push-to-hub-token"}
_YES, _NO = {"true", "yes", "on", "1"}, {"false", "no", "off", "0"}
_NONE = {"no", "none", "false", "off"}
_UNUSED_NAMES = frozenset(option.name for option in TRAINER)


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What a line asks for.

    Attributes:
        magic: the magic's name.
        words: what stands in its places, such as MODEL and DATA.
        values: the options given, by keyword.
        typed: how each was spelled.
    """

    magic: str
    words: tuple[Word, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)
    typed: dict[str, str] = field(default_factory=dict)

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 -- an option's value
        """Return an option's value, or `default` where it was not given."""
        return self.values.get(name, default)

    @property
    def keywords(self) -> dict[str, Any]:
        """The options that describe the run: fields of RunSpec and Trainer's names."""
        return {k: v for k, v in self.values.items() if k in SPEC_NAMES or k in _UNUSED_NAMES}


def parse(magic: str, line: str, cell: str | None = None) -> Arguments:
    """Return what a line, and a cell's body, ask of a magic.

    Raises:
        SpecError: listing everything that is not understood or out of range.
    """
    if _TOKEN.search(line) or _TOKEN.search(cell or ""):
        raise SpecError(
            "the cell holds what looks like an access token; it is not read and not repeated. Take "
            "it out, and log in instead: hf auth login."
        )
    reader = _Reader(magic, split_line(line, cell))
    reader.read()
    arguments = Arguments(
        magic=magic, words=tuple(reader.words), values=reader.values, typed=reader.typed
    )
    if not arguments.get("help"):
        problems = [*reader.problems, *_spec_problems(arguments)]
        if problems:
            raise SpecError(dict.fromkeys(problems))
    return arguments


class _Reader:
    """Goes through the words once, collecting values and problems."""

    def __init__(self, magic: str, words: list[Word]) -> None:
        self._magic = magic
        self._left = words[::-1]
        self._flags = SYNTAX[magic].by_flag()
        self.words: list[Word] = []
        self.values: dict[str, Any] = {}
        self.typed: dict[str, str] = {}
        self.problems: list[str] = []

    def read(self) -> None:
        places = SYNTAX[self._magic].words
        has_options = True
        while self._left:
            word = self._left.pop()
            if has_options and not word.is_quoted and word.text == "--":
                has_options = False
            elif has_options and _is_option(word):
                self._read_option(word.text)
            elif len(self.words) < len(places) or places[-1].endswith("..."):
                self.words.append(word)
            else:
                self.problems.append(self._surplus(word.text))

    def _surplus(self, text: str) -> str:
        close = self._near(text) if text[:1].isalpha() else None
        hint = f" Did you mean {close}?" if close else ""
        places = " and ".join(SYNTAX[self._magic].words)
        return f"{quoted(text)} is one word too many: %{self._magic} takes {places}.{hint}"

    def _read_option(self, text: str) -> None:
        typed, has_value, given = text.partition("=")
        flag = "--" + typed.lstrip("-").replace("_", "-")
        if flag[2:] in _TOKEN_FLAGS:
            self._next_value()  # never looked at
            self.problems.append(
                f"{typed} is not an option: a token never stands in a cell. Log in: hf auth login."
            )
            return
        option = self._flags.get("--help" if typed == "-h" else flag)
        if option is None or (len(typed) > 2 and not typed.startswith("--")):
            self._unknown(typed, flag, has_value=bool(has_value))
            return
        value = given if has_value else self._value_after(option)
        if option.name in self.values:
            earlier = self.typed[option.name]
            same = f"{typed} is given twice" if earlier == typed else f"{earlier} and {typed}"
            end = "" if earlier == typed else " set the same thing"
            self.problems.append(f"{same}{end}: leave one out.")
            return
        self.typed[option.name] = typed
        if value is None and option.kind not in ("switch", "live_run", "unused"):
            wanted = f" one of {', '.join(option.choices)}" if option.choices else " a value"
            self.problems.append(f"{typed} needs{wanted}: {typed} {_example(option)}")
            return
        read = _read_value(option, typed, value)
        if isinstance(read, _Problem):
            self.problems.append(read)
        else:
            self.values[option.name] = read

    def _unknown(self, typed: str, flag: str, *, has_value: bool) -> None:
        close = self._near(flag[2:])
        hint = f"Did you mean {close}?" if close else f"See %{self._magic} --help."
        self.problems.append(f"no option {quoted(typed)}. {hint}")
        is_full = len(self.words) == len(SYNTAX[self._magic].words)
        takes_value = not self._flags[close].is_switch if close else is_full
        if takes_value and not has_value:
            self._next_value()  # it was meant for this option

    def _near(self, name: str) -> str | None:
        """Return the flag spelled most like `name`; the hyphens, which all share, do not count."""
        close = nearest(name, [flag[2:] for flag in self._flags])
        return f"--{close}" if close else None

    def _value_after(self, option: Option) -> str | None:
        """Take the word after an option, where the option wants one and it is no option itself."""
        following = self._left[-1] if self._left else None
        if following is None:
            return None
        if option.is_switch:
            is_truth = not following.is_quoted and following.text.lower() in _YES | _NO
            return self._left.pop().text if is_truth else None
        return self._next_value()

    def _next_value(self) -> str | None:
        if not self._left or _is_option(self._left[-1]) or self._left[-1] == Word("--"):
            return None
        return self._left.pop().text


def _is_option(word: Word) -> bool:
    """Return whether a word can only be an option: a hyphen before anything but a number."""
    if word.is_quoted or not word.text.startswith("-") or word.text in ("-", "--"):
        return False
    return not (_NUMBER.fullmatch(word.text) or _NOT_FINITE.fullmatch(word.text))


class _Problem(str):
    """What is wrong with a value, in words."""

    __slots__ = ()


def _read_value(option: Option, typed: str, value: str | None) -> Any:  # noqa: ANN401
    """Return the value an option was given, or the problem with it."""
    if option.kind == "switch":
        if value is None or value.lower() in _YES:
            return True
        return False if value.lower() in _NO else _Problem(
            f"{typed} stands alone, or with true or false; found {quoted(value)}."
        )  # fmt: skip
    if value is None:
        return True
    if option.kind in ("number", "whole"):
        number = read_number(value)
        if number is not None:
            return number
        if value[:1] in ("{", "$"):
            return _Problem(
                f"{typed} {quoted(value)}: values are not filled in here. Call it from Python: "
                f"nt.finetune(model, data, {option.name}={value.strip('{}$')})"
            )
        kind = "a whole number" if option.kind == "whole" else "a number"
        return _Problem(f"{typed} {quoted(value)}: not {kind}. Write {typed} {_example(option)}")
    if option.kind == "validation":
        if value.lower() in _NONE:
            return False
        number = read_number(value)
        return value if number is None else number
    if option.kind == "weights":
        return _read_weights(typed, value)
    return value


def read_number(text: str) -> int | float | None:
    """Return the number that `text` is from end to end, or None; `1_000` and `3x` are none."""
    if _NOT_FINITE.fullmatch(text):
        return float(text)
    if len(text) > _MAX_DIGITS or not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    if math.isfinite(value) and value.is_integer() and not set(text) & {".", "e", "E"}:
        return int(text)
    return value


def _read_weights(typed: str, value: str) -> object:
    if "=" not in value:
        return value  # 'balanced'; the spec refuses any other word
    weights: dict[str, float] = {}
    for part in value.split(","):
        label, _, weight = part.rpartition("=")
        number = read_number(weight)
        if not label or number is None:
            return _Problem(
                f"{typed} {quoted(value)}: {quoted(part)} is not CLASS=NUMBER. "
                f"Write {typed} negative=1,positive=3"
            )
        if label in weights:
            return _Problem(f"{typed} {quoted(value)}: {quoted(label)} stands there twice.")
        weights[label] = float(number)
    return weights


_EXAMPLES = {
    "num_train_epochs": "3", "learning_rate": "5e-5", "warmup_steps": "0.1", "weight_decay": "0.01",
    "per_device_train_batch_size": "16", "max_length": "128", "seed": "42", "name": "my-run",
    "early_stopping_patience": "2", "text": "review", "label": "sentiment",
    "class_weights": "balanced", "validation": "0.1", "eval_steps": "50", "runs_dir": "runs",
    "column": "review", "adapt": "corpus.txt",
    "model": "demo:minilm", "resume": "calm-heron-0712",
}  # fmt: skip


def _example(option: Option) -> str:
    if option.name in _EXAMPLES:
        return _EXAMPLES[option.name]
    if option.choices:
        return option.choices[0]
    return {"number": "0.5", "whole": "1", "switch": ""}.get(option.kind, option.name.upper())


def _spec_problems(arguments: Arguments) -> list[str]:
    """Return what RunSpec has against the values, in the words the user typed."""
    if arguments.magic not in ("finetune", "pretrain"):
        return []
    source: dict[str, str] = {}
    problems: list[str] = []
    fields: dict[str, Any] = {}
    for name, value in arguments.keywords.items():
        typed = arguments.typed[name]
        try:
            found = sort_keywords({name: value}).fields
        except SpecError as error:
            problems += [p.replace(f"{name}=", f"{typed} ", 1) for p in error.problems]
            continue
        for field_name, field_value in found.items():
            if field_name in source:
                problems.append(f"{source[field_name]} and {typed} set the same thing: give one.")
            source[field_name] = typed
            fields[field_name] = field_value
    fields = {k: v for k, v in fields.items() if k != "model" and k != "data"}
    for problem in RunSpec(model="model", data="data", **fields).problems():
        field_name = re.split(r"[=:\[]", problem, maxsplit=1)[0]
        typed = source.get(field_name, field_name)
        rest = problem[len(field_name) :]
        problems.append(typed + (f" {rest[1:]}" if rest.startswith("=") else rest))
    return problems
