"""Write the run folder of a release that later releases must be able to read.

`python -m tests.assets.runs.record v0.1` trains a small job to its second checkpoint, kills it,
and keeps spec, plan, cards, rows, log and that checkpoint, gzipped, in a folder of that name.
"""

from __future__ import annotations

import dataclasses
import gzip
import json
import shutil
import sys
import tempfile
from pathlib import Path

from nbtransfer.runs.files import read_json, write_json
from tests.engine.jobs import make_run, reviews, start, work_until_killed, write_mini_model

_HERE = Path(__file__).parent
_KEPT = ("spec.json", "plan.json", "model_card.json", "data/card.json", "events.jsonl")


def thin(model_dir: str) -> None:
    """Set the embedding of every word the rows do not use to zero: zeros compress to nothing."""
    import torch
    from transformers import AutoModel, AutoTokenizer

    model, tokenizer = (kind.from_pretrained(model_dir) for kind in (AutoModel, AutoTokenizer))
    used = tokenizer([row["text"] for row in reviews(40)])["input_ids"]
    words = model.get_input_embeddings().weight
    unused = torch.ones(len(words), dtype=torch.bool)
    unused[sorted({token for tokens in used for token in tokens})] = False
    with torch.no_grad():
        words[unused] = 0
    model.save_pretrained(model_dir)


def main() -> None:
    """Record the release named on the command line."""
    target = _HERE / sys.argv[1]
    target.mkdir()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model = write_mini_model(folder / "mini-model")
        thin(model)
        run = make_run(folder, model=model, num_rows=40, num_train_epochs=3, name=sys.argv[1])
        start(run, work_until_killed, 11).join()
        checkpoint = run.state().checkpoints[-1].name
        for path in (*_KEPT, *(f"data/{split}.parquet" for split in ("train", "validation"))):
            (target / path).parent.mkdir(exist_ok=True)
            shutil.copy(run.dir / path, target / path)
        (target / "checkpoint").mkdir()
        for path in sorted((run.paths.checkpoints_dir / checkpoint).iterdir()):
            data = gzip.compress(path.read_bytes(), 9, mtime=0)
            (target / "checkpoint" / f"{path.name}.gz").write_bytes(data)
        # The places of this machine are nobody's business.
        spec, card = (read_json(target / name) for name in ("spec.json", "model_card.json"))
        write_json(target / "spec.json", {**spec, "model": "mini-model"})
        gone = {"name": "mini-model", "location": "mini-model", "tokenizer_file": None}
        write_json(target / "model_card.json", {**card, **gone})
        state = json.loads(json.dumps(dataclasses.asdict(run.state())))
        write_json(target / "expected.json", {"checkpoint": checkpoint, "state": state})


if __name__ == "__main__":
    main()
