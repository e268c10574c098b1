"""A model of random weights whose words are numbers, for benchmarks that need no text of meaning.

Called as `python -m nbtransfer.bench.random_model FOLDER SHAPE`, the shape being JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def write_model(folder: Path, shape: dict[str, int]) -> None:
    """Write a BERT and a tokenizer that reads `w5 w17` as the tokens 5 and 17.

    Args:
        folder: where to.
        shape: entries of the configuration; without any it is BERT-base.
    """
    config = BertConfig(**shape)
    words = [*_SPECIAL, *(f"w{i}" for i in range(len(_SPECIAL), config.vocab_size))]
    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    ends = [(word, words.index(word)) for word in ("[SEP]", "[CLS]")]
    tokenizer.post_processor = processors.BertProcessing(*ends)
    names = {f"{word[1:-1].lower()}_token": word for word in _SPECIAL}
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=config.max_position_embeddings, **names
    ).save_pretrained(folder)
    torch.manual_seed(0)
    BertModel(config).save_pretrained(folder)


if __name__ == "__main__":
    write_model(Path(sys.argv[1]), json.loads(sys.argv[2]))
