"""Loading a model with its tokenizer for a run, and the frozen parts of each technique."""

# Shapes: B texts, T tokens, H hidden size, C classes.
from __future__ import annotations

import copy
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging

from nbtransfer.errors import ModelError, quoted
from nbtransfer.models.freezing import top_of
from nbtransfer.models.lora import add_adapters
from nbtransfer.spec import top_layers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nbtransfer.data.card import DataCard
    from nbtransfer.models.catalog import ModelCard
    from nbtransfer.spec import RunSpec
    from nbtransfer.tasks.task import Task

_HEAD_FILE = "classifier.safetensors"
_WITH_PRETRAINED_HEAD = frozenset(
    ("AutoModelForCausalLM", "AutoModelForMaskedLM", "AutoModelForSeq2SeqLM")
)


class Loaded(NamedTuple):
    """A model ready to train, its tokenizer, and what is worth telling the user."""

    model: nn.Module
    tokenizer: PreTrainedTokenizerBase
    notes: tuple[str, ...]


class MeanPooledClassifier(nn.Module):
    """A frozen encoder, the mean of its token vectors, and a linear layer on top.

    Mean pooling as in Sentence-BERT (Reimers and Gurevych, 2019): without training the encoder it
    separates classes far better than the vector of the first token.

    Attributes:
        encoder: any encoder of transformers.
        classifier: the linear layer from H features to C classes, the only part that learns.
        config: the encoder's configuration, with the class names in `id2label`.
    """

    def __init__(self, encoder: PreTrainedModel, num_labels: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = encoder.config
        self.classifier = nn.Linear(encoder.config.hidden_size, num_labels)

    def features(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **more: torch.Tensor
    ) -> torch.Tensor:
        """Return the mean of the token vectors.

        Args:
            input_ids: int tensor (B, T).
            attention_mask: int tensor (B, T); 0 marks padding.
            more: what else the encoder takes, as token types.

        Returns:
            Float tensor (B, H).
        """
        hidden = self.encoder(
            input_ids=input_ids, attention_mask=attention_mask, **more
        ).last_hidden_state
        mask = attention_mask.unsqueeze(-1).to(hidden.dtype)  # (B, T, 1)
        return (hidden * mask).sum(1) / mask.sum(1).clamp(min=1)

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor, **more: torch.Tensor
    ) -> torch.Tensor:
        """Return the logits, float tensor (B, C)."""
        return self.classifier(self.features(input_ids, attention_mask, **more))

    def let_classifier_read_texts(self) -> None:
        """Let `classifier` take what the whole model takes as well as features.

        Where features cannot be kept, what learns is called with texts and has the same names.
        """
        self.encoder.eval()

        def pooled(
            _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]
        ) -> tuple[tuple[Any, ...], dict[str, Any]]:
            return ((self.features(**kwargs),), {}) if "input_ids" in kwargs else (args, kwargs)

        self.classifier.register_forward_pre_hook(pooled, with_kwargs=True)

    def save_pretrained(self, folder: Path) -> None:
        """Write the encoder as transformers does and the classifier beside it."""
        self.encoder.save_pretrained(folder)
        save_file(
            {k: v.detach().cpu().contiguous() for k, v in self.classifier.state_dict().items()},
            folder / _HEAD_FILE,
        )

    @classmethod
    def from_pretrained(cls, folder: Path) -> MeanPooledClassifier:
        """Load what `save_pretrained` wrote."""
        encoder = AutoModel.from_pretrained(folder, dtype=torch.float32, use_safetensors=True)
        model = cls(encoder, encoder.config.num_labels)
        model.classifier.load_state_dict(load_file(folder / _HEAD_FILE))
        return model


