"""The options of every magic: data that the parser, the help and the completion read."""

from __future__ import annotations

import dataclasses
from typing import Literal, NamedTuple

from nbtransfer.keywords import DROPPED, RENAMED
from nbtransfer.spec import ROLES, Precision, RunSpec, Scheduler, StepKind, TaskName, Technique
from nbtransfer.tasks.metric_words import METRICS

Kind = Literal[
    "text", "number", "whole", "switch", "column", "validation", "weights", "run", "live_run",
    "folder", "file", "model", "corpus", "unused",
]  # fmt: skip


class Option(NamedTuple):
    """One option.

    `name` is the keyword it sets, `flags` are its spellings with the one to show first, `kind` says
    how its value is read and completed.
    """

    name: str
    flags: tuple[str, ...]
    kind: Kind
    help: str = ""
    group: str = ""
    choices: tuple[str, ...] = ()

    @property
    def is_switch(self) -> bool:
        """Whether it stands alone; `true` or `false` may follow."""
        return self.kind == "switch"


class Syntax(NamedTuple):
    """What a magic takes: `words` are its places; one that ends in ... repeats."""

    words: tuple[str, ...]
    options: tuple[Option, ...]

    def by_flag(self) -> dict[str, Option]:
        """Return every spelling with hyphens; underscores are read as hyphens."""
        return {flag: option for option in self.options for flag in option.flags}


def _choices(of: object) -> tuple[str, ...]:
    return tuple(of.__args__)  # type: ignore[attr-defined]


# Field of RunSpec: shorter spelling, group, help, and choices or the kind of a text.
_FIELDS: dict[str, tuple[str, str, str, tuple[str, ...] | Kind]] = {
    "text": ("", "Data", "column that holds the text", "column"),
    "text_pair": ("", "Data", "column of second texts, to be read with the first", "column"),
    "label": ("", "Data", "column that holds the class, or several: a,b,c", "column"),
    "question": ("", "Data", "column that holds the question", "column"),
    "context": ("", "Data", "column that holds the text that answers it", "column"),
    "answers": ("", "Data", "column that holds the answers", "column"),
    "answer_start": ("", "Data", "column of their first characters, if apart", "column"),
    "tokens": ("", "Data", "column that holds each row's words (entities)", "column"),
    "tags": ("", "Data", "column that holds a tag for each word (entities)", "column"),
    "spans": ("", "Data", "column that holds start, end, label of each entity", "column"),
    "source": ("", "Data", "column to translate from, or to summarise", "column"),
    "target": ("", "Data", "column with the translation or summary", "column"),
    "validation": (
        "",
        "Data",
        "a split's name, a fraction, a file, a variable, or no (default: the validation split, or "
        "10 %, stratified)",
        "validation",
    ),
    "max_length": ("", "Data", "tokens a text is cut to (default: keeps 99 % whole)", ()),
    "max_target_length": ("", "Data", "tokens a target is cut to (default: keeps 99 % whole)", ()),
    "prefix": ("", "Data", "what stands before each source (default: T5's own, by task)", "text"),
    "prompt": (
        "",
        "Data",
        "how a decoder is asked, {source} in it (default: by task)",
        "text",
    ),
    "class_weights": ("", "Data", "balanced, or weights by class: a=1,b=3", "weights"),
    "mlm_probability": ("--mask-share", "Data", "tokens hidden to be guessed (0.15)", ()),
    "whole_word_mask": ("--whole-word", "Data", "hide all tokens of a word together", ()),
    "technique": ("", "Training", "which part learns (default: full)", _choices(Technique)),
    "lora_r": ("", "Training", "LoRA: rank of the adapters (8)", ()),
    "lora_alpha": ("", "Training", "LoRA: scale of the adapters (twice the rank)", ()),
    "lora_dropout": ("", "Training", "LoRA: dropout before the adapters (0)", ()),
    "lora_target_modules": ("", "Training", "LoRA: layers, as query,value, or all-linear", "text"),
    "num_train_epochs": ("--epochs", "Training", "passes over the training rows (3)", ()),
    "learning_rate": ("--lr", "Training", "peak learning rate (default: by technique)", ()),
    "per_device_train_batch_size": ("--batch-size", "Training", "rows a forward pass (16)", ()),
    "gradient_accumulation_steps": ("", "Training", "forward passes an optimizer step (1)", ()),
    "max_steps": ("", "Training", "optimizer steps in all; overrides the epochs", ()),
    "lr_scheduler_type": ("--scheduler", "Training", "how the rate falls", _choices(Scheduler)),
    "warmup_steps": ("--warmup", "Training", "steps of warm-up; below 1 a share (0.06)", ()),
    "weight_decay": ("", "Training", "AdamW's decay (0.01)", ()),
    "adam_beta1": ("", "Training", "AdamW's decay of the first moment (0.9)", ()),
    "adam_beta2": ("", "Training", "AdamW's decay of the second moment (0.999)", ()),
    "adam_epsilon": ("", "Training", "AdamW's term in the denominator (1e-8)", ()),
    "max_grad_norm": ("", "Training", "gradients are scaled down to this; 0: off (1)", ()),
    "seed": ("", "Training", "decides head weights, order of rows, dropout (42)", ()),
    "from_scratch": ("", "Training", "random weights instead of the pre-trained ones", ()),
    "keep_head": ("", "Training", "go on with the model's own head for these classes", ()),
    "metric_for_best_model": ("--metric", "Evaluation", "keeps the best by", METRICS),
    "eval_steps": ("", "Evaluation", "steps between evaluations (default: each epoch)", ()),
    "early_stopping_patience": (
        "--early-stopping",
        "Evaluation",
        "stop after so many evaluations without a gain",
        (),
    ),
    "num_beams": ("", "Evaluation", "beams of generation (1: greedy)", ()),
    "eval_generate_rows": (
        "",
        "Evaluation",
        "rows generated for at each evaluation (default: 100 on a CPU, 1,000 on a GPU)",
        (),
    ),
    "per_device_eval_batch_size": (
        "--eval-batch-size",
        "Evaluation",
        "rows a pass (64; on an accelerator as many as memory holds)",
        (),
    ),
    "precision": ("", "Machine", "arithmetic of the passes (auto)", _choices(Precision)),
    "step": ("", "Machine", "how a step is taken (auto: eager)", _choices(StepKind)),
    "deterministic": ("", "Machine", "the same bits each time on a GPU too; slower", ()),
    "use_cpu": ("", "Machine", "train on the CPU even where an accelerator is there", ()),
    "task": ("", "Run", "the task", _choices(TaskName)),
    "name": ("", "Run", "the run's name (default: one is drawn)", ()),
}


