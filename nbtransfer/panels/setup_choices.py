"""What the setup form offers, and the words beside each offer; no widget is known here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.panels.quantities import bytes_text, count_text, duration_text, share_text
from nbtransfer.spec import RunSpec, top_layers
from nbtransfer.tasks.metric_words import metric_word

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from nbtransfer.data.card import DataCard
    from nbtransfer.data.sources import Tables
    from nbtransfer.models.card import ModelCard
    from nbtransfer.planning import Plan
    from nbtransfer.runs.run import Run
    from nbtransfer.spec import TaskName

DATA_SUFFIXES = (".csv", ".tsv", ".jsonl", ".json", ".parquet")
# A working folder may hold thousands of files; a picker of more than these helps nobody.
MAX_FILES = 20
MAX_RUNS = 5

TECHNIQUES: dict[str, str] = {
    "full": "every layer learns",
    "top:2": "the last two layers and the classifier",
    "head": "only the classifier learns",
    "features": "a linear layer on frozen features",
}
RATE_HINTS: dict[str, str] = {
    "full": "2e-5 to 1e-4 is usual for full",
    "top:2": "5e-5 to 3e-4 is usual for the last layers",
    "head": "5e-4 to 5e-3 is usual for head",
    "features": "3e-3 to 3e-2 is usual for features",
}


def techniques(chosen: str) -> dict[str, str]:
    """Return the techniques on offer with what they mean; `chosen` is one of them."""
    count = top_layers(chosen)
    mine = {} if count is None else {chosen: f"the last {count} layers and the classifier"}
    return {**TECHNIQUES, **(mine if chosen not in TECHNIQUES else {})}


def rate_hint(technique: str) -> str:
    """Return which learning rates are usual for a technique."""
    return RATE_HINTS["top:2" if top_layers(technique) else technique]


BATCH_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Choice(NamedTuple):
    """One entry of a picker: what goes into the spec, and what the reader sees."""

    value: Any
    label: str


def data_choices(namespace: Mapping[str, object], folder: Path) -> list[Choice]:
    """Return the data on offer: the notebook's variables, then demos, then files at hand."""
    from nbtransfer.data.demo import CORPORA, DEMO_DATA

    found = [
        Choice(name, f"{name} · {words}")
        for name, value in reversed(list(namespace.items()))
        if not name.startswith("_") and (words := describe_data(value)) is not None
    ]
    found += [
        Choice(f"demo:{n}", f"demo:{n} · {_short(w)}")
        for n, w in DEMO_DATA.items()
        if n not in CORPORA
    ]
    return found + [Choice(name, name) for name in _data_files(folder)]


def model_choices(namespace: Mapping[str, object], runs: Iterable[Run]) -> list[Choice]:
    """Return the models on offer: demos, the notebook's variables, then recent finished runs."""
    from nbtransfer.models.catalog import DEMO_MODELS

    found = [
        Choice(f"demo:{name}", f"demo:{name} · {_short(demo.description)}")
        for name, demo in DEMO_MODELS.items()
    ]
    found += [
        Choice(name, f"{name} · {words}")
        for name, value in reversed(list(namespace.items()))
        if not name.startswith("_") and (words := describe_model(value)) is not None
    ]
    finished = [run for run in runs if run.status in ("completed", "stopped")]
    return found + [
        Choice(run.id, f"{run.id} · run on {run.spec.data}") for run in finished[:MAX_RUNS]
    ]


def describe_data(value: object) -> str | None:
    """Return the size of a variable that can be trained on, or None where it cannot.

    The libraries are recognised by name, so that looking through a namespace imports none of them.
    """
    kinds = {f"{c.__module__.split('.')[0]}.{c.__name__}" for c in type(value).__mro__}
    if kinds & {"pandas.DataFrame", "datasets.Dataset", "datasets.arrow_dataset"}:
        columns = value.column_names if "datasets.Dataset" in kinds else value.columns  # type: ignore[attr-defined]
        return _size(len(value), len(columns))  # type: ignore[arg-type]
    if "datasets.DatasetDict" in kinds:
        return ", ".join(f"{name} {len(part):,}" for name, part in value.items())  # type: ignore[attr-defined]
    if {"pyarrow.Table", "lib.Table"} & kinds:
        return _size(value.num_rows, value.num_columns)  # type: ignore[attr-defined]
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return _size(len(value), len(value[0]))
    return None


def describe_model(value: object) -> str | None:
    """Return the class of a variable that is a transformers model, or a (model, tokenizer) pair."""
    if isinstance(value, tuple) and len(value) == 2:
        value = value[0]
    is_model = any(
        c.__name__ == "PreTrainedModel" and c.__module__.startswith("transformers.")
        for c in type(value).__mro__
    )
    return type(value).__name__ if is_model else None


def column_choices(tables: Tables | None, card: DataCard | None) -> list[Choice]:
    """Return the columns of the data, with what the card knows of each."""
    if tables is None:
        return []
    known = {column.name: column for column in card.columns} if card is not None else {}
    found = []
    for name in tables.splits["train"].column_names:
        words = f"{name} · {known[name].type}" if name in known else name
        if card is not None and name == card.label_column:
            words = f"{name} · {len(card.label_names)} classes"
        found.append(Choice(name, words))
    return found


def model_words(model: ModelCard) -> str:
    """Return a model in a few words: `BERT, 22.7 M, 512 tokens`."""
    family = model.model_type.upper() if len(model.model_type) <= 7 else model.architecture
    return f"{family}, {count_text(model.num_parameters)}, {model.max_positions:,} tokens"


