"""Saving means loading: the model a run leaves, loaded by a fresh process and asked again.

`python -m nbtransfer.engine.verify MODEL_DIR QUESTIONS` loads the model as a user would, offline,
and compares its logits with those the trained model gave to the same texts.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nbtransfer.data.encode import batches_of
from nbtransfer.engine.reporting import DECISION_FILE, read_decision
from nbtransfer.errors import ModelError, quoted
from nbtransfer.models.lora import has_adapters
from nbtransfer.runs.files import first_rows, read_json, write_json
from nbtransfer.tasks.catalog import task_named

if TYPE_CHECKING:
    import torch
    from torch import nn

    from nbtransfer.engine.train import Training
    from nbtransfer.runs.paths import RunPaths

NUM_ROWS = 8
_MAX_LOGITS = 100_000  # of a language model's millions, evenly spread ones are compared
# Shares of the largest logit: a CPU gives the same bits, an accelerator only nearly those.
_TOLERANCE_CPU = 1e-6
_TOLERANCE_ACCELERATOR = 1e-3
_TOLERANCE_MERGED = 1e-4  # an adapter added to a weight rounds otherwise than beside it
_TIMEOUT_S = 300.0
_SHOWN = 5  # names of classes in a message


class Verification:
    """A fresh process that loads the saved model while this one goes on.

    Args:
        training: has written its questions.
    """

    def __init__(self, training: Training) -> None:
        self._paths: RunPaths = training.paths
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-P",
                "-m",
                "nbtransfer.engine.verify",
                str(self._paths.model_dir),
                str(self._paths.verification),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "HF_HUB_OFFLINE": "1", "NBTRANSFER_FAULT": ""},
        )

    def result(self, decision: dict[str, Any] | None) -> float:
        """Wait and return the largest difference between two logits.

        Args:
            decision: what was decided of how the model is asked and read, while that process loaded
                it; it looks at this last.

        Raises:
            ModelError: if the saved model cannot be loaded or is not the one that was trained.
        """
        try:
            out, problem = self._process.communicate(json.dumps(decision), timeout=_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise ModelError(
                f"the saved model could not be loaded again within {_TIMEOUT_S:g} s."
            ) from None
        if self._process.returncode != 0:
            last = (problem.strip().splitlines() or ["no message"])[-1]
            raise ModelError(f"the saved model cannot be loaded again: {last}")
        answer = json.loads(out)
        raise_problem(answer)
        return float(answer["difference"])


def raise_problem(answer: dict[str, Any]) -> None:
    """Raise ModelError where the saved model is not the trained one."""
    if answer["problem"] is not None:
        raise ModelError(f"the saved model is not as it was trained: {answer['problem']}.")


def write_questions(training: Training) -> None:
    """Write texts as the tokenizer reads them, and the logits of some rows, dropout off.

    They are computed in float32, as the fresh process does: half precision's own rounding is many
    times what a model that was saved wrongly may differ by.
    """
    import numpy as np
    import torch

    from nbtransfer.engine.products import products_of, take_products

    rows = training.loaded.train if training.validation is None else training.validation
    encoding = rows.encoding
    count = min(NUM_ROWS, encoding.tokens.num_rows)
    tokenizer = training.loaded.tokenizer
    inputs = batches_of(encoding, tokenizer).batch(np.arange(count))
    texts = training.reader.task.texts(first_rows(rows.path, NUM_ROWS))[0].to_pylist()
    # Training is over: accelerate's wrapping, which computes in the run's precision, can go.
    training.accelerator.unwrap_model(training.learner, keep_fp32_wrapper=False)
    model = training.model.eval()
    device = training.accelerator.device
    products, precision = products_of(model), torch.get_float32_matmul_precision()
    take_products(model, "torch")  # as in the fresh process
    torch.set_float32_matmul_precision("highest")
    questions = {
        "v": 3,
        "task": training.reader.task.name,
        "label_names": list(training.card.label_names),
        "texts": texts,
        "tokens": tokenizer(texts)["input_ids"],
        "inputs": {name: tensor.tolist() for name, tensor in inputs.items()},
        "num_threads": training.plan.num_threads,
        "outputs": _outputs(model, {k: v.to(device) for k, v in inputs.items()}),
        "tolerance": _tolerance(device, has_adapters(model)),
    }
    torch.set_float32_matmul_precision(precision)
    take_products(model, products)
    write_json(training.paths.verification, questions)


def _tolerance(device: torch.device, adapted: bool) -> float:
    if device.type != "cpu":
        return _TOLERANCE_ACCELERATOR
    return _TOLERANCE_MERGED if adapted else _TOLERANCE_CPU


def _outputs(model: nn.Module, inputs: dict[str, torch.Tensor]) -> list[float]:
    """Return the model's logits of a batch, end to end, in float32; of very many, some."""
    import torch

    labels = inputs.pop("labels", None)
    config = getattr(model, "config", None)
    if getattr(config, "is_encoder_decoder", False) and labels is not None:
        inputs["labels"] = labels  # such a model needs them to begin
    with torch.inference_mode():
        output = model(**inputs)
    if isinstance(output, torch.Tensor):
        found = [output]
    elif hasattr(output, "start_logits"):
        found = [output.start_logits, output.end_logits]
    else:
        found = [output.logits]
    flat = torch.cat([part.float().cpu().flatten() for part in found])
    return flat[:: -(-len(flat) // _MAX_LOGITS)].tolist()


def ask(model_dir: Path, questions: dict[str, Any]) -> dict[str, Any]:
    """Load the model in `model_dir` and return how it compares.

    Returns:
        `difference`, the largest between two logits, and `problem`, in words: that they differ
        beyond tolerance, or the classes' names, or how the tokenizer reads the texts; else None.
    """
    import torch

    from nbtransfer.models.load import load_finetuned

    torch.set_num_threads(questions["num_threads"])
    model, tokenizer = load_finetuned(model_dir, task_named(questions["task"]).auto_class)
    same_tokens = tokenizer(questions["texts"])["input_ids"] == questions["tokens"]
    inputs = {name: torch.tensor(values) for name, values in questions["inputs"].items()}
    found, wanted = torch.tensor(_outputs(model, inputs)), torch.tensor(questions["outputs"])
    difference = float((found - wanted).abs().max()) if len(found) == len(wanted) else math.inf
    within = difference <= questions["tolerance"] * max(1.0, float(wanted.abs().max()))
    problem = None
    if not within:
        problem = f"logits differ by up to {difference:.2g}"
    elif not same_tokens:
        problem = "its tokenizer makes other tokens of the same texts"
    else:
        problem = _other_names(model.config, questions["label_names"])
    return {"difference": difference, "problem": problem}


def _other_names(config: Any, names: list[str]) -> str | None:  # noqa: ANN401 -- of transformers
    """Return in words how the classes are called, where that is not by `names`."""
    if not names:
        return None
    numbers = range(len(names))
    found = [config.id2label.get(i) for i in numbers]
    if found == names and {name: config.label2id.get(name) for name in names} == dict(
        zip(names, numbers, strict=True)
    ):
        return None
    said, wanted = (", ".join(quoted(n, 30) for n in some[:_SHOWN]) for some in (found, names))
    return f"it calls its classes {said}, not {wanted}"


def other_decision(model_dir: Path, decision: dict[str, Any] | None) -> str | None:
    """Return in words that what is kept beside the model is not what was decided, or None."""
    if read_decision(model_dir) == decision:
        return None
    return f"its {DECISION_FILE} does not hold what was decided"


def main() -> None:
    """Answer as `ask` does for MODEL_DIR and QUESTIONS of the command line, as JSON.

    The decision is read from stdin when all else is done: meanwhile it is still being made.
    """
    model_dir = Path(sys.argv[1])
    answer = ask(model_dir, read_json(Path(sys.argv[2])))
    other = other_decision(model_dir, json.load(sys.stdin))
    sys.stdout.write(json.dumps({**answer, "problem": answer["problem"] or other}))


if __name__ == "__main__":
    main()
