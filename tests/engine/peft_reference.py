"""transformers' Trainer on a model of peft's own making, over the rows of each of our steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from nbtransfer.engine.train import Training
from nbtransfer.engine.worker import StopSignal
from nbtransfer.runs.events import EventWriter

if TYPE_CHECKING:
    from pathlib import Path

    from nbtransfer.runs.run import Run


def train_with_peft(run: Run, folder: Path) -> tuple[list[float], list[float]]:
    """Return the losses of each step, ours and those of peft's model under Trainer.

    The batches are ours; the model, its adapters, their gradients, the clipping and the update are
    theirs. Adapters begin with the same weights.
    """
    import transformers
    from peft import LoraConfig, get_peft_model
    from torch.utils.data import Dataset
    from transformers import Trainer, TrainingArguments

    from nbtransfer.tasks.catalog import task_named

    training = Training(run.paths, EventWriter(run.paths.events), StopSignal(), restart=False)
    ours = training.model
    begin = {n: p.detach().clone() for n, p in ours.named_parameters() if p.requires_grad}
    rows = training.train_rows
    training.resume()
    batches = [rows.batch(training.step_rows(step)) for step in range(run.plan.num_steps)]
    config = ours.peft_config["default"]

    labels = {"num_labels": len(run.data_card.label_names)} if run.data_card.label_names else {}
    auto_class = getattr(transformers, task_named(run.data_card.task).auto_class)
    base = auto_class.from_pretrained(run.model_card.location, dtype=torch.float32, **labels)
    base.config.pad_token_id = training.loaded.tokenizer.pad_token_id
    others = sorted({n.rpartition(".")[0] for n in begin if "lora_" not in n})
    model = get_peft_model(
        base,
        LoraConfig(
            r=config.r,
            lora_alpha=config.lora_alpha,
            target_modules=config.target_modules,
            fan_in_fan_out=config.fan_in_fan_out,
            modules_to_save=others or None,
        ),
    )
    own = dict(model.named_parameters())
    with torch.no_grad():
        for name, value in begin.items():
            path, _, last = name.rpartition(".")
            theirs = own.get(f"base_model.model.{name}")
            if theirs is None:
                theirs = own[f"base_model.model.{path}.modules_to_save.default.{last}"]
            theirs.copy_(value)
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == sum(
        p.numel() for p in begin.values()
    )

    class Batches(Dataset):
        def __len__(self) -> int:
            return len(batches)

        def __getitem__(self, place: int) -> dict[str, torch.Tensor]:
            return batches[place]

    losses: list[float] = []

    class InOrder(Trainer):
        def _get_train_sampler(self, *_: object) -> torch.utils.data.Sampler:
            return torch.utils.data.SequentialSampler(self.train_dataset)

        def training_step(self, *arguments: object, **keywords: object) -> torch.Tensor:
            loss = super().training_step(*arguments, **keywords)
            losses.append(float(loss))
            return loss

    spec = run.spec
    InOrder(
        model=model,
        args=TrainingArguments(
            output_dir=str(folder / "trainer"),
            per_device_train_batch_size=1,
            max_steps=run.plan.num_steps,
            learning_rate=run.plan.learning_rate,
            weight_decay=spec.weight_decay,
            warmup_steps=run.plan.warmup_steps,
            lr_scheduler_type=spec.lr_scheduler_type,
            report_to=[],
            save_strategy="no",
            use_cpu=True,
            disable_tqdm=True,
        ),
        train_dataset=Batches(),
        data_collator=lambda found: found[0],
    ).train()
    training.loop()
    return [row.loss for row in run.state().steps], losses
