"""Every magic's name, home and help: data only, so that loading the extension imports no magic."""

from __future__ import annotations

from typing import NamedTuple


class Magic(NamedTuple):
    """One magic: its home is `module:function`, called with (line, cell, names)."""

    name: str
    home: str
    help: str
    has_cell: bool = False


MAGICS: tuple[Magic, ...] = (
    Magic(
        "finetune",
        "nbtransfer.magics.finetune:finetune",
        """%finetune demo:minilm df --text review --label sentiment --epochs 2

Fine-tune a pre-trained model on labelled texts, live in this cell.

    %finetune                          a form: pick, look at the plan, start
    %finetune MODEL DATA [options]     start, and watch; Interrupt stops and keeps the model
    run = %finetune MODEL DATA ...     keep the Run
    %finetune MODEL DATA --adapt CORPUS
                                       first pre-train on texts of the domain, then fine-tune
    %finetune --attach [RUN]           the panel of a run that is going on, here
    %finetune --resume RUN             go on with a stopped, failed or lost run
    %%finetune                         the same, with options one a line in the cell

MODEL is demo:minilm, a folder, a run's name, a hub id or a variable. DATA is a variable (DataFrame,
Dataset, list of dicts), demo:tweets, a csv, tsv, jsonl or parquet file, or a hub id.

--plan shows what would happen, --as-code the same as Python, --help every option. The names of
transformers' TrainingArguments work as options too.""",
        has_cell=True,
    ),
    Magic(
        "pretrain",
        "nbtransfer.magics.pretrain:pretrain",
        """%pretrain demo:bert-tiny demo:python-docs --epochs 3

Go on pre-training a model on unlabelled texts of a domain, live in this cell; then fine-tune it.

    %pretrain MODEL CORPUS [options]   start, and watch; perplexity before and after is shown
    adapted = %pretrain MODEL CORPUS   keep the Run: it is a model, %finetune adapted DATA
    %pretrain MODEL CORPUS --from-scratch    random weights of the model's configuration
    %%pretrain                         the same, with options one a line in the cell

CORPUS is a text file, a folder or pattern of them, a variable (a list of texts, a DataFrame), a
csv, tsv, jsonl or parquet file, demo:python-docs, or a hub id. BERT-like models guess hidden
tokens, GPT-like ones each next token, T5 writes hidden stretches. Runs are resumed with
%finetune --resume RUN.

--plan shows what would happen, --as-code the same as Python, --help every option.""",
        has_cell=True,
    ),
    Magic(
        "evaluate",
        "nbtransfer.magics.evaluate:evaluate",
        """%evaluate run test.csv

Measure a run's model on held-out rows, and show what it gets wrong.

    %evaluate                          the newest finished run on its validation rows
    %evaluate RUN --split test         another split of the run's own data
    %evaluate RUN DATA                 other labelled rows
    %evaluate RUN --embeddings         how the model saw texts before training, and how it does now
    %evaluate RUN --forgetting         what the model forgot of general text on its way
    report = %evaluate RUN             keep the Report

%evaluate --help lists the options.""",
    ),
    Magic(
        "predict",
        "nbtransfer.magics.predict:predict",
        """%predict run "not a dull minute" "I want my money back"

Ask a run's model for the class of texts, with probabilities.

    %predict "a text"                  the newest finished run
    %predict RUN texts                 a variable: a text, a list, a Series, a generator
    %predict RUN df.review             a column, also df["my review"], or df --column review
    found = %predict RUN df.review     keep the list of predictions
    %predict RUN reviews.csv           the rows of a csv, tsv, jsonl or parquet file, or demo:NAME
    %predict RUN reviews.csv --output answers.parquet
                                       the answers in a file: rows may be more than memory holds
    %predict RUN --question "Who won?" --context story
                                       question answering; also RUN rows, with these two columns

RUN is a variable, a name, a run's folder, or a folder to which its model/ was copied. Columns are
those of training unless --column names another. A text that is called like a file goes into a list.

%predict --help lists the options.""",
    ),
    Magic(
        "runs",
        "nbtransfer.magics.runs:runs",
        """%runs

List the runs, newest first: status, model, data, metric, time.

    %runs show NAME                    a run's panel or record
    %runs stop NAME [--now]            stop at the next step and keep the model; --now kills
    %runs rm NAME                      delete a run's folder; a run that is going on is refused""",
    ),
    Magic(
        "dataset",
        "nbtransfer.magics.dataset:dataset",
        """%dataset df --text review --label sentiment

Look at data before training: columns, classes, lengths in tokens, duplicates, overlap, rows.

    %dataset demo:tweets --model demo:minilm --max-length 64

%dataset --help lists the options.""",
    ),
    Magic(
        "model",
        "nbtransfer.magics.model:model",
        """%model demo:minilm

Look at a model before training: architecture, parameters, limits, licence, training memory.""",
    ),
)

BY_NAME: dict[str, Magic] = {magic.name: magic for magic in MAGICS}
