"""Saving means loading: the model a run leaves, loaded by a fresh process and asked again.

`python -m nbtransfer.engine.verify MODEL_DIR QUESTIONS` loads the model as a user would, offline,
and compares its logits with those the trained model gave to the same texts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtransfer.errors import ModelError
from nbtransfer.runs.files import read_json, write_json

if TYPE_CHECKING:
    from nbtransfer.engine.train import Training
    from nbtransfer.runs.paths import RunPaths

NUM_ROWS = 8
# Shares of the largest logit: a CPU gives the same bits, an accelerator only nearly those.
_TOLERANCE_CPU = 1e-6
_TOLERANCE_ACCELERATOR = 1e-3
_TIMEOUT_S = 300.0


class Verification:
    """A fresh process that loads the saved model while this one goes on.

    Args:
        training: its model, as it was saved, answers first.
    """

    def __init__(self, training: Training) -> None:
        self._paths: RunPaths = training.paths
        write_questions(training)
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "nbtransfer.engine.verify",
                str(self._paths.model_dir),
                str(self._paths.verification),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "NBTRANSFER_FAULT": ""},
        )

    def result(self) -> float:
        """Wait and return the largest difference between two logits.

        Raises:
            ModelError: if the saved model cannot be loaded or answers differently.
        """
        try:
            out, problem = self._process.communicate(timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise ModelError(
                f"the saved model could not be loaded again within {_TIMEOUT_S:g} s."
            ) from None
        if self._process.returncode != 0:
            last = (problem.strip().splitlines() or ["no message"])[-1]
            raise ModelError(f"the saved model cannot be loaded again: {last}")
        answer = json.loads(out)
        if not answer["equal"]:
            raise ModelError(
                "the saved model does not answer as the trained one did: logits differ by up to "
                f"{answer['difference']:.2g}."
            )
        return float(answer["difference"])


def write_questions(training: Training) -> None:
    """Write texts and the logits the model gives them, in float32, dropout off."""
    import torch

    from nbtransfer.engine.step import logits_of
    from nbtransfer.runs.files import read_table

    split = "train" if training.validation is None else "validation"
    texts = read_table(training.paths.split(split))["text"][:NUM_ROWS].to_pylist()
    model = training.model.eval()
    batch = _encode(training.loaded.tokenizer, texts, training.plan.max_length)
    with torch.inference_mode():
        device = training.accelerator.device
        logits = logits_of(model, {name: tensor.to(device) for name, tensor in batch.items()})
    questions = {
        "v": 1,
        "texts": texts,
        "max_length": training.plan.max_length,
        "num_threads": training.plan.num_threads,
        "logits": logits.float().cpu().tolist(),
        "tolerance": _TOLERANCE_CPU if device.type == "cpu" else _TOLERANCE_ACCELERATOR,
    }
    write_json(training.paths.verification, questions)


def _encode(tokenizer: Any, texts: list[str], max_length: int) -> dict[str, Any]:  # noqa: ANN401 -- of any model
    return dict(
        tokenizer(
            texts,
            truncation=True,
            max_length=max_length,
            padding=True,
            return_tensors="pt",
            return_token_type_ids=False,
        )
    )


def ask(model_dir: Path, questions: dict[str, Any]) -> dict[str, Any]:
    """Load the model in `model_dir` and return how its answers compare.

    Returns:
        `difference`, the largest between two logits, and `equal`, whether it is within tolerance.
    """
    import torch

    from nbtransfer.engine.step import logits_of
    from nbtransfer.models.load import load_finetuned

    torch.set_num_threads(questions["num_threads"])
    model, tokenizer = load_finetuned(model_dir)
    with torch.inference_mode():
        logits = logits_of(model, _encode(tokenizer, questions["texts"], questions["max_length"]))
    wanted = torch.tensor(questions["logits"])
    difference = float((logits - wanted).abs().max())
    equal = difference <= questions["tolerance"] * max(1.0, float(wanted.abs().max()))
    return {"difference": difference, "equal": equal}


def main() -> None:
    """Answer as `ask` does for MODEL_DIR and QUESTIONS of the command line, as JSON."""
    sys.stdout.write(json.dumps(ask(Path(sys.argv[1]), read_json(Path(sys.argv[2])))))


if __name__ == "__main__":
    main()
