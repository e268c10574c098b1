"""Write the run folders of a release that later releases must be able to read.

`python -m tests.assets.runs.record v0.2` trains small jobs to their second checkpoint, kills them,
and keeps of each, in a folder named after release and job, spec, plan, cards, rows, log, the
pre-trained model, and that checkpoint, gzipped. Jobs that are there already are left as they are.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from nbtransfer.runs.files import read_json, write_json
from tests.engine.jobs import make_run, reviews, start, work_until_killed

_HERE = Path(__file__).parent
_KEPT = ("spec.json", "plan.json", "model_card.json", "data/card.json", "events.jsonl")


def _tagged() -> dict[str, list[list[str]]]:
    rows = [row["text"].split() for row in reviews(40)]
    return {"tokens": rows, "ner_tags": [[*["O"] * (len(row) - 1), "B-THING"] for row in rows]}


# By what follows the release in the folder's name.
_JOBS: dict[str, dict[str, Any]] = {
    "": {"data": reviews(40)},
    "-lora": {"data": reviews(40), "technique": "lora"},
    "-entities": {"data": _tagged()},
}


def write_base(folder: Path) -> str:
    """Write a BERT of one layer that knows the jobs' words only, and return its folder."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    words = sorted({word for row in reviews(40) for word in row["text"].split()})
    special = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]"}
    special |= {"sep_token": "[SEP]", "mask_token": "[MASK]"}
    vocabulary = {word: i for i, word in enumerate([*special.values(), *words])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    ends = [(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=ends
    )
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(folder)
    return str(folder)


def record(target: Path, job: dict[str, Any]) -> None:
    """Train the job until it is killed, and keep what later releases must read in `target`."""
    target.mkdir()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        base = write_base(folder / "base")
        run = make_run(folder, model=base, num_train_epochs=3, name=target.name, **job)
        start(run, work_until_killed, 11).join()
        checkpoint = run.state().checkpoints[-1].name
        shutil.copytree(base, target / "base")
        for path in (*_KEPT, *(f"data/{split}.parquet" for split in ("train", "validation"))):
            (target / path).parent.mkdir(exist_ok=True)
            shutil.copy(run.dir / path, target / path)
        (target / "checkpoint").mkdir()
        for path in sorted((run.paths.checkpoints_dir / checkpoint).iterdir()):
            data = gzip.compress(path.read_bytes(), 9, mtime=0)
            (target / "checkpoint" / f"{path.name}.gz").write_bytes(data)
        # The places of this machine are nobody's business.
        spec, card = (read_json(target / name) for name in ("spec.json", "model_card.json"))
        write_json(target / "spec.json", {**spec, "model": "base"})
        gone = {"name": "base", "location": "base", "tokenizer_file": "base/tokenizer.json"}
        write_json(target / "model_card.json", {**card, **gone})
        state = json.loads(json.dumps(dataclasses.asdict(run.state())))
        write_json(target / "expected.json", {"checkpoint": checkpoint, "state": state})


def main() -> None:
    """Record the release named on the command line."""
    for suffix, job in _JOBS.items():
        target = _HERE / f"{sys.argv[1]}{suffix}"
        if not target.exists():
            record(target, job)


if __name__ == "__main__":
    main()