def load_for_training(
    card: ModelCard, spec: RunSpec, task: Task, data: DataCard, max_length: int
) -> Loaded:
    """Load the pre-trained model with the task's head, frozen as the technique says.

    Weights are float32 whatever the checkpoint holds: updates smaller than half precision's steps
    would be lost otherwise.

    Raises:
        ModelError: if its folder is gone, or transformers cannot load it with such a head.
    """
    if card.source != "hub" and not Path(card.location).is_dir():  # transformers would look there
        raise ModelError(
            f"the folder of model {quoted(card.name)} is gone: {quoted(card.location, 200)}. "
            "Put it back to go on, or start a new run."
        )
    label_names = data.label_names
    labels: dict[str, object] = {}
    if label_names:
        labels = {
            "num_labels": len(label_names),
            "id2label": dict(enumerate(label_names)),
            "label2id": {name: i for i, name in enumerate(label_names)},
        }
    source: dict[str, object] = {"revision": card.revision, "trust_remote_code": False}
    notes: list[str] = []
    torch.manual_seed(spec.seed)  # the head's first weights
    try:
        tokenizer = AutoTokenizer.from_pretrained(card.location, **source)
        config = AutoConfig.from_pretrained(card.location, **source, **labels)
        if spec.technique == "features":
            model = _load_features(card, spec, config, source)
        elif spec.from_scratch:
            auto_class = _class_for(task.auto_class, config)
            model = auto_class.from_config(config, dtype=torch.float32)
        else:
            model = _class_for(task.auto_class, config).from_pretrained(
                card.location,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                ignore_mismatched_sizes=True,
                **source,
            )
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"model {quoted(card.name)} cannot be loaded for {task.title}: "
            f"{str(error).splitlines()[0][:300]}"
        ) from error
    if spec.from_scratch:
        notes.append("The weights are random: nothing pre-trained is used.")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
        notes.append(f"The tokenizer has no padding token; {tokenizer.pad_token!r} serves as one.")
    _expect_one_end(model, tokenizer)
    model.config.pad_token_id = tokenizer.pad_token_id
    tokenizer.model_max_length = max_length
    if "max_target_length" in data.settings:
        # Saved with the model, so that its own `generate` writes what an evaluation writes.
        model.generation_config = generation_settings(
            model, data.settings["num_beams"], data.settings["max_target_length"]
        )
        if data.settings.get("prompt"):  # what targets end with here
            model.generation_config.eos_token_id = tokenizer.eos_token_id
    has_other_head = card.head_labels and label_names and card.head_labels != label_names
    if has_other_head and spec.technique != "features":
        _renew_head(model)
        notes.append("The checkpoint's head has other classes; a new one is trained.")
    if spec.technique == "lora":
        head = _new_head(model, task, card)
        said = add_adapters(model, backbone_of(model), spec, card, head)
        if not card.linear_layers:  # otherwise the plan has counted them
            notes.append(said)
        return Loaded(model, tokenizer, tuple(notes))
    freeze(model, spec.technique)
    if spec.technique == "head" and card.lacks_pooler:
        # A pooling layer that starts at random is part of the head: frozen, it would only scramble.
        for name, parameter in model.base_model.named_parameters():
            parameter.requires_grad_(name.startswith("pooler."))
    return Loaded(model, tokenizer, tuple(notes))


def _class_for(auto_class: str, config: Any) -> Any:  # noqa: ANN401 -- of transformers
    """Return the class that loads the model; texts are written by decoders without encoders too."""
    if auto_class == "AutoModelForSeq2SeqLM" and not getattr(config, "is_encoder_decoder", False):
        auto_class = "AutoModelForCausalLM"
    return getattr(transformers, auto_class)


def _expect_one_end(model: nn.Module, tokenizer: PreTrainedTokenizerBase) -> None:
    """Let texts hold no end token of their own where the head looks for the one there is.

    The heads of T5 and BART for whole texts refuse batches whose rows have not equally many.
    """
    is_for_texts = type(model).__name__.endswith("ForSequenceClassification")
    if is_for_texts and model.config.is_encoder_decoder:
        tokenizer.split_special_tokens = True


def generation_settings(
    model: Any,  # noqa: ANN401 -- any class of transformers that generates
    num_beams: int,
    max_target_length: int,
) -> GenerationConfig:
    """Return how a model writes: its own settings, without chance, so many beams, so long."""
    settings = copy.deepcopy(model.generation_config)
    settings.update(
        do_sample=False,
        num_beams=num_beams,
        max_new_tokens=max_target_length,
        max_length=None,
        # A model's own wish for long texts must not pass the most that is asked for.
        min_length=min(settings.min_length or 0, max_target_length),
    )
    if settings.pad_token_id is None:
        settings.pad_token_id = model.config.pad_token_id
    if num_beams == 1:  # these speak of beams, and are refused without
        settings.update(early_stopping=None, length_penalty=None)
    return settings