def data_words(tables: Tables) -> str:
    """Return the size of data in a few words: `1,500 rows, 3 columns`."""
    num_rows = sum(table.num_rows for table in tables.splits.values())
    return _size(num_rows, tables.splits["train"].num_columns)


def validation_choices(tables: Tables | None, *, split_seed: int = 42) -> list[Choice]:
    """Return where validation rows may come from; the first is what None means for this data."""
    tenth = f"10 %, stratified, seed {split_seed}"
    others = [
        Choice(0.2, f"20 %, stratified, seed {split_seed}"),
        Choice(False, "none · nothing is held out"),
    ]
    if tables is not None and "validation" in tables.splits:
        rows = tables.splits["validation"].num_rows
        return [
            Choice(None, f"the validation split · {rows:,} rows"),
            Choice(0.1, tenth),
            *others,
        ]
    return [Choice(None, tenth), *others]


def first_guess(
    models: list[Choice], data: list[Choice], defaults: Mapping[str, object] | None = None
) -> RunSpec:
    """Return the spec that the form opens with: the first of each offer, unless `defaults` says."""
    given = {name: value for name, value in (defaults or {}).items() if value is not None}
    given.setdefault("model", models[0].value if models else "")
    given.setdefault("data", data[0].value if data else "")
    return RunSpec(**given)  # type: ignore[arg-type]


def with_choice(choices: list[Choice], value: object) -> list[Choice]:
    """Return `choices`, `value` put in front where it is not among them."""
    if any(type(c.value) is type(value) and c.value == value for c in choices):
        return choices
    return [Choice(value, str(value)), *choices]


def more_summary(spec: RunSpec) -> str:
    """Return the values under More in one line, so that the closed part hides nothing."""
    warmup = spec.warmup_steps
    warmup_words = f"{warmup * 100:g} %" if warmup < 1 else f"{warmup:g} steps"
    parts = [
        f"best by {metric_word(spec.metric_for_best_model or _main_metric(spec.task))}",
        f"warm-up {warmup_words}",
        f"weight decay {spec.weight_decay:g}",
        "balanced classes" if spec.class_weights else "no class weights",
    ]
    if spec.early_stopping_patience is not None:
        parts.append(f"stops after {spec.early_stopping_patience} without a gain")
    parts += [f"precision {spec.precision}", f"steps {spec.step}", f"seed {spec.seed}"]
    return "More: " + ", ".join(parts)


def task_choices(recognised: TaskName | None) -> list[Choice]:
    """Return the tasks; the first choice leaves it to the data, and says what that comes to."""
    from nbtransfer.tasks.catalog import TASKS, task_named

    found = f" · {task_named(recognised).title}" if recognised else ""
    return [
        Choice(None, f"as the data says{found}"),
        *(Choice(name, task_named(name).title) for name in sorted(TASKS)),
    ]


def metric_choices(task: TaskName | None) -> list[Choice]:
    """Return what may decide on the best model, the task's main metric first."""
    from nbtransfer.tasks.catalog import task_named

    names = task_named(task or "text-classification").metrics
    others = [Choice(name, metric_word(name)) for name in names[1:]]
    return [Choice(None, metric_word(names[0])), *others]


def _main_metric(task: TaskName | None) -> str:
    return str(metric_choices(task)[0].label)


def early_stopping_choices(patience: int | None) -> list[Choice]:
    """Return how patient early stopping may be, `patience` among them."""
    found = [Choice(None, "off")]
    for n in sorted({1, 2, 3, 5} | ({patience} if patience else set())):
        found.append(Choice(n, f"after {n} evaluation{'s' if n > 1 else ''} without a gain"))
    return found


def plan_rows(plan: Plan) -> list[tuple[str, str]]:
    """Return the plan as names and values, in the order of a user's questions."""
    about = "about " if plan.time_is_estimate else ""
    reason = f" ({plan.precision_reason})" if plan.precision_reason else ""
    total = bytes_text(plan.memory_total_bytes)
    return [
        ("steps", f"{plan.num_steps:,}"),
        ("time here", f"{about}{duration_text(plan.time_s)}"),
        ("memory", f"{bytes_text(plan.memory_bytes)} of {total}"),
        ("disk", bytes_text(plan.disk_bytes)),
        ("precision", f"{plan.precision}{reason}"),
        ("steps taken", f"{plan.step_kind}: {plan.step_reason}"),
        *(
            [("baseline to beat", f"{plan.baseline_accuracy * 100:.1f} % majority")]
            if plan.baseline_accuracy is not None
            else []
        ),
    ]


def cut_words(plan: Plan) -> str:
    """Return what the maximum length costs: `cuts 1.9 % of texts, 0.4 % of tokens`."""
    if not plan.share_texts_cut:
        return "cuts no text"
    texts, tokens = share_text(plan.share_texts_cut), share_text(plan.share_tokens_cut)
    if not plan.share_tokens_cut:
        return f"{texts} of texts in several windows"
    return f"cuts {texts} of texts, {tokens} of tokens"


def _data_files(folder: Path) -> list[str]:
    try:
        names = sorted(p.name for p in folder.iterdir() if p.suffix.lower() in DATA_SUFFIXES)
    except OSError:
        return []
    return names[:MAX_FILES]


def _size(rows: int, columns: int) -> str:
    return f"{rows:,} rows, {columns} columns"


def _short(words: str, limit: int = 48) -> str:
    return words if len(words) <= limit else words[: limit - 1].rstrip() + "…"
