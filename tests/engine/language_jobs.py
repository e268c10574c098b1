"""Small language-modelling jobs on tiny models of each family."""

from __future__ import annotations

import dataclasses
import random
from typing import TYPE_CHECKING

import torch

from nbtransfer import api
from nbtransfer.runs import store

if TYPE_CHECKING:
    from pathlib import Path

    from nbtransfer.runs.run import Run

_SUBJECTS = ["the worker", "a kernel", "this folder", "the panel", "an event", "the plan"]
_VERBS = ["writes", "reads", "keeps", "shows", "finds", "closes"]
_OBJECTS = ["the log", "a file", "its name", "every row", "the answer", "one line"]


def documents(count: int = 60, seed: int = 0) -> list[str]:
    """Return made-up documents of one to six sentences."""
    draw = random.Random(seed)

    def sentence() -> str:
        return f"{draw.choice(_SUBJECTS)} {draw.choice(_VERBS)} {draw.choice(_OBJECTS)}."

    return [" ".join(sentence() for _ in range(draw.randint(1, 6))) for _ in range(count)]


def write_model(folder: Path, family: str, *, dropout: float = 0.1) -> str:
    """Write a tiny model with a language-modelling head and its tokenizer; return the folder."""
    import transformers
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    words = sorted({w for text in documents(300) for w in text.replace(".", " .").split()})
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    sentinels = [f"<extra_id_{i}>" for i in range(9, -1, -1)] if family == "t5" else []
    vocabulary = {word: i for i, word in enumerate([*special, *words, "##s", *sentinels])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    names = {"unk_token": "[UNK]", "eos_token": "[SEP]"}
    if family == "t5":
        tokenizer.post_processor = processors.TemplateProcessing(
            single="$A [SEP]", special_tokens=[("[SEP]", 3)]
        )
        names |= {"pad_token": "[PAD]", "additional_special_tokens": sentinels}
    elif family != "gpt2":
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
        )
        names |= {"pad_token": "[PAD]", "mask_token": "[MASK]", "cls_token": "[CLS]"}
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **names, sep_token="[SEP]"
    ).save_pretrained(folder)
    torch.manual_seed(1)
    sizes = {
        "vocab_size": len(vocabulary),
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 48,
        "max_position_embeddings": 66,
        "pad_token_id": 0,
        "hidden_dropout_prob": dropout,
        "attention_probs_dropout_prob": dropout,
    }
    if family == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=len(vocabulary), n_embd=32, n_layer=2, n_head=2, n_positions=64,
            resid_pdrop=dropout, embd_pdrop=dropout, attn_pdrop=dropout,
            bos_token_id=3, eos_token_id=3,
        )  # fmt: skip
        model = transformers.GPT2LMHeadModel(config)
    elif family == "t5":
        config = transformers.T5Config(
            vocab_size=len(vocabulary), d_model=32, d_kv=16, d_ff=48, num_layers=2, num_heads=2,
            dropout_rate=dropout, pad_token_id=0, eos_token_id=3, decoder_start_token_id=0,
        )  # fmt: skip
        model = transformers.T5ForConditionalGeneration(config)
    else:
        if family == "distilbert":
            sizes |= {"dropout": dropout, "attention_dropout": dropout}
        config = transformers.AutoConfig.for_model(family, **sizes)
        model = transformers.AutoModelForMaskedLM.from_config(config)
    model.save_pretrained(folder)
    return str(folder)


def make_run(runs_dir: Path, model: str, corpus: object = None, **keywords: object) -> Run:
    """Write the folder of a small pre-training run; nothing is started."""
    job = api.prepare_job(
        model,
        documents() if corpus is None else corpus,
        keywords={
            "task": api.pretraining_task(model, runs_dir=runs_dir),
            "per_device_train_batch_size": 8,
            "num_train_epochs": 2,
            "validation": 0.2,
            "learning_rate": 5e-3,
            "use_cpu": True,
            **keywords,
        },
        runs_dir=runs_dir,
    )
    return store.create_run(
        job.runs_dir,
        spec=job.spec,
        plan=dataclasses.replace(job.plan, num_threads=1, products="torch"),
        data_card=job.prepared.card,
        model_card=job.model_card,
        splits=job.prepared.splits,
    )
