"""Tiny models that write, and pairs of texts for them, made here: there is no hub."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_WORDS = {
    "open": "ouvrir", "close": "fermer", "save": "enregistrer", "print": "imprimer",
    "file": "fichier", "page": "page", "cell": "cellule", "line": "ligne", "red": "rouge",
    "new": "nouveau", "old": "ancien", "last": "dernier", "first": "premier", "all": "tout",
}  # fmt: skip


def pairs(num_rows: int, seed: int = 0) -> list[dict[str, str]]:
    """Return made-up pairs of English and word-by-word French, of various lengths."""
    draw = random.Random(seed)
    rows = []
    for _ in range(num_rows):
        words = draw.choices(list(_WORDS), k=draw.randint(1, 6))
        rows.append({"en": " ".join(words), "fr": " ".join(_WORDS[w] for w in words)})
    return rows


CHAT = "{% for m in messages %}<s> {{ m['content'] }} </s>{% endfor %} <s>"


def write_tokenizer(
    folder: Path, texts: list[str], *, bart: bool = False, bare: bool = False, chat: bool = False
) -> None:
    """Write a word tokenizer as T5's (`... </s>`) or BART's (`<s> ... </s>`) marks texts.

    A bare one marks none, as GPT-2's; with `chat` it has a template for talks.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = sorted({w for text in texts for w in text.replace(":", " :").split()})
    vocabulary = {w: i for i, w in enumerate(["<pad>", "</s>", "<unk>", "<s>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    if not bare:
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>" if bart else "$A </s>",
            pair="<s> $A </s> </s> $B </s>" if bart else "$A </s> $B </s>",
            special_tokens=[("</s>", 1), ("<s>", 3)],
        )
    found = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=None if bare else "<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        bos_token="<s>" if bart or chat else None,
        model_input_names=["input_ids", "attention_mask"],  # none of these knows token types
    )
    if chat:
        found.chat_template = CHAT
    found.save_pretrained(folder)


def write_model(
    folder: Path,
    family: str = "t5",
    *,
    seed: int = 0,
    dropout: float = 0.1,
    deviation: float = 0.02,
) -> str:
    """Write a random encoder-decoder of one block a side and return its folder.

    `gpt2` and `chat` (a Llama with a chat template) are decoders of two blocks, whose weights have
    this deviation.
    """
    import torch
    from transformers import (
        BartConfig,
        GPT2Config,
        GPT2LMHeadModel,
        LlamaConfig,
        LlamaForCausalLM,
        MarianConfig,
        MT5Config,
        T5Config,
        set_seed,
    )
    from transformers import BartForConditionalGeneration as Bart
    from transformers import MarianMTModel as Marian
    from transformers import MT5ForConditionalGeneration as MT5
    from transformers import T5ForConditionalGeneration as T5

    texts = [t for row in pairs(200, seed=9) for t in row.values()]
    texts.append("translate English to French : summarize")
    folder.mkdir(parents=True, exist_ok=True)
    decodes = family in ("gpt2", "chat")
    if decodes:
        texts.append("Translate from English to French . English : French : Text Rewrite the")
    write_tokenizer(folder, texts, bart=family == "bart", bare=decodes, chat=family == "chat")
    size = len({w for text in texts for w in text.split()}) + 4
    set_seed(seed)
    torch.manual_seed(seed)
    if family == "gpt2":
        config = GPT2Config(
            vocab_size=size, n_embd=32, n_layer=2, n_head=2, n_positions=48, resid_pdrop=dropout,
            embd_pdrop=dropout, attn_pdrop=dropout, classifier_dropout=dropout,
            initializer_range=deviation, bos_token_id=1, eos_token_id=1,
        )  # fmt: skip
        GPT2LMHeadModel(config).save_pretrained(folder)
        return str(folder)
    if family == "chat":
        config = LlamaConfig(
            vocab_size=size, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
            num_attention_heads=2, max_position_embeddings=48, bos_token_id=3, eos_token_id=1,
            attention_dropout=dropout, classifier_dropout=dropout,
            initializer_range=deviation,
        )  # fmt: skip
        LlamaForCausalLM(config).save_pretrained(folder)
        return str(folder)
    if family in ("t5", "mt5"):
        config_class, model_class = (T5Config, T5) if family == "t5" else (MT5Config, MT5)
        config = config_class(
            vocab_size=size, d_model=32, d_kv=16, d_ff=64, num_layers=1, num_heads=2,
            dropout_rate=dropout, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
        )  # fmt: skip
        model_class(config).save_pretrained(folder)
        return str(folder)
    shape = {
        "vocab_size": size, "d_model": 32, "encoder_layers": 1, "decoder_layers": 1,
        "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 64,
        "decoder_ffn_dim": 64, "max_position_embeddings": 64, "dropout": dropout,
        "pad_token_id": 0, "eos_token_id": 1, "forced_eos_token_id": 1,
    }  # fmt: skip
    if family == "bart":
        config = BartConfig(**shape, bos_token_id=3, decoder_start_token_id=1, init_std=0.2)
        Bart(config).save_pretrained(folder)
    else:
        config = MarianConfig(**shape, bos_token_id=3, decoder_start_token_id=0, init_std=0.2)
        Marian(config).save_pretrained(folder)
    return str(folder)
