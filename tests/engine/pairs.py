"""Tiny encoder-decoder models and pairs of texts for them, made here: there is no hub."""

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


def write_tokenizer(folder: Path, texts: list[str], *, bart: bool = False) -> None:
    """Write a word tokenizer as T5's (`... </s>`) or BART's (`<s> ... </s>`) marks texts."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    words = sorted({w for text in texts for w in text.replace(":", " :").split()})
    vocabulary = {w: i for i, w in enumerate(["<pad>", "</s>", "<unk>", "<s>", *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.decoder = decoders.WordPiece(prefix="##")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>" if bart else "$A </s>", special_tokens=[("</s>", 1), ("<s>", 3)]
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token="<pad>",
        eos_token="</s>",
        unk_token="<unk>",
        bos_token="<s>" if bart else None,
    ).save_pretrained(folder)


def write_model(folder: Path, family: str = "t5", *, seed: int = 0, dropout: float = 0.1) -> str:
    """Write a random encoder-decoder of one block a side and return its folder."""
    import torch
    from transformers import BartConfig, MarianConfig, T5Config, set_seed
    from transformers import BartForConditionalGeneration as Bart
    from transformers import MarianMTModel as Marian
    from transformers import T5ForConditionalGeneration as T5

    texts = [t for row in pairs(200, seed=9) for t in row.values()]
    texts.append("translate English to French : summarize")
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder, texts, bart=family == "bart")
    size = len({w for text in texts for w in text.split()}) + 4
    set_seed(seed)
    torch.manual_seed(seed)
    if family == "t5":
        config = T5Config(
            vocab_size=size, d_model=32, d_kv=16, d_ff=64, num_layers=1, num_heads=2,
            dropout_rate=dropout, decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
        )  # fmt: skip
        T5(config).save_pretrained(folder)
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