def flag_of(name: str) -> str:
    """Return a keyword's long spelling: `--num-train-epochs`."""
    return "--" + name.replace("_", "-")


def _spec_options() -> tuple[Option, ...]:
    types = {f.name: str(f.type) for f in dataclasses.fields(RunSpec)}
    found = []
    for name, (short, group, words, more) in _FIELDS.items():
        kind: Kind = more if isinstance(more, str) else _kind_of(types[name])
        flags = (short, flag_of(name)) if short else (flag_of(name),)
        choices = more if isinstance(more, tuple) else ()
        found.append(Option(name, flags, kind, words, group, choices))
    return tuple(found)


def _kind_of(annotation: str) -> Kind:
    by_type: dict[str, Kind] = {"int": "whole", "float": "number", "bool": "switch"}
    return by_type.get(annotation.removesuffix(" | None"), "text")


# Trainer's names that are true or false; the others take a value.
_TRAINER_SWITCHES = {
    "do_train", "do_eval", "do_predict", "overwrite_output_dir", "disable_tqdm", "tf32",
    "load_best_model_at_end", "greater_is_better", "group_by_length", "remove_unused_columns",
    "logging_first_step", "save_safetensors", "prediction_loss_only", "dataloader_pin_memory",
    "dataloader_drop_last", "no_cuda", "fp16", "bf16",
}  # fmt: skip


def _trainer_options(taken: set[str]) -> tuple[Option, ...]:
    """Return Trainer's other names; they are understood, but neither offered nor listed."""
    kinds = {option.name: option.kind for option in _spec_options()}
    names = [*RENAMED, *DROPPED, "fp16", "bf16", "tf32", "eval_strategy", "evaluation_strategy"]
    found = []
    for name in names:
        if flag_of(name) in taken:
            continue
        kind: Kind = "text" if name.endswith("_strategy") and name[0] == "e" else "unused"
        if name in RENAMED:
            kind = kinds[RENAMED[name]]
        if name in _TRAINER_SWITCHES:
            kind = "switch"
        found.append(Option(name, (flag_of(name),), kind))
    found.append(Option("num_processes", ("--num-processes",), "whole"))
    return tuple(found)


