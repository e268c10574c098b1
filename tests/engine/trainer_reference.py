"""transformers' Trainer as the reference of every task: its heads, its recipes, its losses.

What is ours in it: which rows make up each step, and in which order. All else (tokens, labels,
batches, first weights, gradients, updates, what is said of each row) is made by transformers here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
import transformers
from transformers import (
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    DataCollatorForTokenClassification,
    DataCollatorWithPadding,
)

from nbtransfer.data.encoding import IGNORED
from nbtransfer.engine.train import Training
from nbtransfer.engine.worker import StopSignal
from nbtransfer.runs.events import EventWriter
from nbtransfer.runs.files import read_table
from nbtransfer.tasks.catalog import task_named

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from torch import nn

    from nbtransfer.runs.run import Run

Row = dict[str, Any]
_LONGEST_ANSWER = 30  # tokens, as in the usual recipe


class Trained(NamedTuple):
    """The loss of each step; after the last one the mean loss of all rows, and their answers."""

    losses: list[float]
    eval_loss: float
    said: list[Any]


def train_ours(run: Run) -> tuple[Trained, Training]:
    """Train the run, which has no validation rows, in this process; ask it about its own rows."""
    training = Training(run.paths, EventWriter(run.paths.events), StopSignal(), restart=False)
    training.resume()
    training.loop()
    scores = training.score(training.loaded.train)
    table = training.reader.predictions(training.loaded.train, scores)
    said = table["output" if "output" in table.column_names else "predicted"].to_pylist()
    return Trained([row.loss for row in run.state().steps], scores.loss, said), training


def train_theirs(run: Run, training: Training, folder: Path) -> Trained:
    """Do the same with Trainer, or Seq2SeqTrainer where a decoder of its own writes texts."""
    spec, card = run.spec, run.data_card
    recipe = _RECIPES["prompted" if card.settings.get("prompt") else card.task]
    head: Row = {}
    if card.label_names:
        head = {"num_labels": len(card.label_names), "problem_type": recipe.problem_type}
    tokenizer = AutoTokenizer.from_pretrained(run.model_card.location)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    torch.manual_seed(spec.seed)  # a new head's first weights
    model = getattr(transformers, recipe.auto_class or task_named(card.task).auto_class)
    model = model.from_pretrained(run.model_card.location, dtype=torch.float32, **head)
    model.config.pad_token_id = tokenizer.pad_token_id
    asked = _Asked(tokenizer, model, run)
    rows = recipe.rows(asked, read_table(run.paths.split("train")).to_pylist())
    options: Row = {
        "per_device_eval_batch_size": len(rows)
    }  # of several batches it means the means
    if recipe.writes:
        longest = card.settings["max_target_length"] + 1  # the decoder's start among them
        options |= {"predict_with_generate": True, "generation_max_length": longest}
    trainer, losses = train_in_our_order(
        training,
        model,
        rows,
        folder,
        options=options,
        seq2seq=recipe.writes,
        data_collator=recipe.collator(tokenizer),
    )
    found = trainer.predict(rows)
    answers = found.predictions
    if isinstance(answers, tuple) and card.task != "question-answering":
        answers = answers[0]  # models of two stacks tell of their encoder too
    said = recipe.said(asked, answers, rows)
    return Trained(losses, found.metrics["test_loss"], said)


def train_in_our_order(
    training: Training,
    model: nn.Module,
    rows: Sequence[Row],
    folder: Path,
    *,
    options: Row | None = None,
    seq2seq: bool = False,
    **more: object,
) -> tuple[transformers.Trainer, list[float]]:
    """Let Trainer train `model` on the rows of each of our steps, with our options.

    Args:
        training: ours.
        model: with the weights that ours began with.
        rows: all of them, as Trainer takes them.
        folder: Trainer's own.
        options: further ones of TrainingArguments.
        seq2seq: whether a decoder of its own writes texts.
        more: arguments of Trainer.

    Returns:
        Trainer, and the loss of each of its micro-batches.
    """
    spec, plan = training.spec, training.plan
    order = np.concatenate([training.step_rows(step) for step in range(plan.num_steps)])
    per_step = spec.per_device_train_batch_size * spec.gradient_accumulation_steps
    assert len(order) == plan.num_steps * per_step  # Trainer cuts evenly
    losses: list[float] = []

    class Told(transformers.Seq2SeqTrainer if seq2seq else transformers.Trainer):
        def training_step(self, *arguments, **keywords):
            loss = super().training_step(*arguments, **keywords)
            losses.append(float(loss))
            return loss

    kind = transformers.Seq2SeqTrainingArguments if seq2seq else transformers.TrainingArguments
    arguments = kind(
        output_dir=str(folder),
        num_train_epochs=1,
        per_device_train_batch_size=spec.per_device_train_batch_size,
        gradient_accumulation_steps=spec.gradient_accumulation_steps,
        learning_rate=plan.learning_rate,
        warmup_steps=plan.warmup_steps,
        weight_decay=spec.weight_decay,
        max_grad_norm=spec.max_grad_norm,
        train_sampling_strategy="sequential",
        save_strategy="no",
        use_cpu=True,
        report_to=[],
        disable_tqdm=True,
        **(options or {}),
    )
    trainer = Told(model=model, args=arguments, train_dataset=[rows[i] for i in order], **more)
    trainer.train()
    assert trainer.state.global_step == plan.num_steps
    return trainer, losses


class _Asked(NamedTuple):
    """What rows are made with, and answers read with."""

    tokenizer: Any
    model: Any
    run: Run

    @property
    def names(self) -> tuple[str, ...]:
        return self.run.data_card.label_names


def _texts(asked: _Asked, table: list[Row]) -> list[Row]:
    texts = [[row[c] for c in ("text", "text_pair") if c in row] for row in table]
    return [{**asked.tokenizer(*t), "label": r["label"]} for t, r in zip(texts, table, strict=True)]


def _several(asked: _Asked, table: list[Row]) -> list[Row]:
    flags = [[float(i in row["label"]) for i in range(len(asked.names))] for row in table]
    rows = _texts(asked, table)
    return [{**row, "label": flag} for row, flag in zip(rows, flags, strict=True)]


def _scaled(asked: _Asked, table: list[Row]) -> list[Row]:
    labels = np.array([row["label"] for row in table])
    scaled = (labels - labels.mean()) / labels.std()
    rows = _texts(asked, table)
    return [{**row, "label": float(label)} for row, label in zip(rows, scaled, strict=True)]


def _words(asked: _Asked, table: list[Row]) -> list[Row]:
    """Label the first token of each word, as the token classification example does."""
    rows = []
    for row in table:
        found = asked.tokenizer(
            row["tokens"], is_split_into_words=True, return_token_type_ids=False
        )
        labels, before = [], None
        for word in found.word_ids():
            labels.append(IGNORED if word is None or word == before else row["tags"][word])
            before = word
        rows.append({**found, "labels": labels})
    return rows


def _questions(asked: _Asked, table: list[Row]) -> list[Row]:
    rows = []
    for row in table:
        found = asked.tokenizer(row["question"], row["context"])
        first = row["starts"][0]
        last = first + len(row["answers"][0]) - 1
        rows.append(
            {
                **found,
                "start_positions": found.char_to_token(first, sequence_index=1),
                "end_positions": found.char_to_token(last, sequence_index=1),
            }
        )
    # The models' own loss lets padding share in the probability; ours does not. Here is none.
    assert len({len(row["input_ids"]) for row in rows}) == 1
    return rows


def _sources(asked: _Asked, table: list[Row]) -> list[Row]:
    prefix = asked.run.data_card.settings["prefix"]
    return [
        {
            **asked.tokenizer(prefix + row["source"]),
            "labels": asked.tokenizer(text_target=row["target"])["input_ids"],
        }
        for row in table
    ]


def _prompts(asked: _Asked, table: list[Row]) -> list[Row]:
    """Put the prompt together as its documentation says, the end-of-text token after the target."""
    task, tokenizer = asked.run.data_card.task, asked.tokenizer
    rows = []
    for row in table:
        text = f"Translate from English to French.\nEnglish: {row['source']}\nFrench:"
        if task == "summarization":
            text = f"Summarize the text.\nText: {row['source']}\nSummary:"
        if tokenizer.chat_template:
            talk = [{"role": "user", "content": text}]
            text = tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True)
        before = tokenizer(text)["input_ids"]
        after = [*tokenizer(row["target"])["input_ids"], tokenizer.eos_token_id]
        labels = [IGNORED] * len(before) + after
        rows.append(
            {"input_ids": before + after, "attention_mask": [1] * len(labels), "labels": labels}
        )
    return rows


def _likeliest(asked: _Asked, logits: np.ndarray, rows: list[Row]) -> list[str]:
    return [asked.names[i] for i in logits.argmax(1)]


def _likely(asked: _Asked, logits: np.ndarray, rows: list[Row]) -> list[list[str]]:
    return [[asked.names[i] for i in np.flatnonzero(row > 0)] for row in logits]


def _unscaled(asked: _Asked, scores: np.ndarray, rows: list[Row]) -> list[float]:
    labels = np.array(read_table(asked.run.paths.split("train"))["label"])
    return (scores[:, 0] * labels.std() + labels.mean()).tolist()


def _tags(asked: _Asked, logits: np.ndarray, rows: list[Row]) -> list[list[str]]:
    return [
        [asked.names[i] for i, label in zip(best, row["labels"], strict=False) if label != IGNORED]
        for best, row in zip(logits.argmax(2), rows, strict=True)
    ]


def _spans(asked: _Asked, logits: tuple[np.ndarray, ...], rows: list[Row]) -> list[str]:
    """Return the best span of each context, trying all of them one by one."""
    said = []
    table = read_table(asked.run.paths.split("train")).to_pylist()
    for row, starts, ends in zip(table, *logits[:2], strict=True):
        found = asked.tokenizer(row["question"], row["context"], return_offsets_mapping=True)
        inside = [i for i, part in enumerate(found.sequence_ids()) if part == 1]
        spans = [(a, b) for a in inside for b in inside if a <= b < a + _LONGEST_ANSWER]
        first, last = max(spans, key=lambda span: starts[span[0]] + ends[span[1]])
        places = found["offset_mapping"]
        said.append(row["context"][places[first][0] : places[last][1]].strip())
    return said


def _read(asked: _Asked, tokens: np.ndarray, rows: list[Row]) -> list[str]:
    tokens = np.where(tokens < 0, asked.tokenizer.pad_token_id, tokens)
    texts = asked.tokenizer.batch_decode(tokens, skip_special_tokens=True)
    return [text.strip() for text in texts]


def _continued(asked: _Asked, logits: np.ndarray, rows: list[Row]) -> list[str]:
    """Let the model go on after each prompt by itself: nothing is padded."""
    said = []
    for row in rows:
        prompt = row["input_ids"][: row["labels"].count(IGNORED)]
        written = asked.model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=asked.run.data_card.settings["max_target_length"],
            do_sample=False,
            eos_token_id=asked.tokenizer.eos_token_id,
            pad_token_id=asked.tokenizer.pad_token_id,
        )
        said.append(
            asked.tokenizer.decode(written[0, len(prompt) :], skip_special_tokens=True).strip()
        )
    return said


class _Recipe(NamedTuple):
    """How transformers' examples do a task.

    Attributes:
        rows: makes rows of a prepared table.
        said: reads what the model says of each row.
        collator: makes batches of rows.
        problem_type: names the loss, where a class of models has several.
        auto_class: where it is not the task's own.
        writes: whether Seq2SeqTrainer lets a decoder write.
    """

    rows: Callable[[_Asked, list[Row]], list[Row]]
    said: Callable[[_Asked, Any, list[Row]], list[Any]]
    collator: Callable[[Any], Any] = DataCollatorWithPadding
    problem_type: str | None = None
    auto_class: str | None = None
    writes: bool = False


_WRITTEN = _Recipe(_sources, _read, DataCollatorForSeq2Seq, writes=True)
_RECIPES = {
    "text-classification": _Recipe(_texts, _likeliest, problem_type="single_label_classification"),
    "multi-label-classification": _Recipe(
        _several, _likely, problem_type="multi_label_classification"
    ),
    "text-regression": _Recipe(_scaled, _unscaled, problem_type="regression"),
    "token-classification": _Recipe(_words, _tags, DataCollatorForTokenClassification),
    "question-answering": _Recipe(_questions, _spans),
    "translation": _WRITTEN,
    "summarization": _WRITTEN,
    "prompted": _Recipe(
        _prompts, _continued, DataCollatorForSeq2Seq, auto_class="AutoModelForCausalLM"
    ),
}