def _load_features(
    card: ModelCard, spec: RunSpec, config: object, source: dict[str, object]
) -> MeanPooledClassifier:
    if spec.from_scratch:
        encoder = AutoModel.from_config(config, dtype=torch.float32)
    else:
        encoder = AutoModel.from_pretrained(
            card.location, config=config, dtype=torch.float32, use_safetensors=True, **source
        )
    return MeanPooledClassifier(encoder, encoder.config.num_labels)


def _new_head(model: PreTrainedModel, task: Task, card: ModelCard) -> set[str]:
    """Return the names of the parameters that start at random, which LoRA trains whole."""
    has_own = task.auto_class in _WITH_PRETRAINED_HEAD and not card.lacks_lm_head
    head = set() if has_own else head_of(model)
    poolers = {n for n, _ in model.named_parameters() if ".pooler." in f".{n}"}
    return head | poolers if card.lacks_pooler else head


def _renew_head(model: PreTrainedModel) -> None:
    """Give every layer of the head new random weights, as for a model without one."""
    head = head_of(model)
    for name, module in model.named_modules():
        if isinstance(module, nn.Linear) and f"{name}.weight" in head:
            nn.init.normal_(module.weight, std=getattr(model.config, "initializer_range", 0.02))
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def freeze(model: nn.Module, technique: str) -> None:
    """Let only the technique's part of `model` learn: all of it for `full`, the head otherwise."""
    if technique == "full":
        return
    for part in pretrained_parts(model):
        part.requires_grad_(False)
    if count := top_layers(technique):
        for part in top_of(backbone_of(model), count):
            part.requires_grad_(True)


def backbone_of(model: nn.Module) -> nn.Module:
    """Return the pre-trained part of a classifier; with the head where it has none of its own."""
    return model.encoder if isinstance(model, MeanPooledClassifier) else model.base_model


def pretrained_parts(model: nn.Module) -> list[nn.Module]:
    """Return everything of a model but its head."""
    backbone = backbone_of(model)
    if backbone is not model:
        return [backbone]
    # T5 with a head for spans, or one that writes: encoder and decoder lie beside the head.
    return [model.get_encoder(), model.get_decoder(), model.get_input_embeddings()]


def head_of(model: nn.Module) -> set[str]:
    """Return the names of the parameters outside the pre-trained parts."""
    inside = {id(p) for part in pretrained_parts(model) for p in part.parameters()}
    return {name for name, parameter in model.named_parameters() if id(parameter) not in inside}


def set_training_mode(model: nn.Module, technique: str) -> None:
    """Turn dropout on where weights learn; a frozen backbone stays in evaluation mode.

    Dropout in layers that do not learn would only add noise to the features.
    """
    model.train()
    if technique in ("full", "lora"):
        return
    for part in pretrained_parts(model):
        part.eval()
    if count := top_layers(technique):
        for part in top_of(backbone_of(model), count):
            part.train()


@contextmanager
def _no_progress_bars() -> Iterator[None]:
    """Keep transformers from drawing bars: in a notebook each leaves a widget in the saved file."""
    is_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if is_on:
            logging.enable_progress_bar()


def load_finetuned(model_dir: Path, auto_class: str) -> tuple[nn.Module, PreTrainedTokenizerBase]:
    """Load the model a run left, of whatever technique, in evaluation mode.

    Args:
        model_dir: the run's `model/`.
        auto_class: the class of transformers that its task names.

    Raises:
        ModelError: if the folder does not hold one.
    """
    try:
        with _no_progress_bars():
            tokenizer = AutoTokenizer.from_pretrained(model_dir)
            if (model_dir / _HEAD_FILE).exists():
                model: nn.Module = MeanPooledClassifier.from_pretrained(model_dir)
            else:
                config = AutoConfig.from_pretrained(model_dir)
                model = _class_for(auto_class, config).from_pretrained(
                    model_dir, dtype=torch.float32, use_safetensors=True
                )
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"the model in {quoted(str(model_dir))} cannot be loaded: {str(error).splitlines()[0]}"
        ) from error
    _expect_one_end(model, tokenizer)
    return model.eval(), tokenizer