_HELP = Option("help", ("--help",), "switch", "show this", "Run")
_RUNS_DIR = Option("runs_dir", ("--runs-dir",), "folder", "folder that keeps the runs", "Run")
_SPEC = _spec_options()
_MODES = (
    Option("plan", ("--plan",), "switch", "show what would happen, start nothing", "Run"),
    Option("as_code", ("--as-code",), "switch", "show the same as Python, start nothing", "Run"),
    Option("background", ("--background",), "switch", "give the cell back at once", "Run"),
    Option(
        "attach", ("--attach",), "live_run", "show a run here (default: the newest live)", "Run"
    ),
    Option("resume", ("--resume",), "run", "go on with a run from its last checkpoint", "Run"),
    Option(
        "allow",
        ("--allow",),
        "switch",
        "with --resume: take more epochs, begin anew, take over",
        "Run",
    ),
)
_ADAPT = (
    Option("adapt", ("--adapt",), "corpus", "first pre-train on this corpus of texts", "Training"),
    Option("adapt_epochs", ("--adapt-epochs",), "number", "passes over it (3)", "Training"),
    Option(
        "adapt_learning_rate",
        ("--adapt-lr", "--adapt-learning-rate"),
        "number",
        "its peak learning rate (default: by size)",
        "Training",
    ),
)
_COLUMNS = tuple(option for option in _SPEC if option.name in ROLES)
_TASK = next(option for option in _SPEC if option.name == "task")

# What unlabelled texts have no use for.
_LABELLED_ONLY = {*ROLES} - {"text"} | {"class_weights", "keep_head", "task"}

SPEC_NAMES = frozenset(option.name for option in _SPEC)
TRAINER = _trainer_options({flag for option in _SPEC for flag in option.flags})

SYNTAX: dict[str, Syntax] = {
    "finetune": Syntax(("MODEL", "DATA"), (*_SPEC, *_ADAPT, *_MODES, _RUNS_DIR, _HELP, *TRAINER)),
    "pretrain": Syntax(
        ("MODEL", "CORPUS"),
        (
            *(option for option in _SPEC if option.name not in _LABELLED_ONLY),
            *(option for option in _MODES if option.name in ("plan", "as_code", "background")),
            _RUNS_DIR,
            _HELP,
            *TRAINER,
        ),
    ),
    "evaluate": Syntax(
        ("RUN", "DATA"),
        (
            Option(
                "split", ("--split",), "text", "which rows", "Data", ("validation", "test", "train")
            ),
            *_COLUMNS,
            Option(
                "embeddings",
                ("--embeddings",),
                "switch",
                "map the texts before and after training instead",
                "Show",
            ),
            Option(
                "forgetting",
                ("--forgetting",),
                "switch",
                "measure what the model forgot of general text instead",
                "Show",
            ),
            _RUNS_DIR,
            _HELP,
        ),
    ),
    "predict": Syntax(
        ("RUN", "TEXT..."),
        (
            Option("column", ("--column",), "column", "column of a table that holds texts", "Data"),
            Option("question", ("--question",), "text", "a question to answer", "Data"),
            Option("context", ("--context",), "text", "text or variable that answers it", "Data"),
            Option("output", ("--output",), "file", "parquet or csv file for the answers", "Data"),
            _RUNS_DIR,
            _HELP,
        ),
    ),
    "runs": Syntax(
        ("ACTION", "NAME..."),
        (
            Option("now", ("--now",), "switch", "stop: kill the worker instead of waiting", "Run"),
            _RUNS_DIR,
            _HELP,
        ),
    ),
    "dataset": Syntax(
        ("DATA",),
        (
            _TASK,
            *_COLUMNS,
            Option("model", ("--model",), "model", "whose tokens are counted, or no", "Data"),
            Option("max_length", ("--max-length",), "whole", "where texts would be cut", "Data"),
            _RUNS_DIR,
            _HELP,
        ),
    ),
    "model": Syntax(("MODEL",), (_RUNS_DIR, _HELP)),
}
