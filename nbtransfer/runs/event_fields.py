"""What a known event must carry to be folded: one that does not is passed over, as a torn line is.

A log can be edited by hand, cut by a disk or written by another version; the panel that reads it
must say what is left of it and not end in a traceback.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

_Check = Callable[[Any], bool]
_NOT_FINITE = ("nan", "inf", "-inf")  # as they are written: JSON has no word for them
_MOST = 1e300  # sums of figures below it stay finite


def _number(value: Any) -> bool:  # noqa: ANN401 -- whatever JSON holds
    if type(value) not in (int, float):
        return False
    return abs(value) < _MOST if type(value) is int else math.isfinite(value)


def _figure(value: Any) -> bool:  # noqa: ANN401 -- as above
    return _number(value) or value in _NOT_FINITE


def _count(value: Any) -> bool:  # noqa: ANN401 -- as above
    return type(value) is int and 0 <= value < 2**63


def _text(value: Any) -> bool:  # noqa: ANN401 -- as above
    return isinstance(value, str)


def _flag(value: Any) -> bool:  # noqa: ANN401 -- as above
    return isinstance(value, bool)


def _any(value: Any) -> bool:  # noqa: ANN401 -- as above
    return True


def _or_none(check: _Check) -> _Check:
    return lambda value: value is None or check(value)


def _list(check: _Check) -> _Check:
    return lambda value: isinstance(value, list) and all(map(check, value))


def _pair(check: _Check) -> _Check:
    return lambda value: _list(check)(value) and len(value) == 2


def _example(value: Any) -> bool:  # noqa: ANN401 -- as above
    if not isinstance(value, list) or len(value) != 5:
        return False
    return all(map(_text, value[:3])) and _number(value[3]) and _count(value[4])


def _sample(value: Any) -> bool:  # noqa: ANN401 -- as above
    return _list(_text)(value) and len(value) == 3


def _named(check: _Check) -> _Check:
    return lambda value: isinstance(value, dict) and all(map(check, value.values()))


_ENDING = {"step": _count, "reason": _or_none(_text), "train_runtime_s": _or_none(_number)}

# By type, the fields that the fold reads; one that may be None may be left out. Types that are not
# here are not known.
FIELDS: dict[str, dict[str, _Check]] = {
    "worker_started": {},
    "phase_started": {"phase": _text},
    "plan_changed": {"field": _text, "old": _any, "new": _any, "reason": _text},
    "data_encoded": {"cache": _or_none(_text), "words": _or_none(_pair(_count))},
    "frozen_layers_computed": {
        "cache": _text,
        "num_layers": _count,
        "place": _or_none(_text),
        "num_bytes": _count,
    },
    "model_loaded": {
        "num_parameters": _count,
        "num_trainable_parameters": _count,
        "notes": _list(_text),
    },
    "checkpoints_lost": {"checkpoints": _list(_pair(_text))},
    "run_resumed": {"from_step": _count, "revision": _number, "skipped": _list(_pair(_text))},
    "training_started": {
        "num_steps": _count,
        "steps_per_epoch": _count,
        "num_train_epochs": _number,
        "learning_rate": _number,
        "device": _text,
        "precision": _text,
        "step_kind": _text,
    },
    "step_completed": {
        "step": _count,
        "epoch": _number,
        "loss": _figure,
        "learning_rate": _number,
        "grad_norm": _figure,
        "num_examples": _count,
        "num_tokens": _count,
        "elapsed_s": _number,
    },
    "throughput_measured": {
        "examples_per_s": _number,
        "tokens_per_s": _number,
        "memory_bytes": _count,
        "memory_total_bytes": _count,
    },
    "control_applied": {
        "revision": _count,
        "step": _count,
        "changes": _named(_pair(_number)),
        "wanted": _named(_or_none(_number)),
        "num_steps": _count,
        "evaluations": _or_none(_count),
    },
    "run_paused": {},
    "run_unpaused": {},
    "evaluation_completed": {
        "step": _count,
        "epoch": _number,
        "metrics": _named(_figure),
        "train_loss": _or_none(_figure),
        "elapsed_s": _number,
        "is_best": _flag,
        "cause": _text,
        "examples": _or_none(_list(_example)),
        "samples": _or_none(_list(_sample)),
    },
    "checkpoint_saved": {
        "step": _count,
        "name": _text,
        "num_bytes": _or_none(_count),
        "stall_s": _or_none(_number),
    },
    "warning_raised": {"code": _text, "headline": _text, "advice": _text},
    "model_saved": {
        "step": _count,
        "choice": _text,
        "metric": _or_none(_text),
        "value": _or_none(_figure),
    },
    "model_verified": {},
    "report_saved": {"name": _text},
    "run_completed": _ENDING,
    "run_stopped": _ENDING,
    "run_failed": {
        "step": _count,
        "error_type": _text,
        "message": _text,
        "advice": _text,
        "traceback": _text,
    },
}


def is_whole(event: dict[str, Any]) -> bool:
    """Return whether an event of a known type carries what the fold reads, each of its kind."""
    fields = FIELDS.get(event["type"], {})
    return all(check(event.get(name)) for name, check in fields.items())
