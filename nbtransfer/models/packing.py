"""Batches without padding: rows end to end, and heads that find their own in them.

A packed batch is one row of B sequences, and for CUDA graphs a few of filler; positions restart
with each. The fillers bring the number of tokens up to one of a few totals, because a graph is
captured for each total. They are sequences of their own, so nothing of them reaches a row.
"""

# Shapes: B rows, L tokens of the longest row of all, T tokens of a packed batch, S sequences in it
# (rows and fillers), H hidden size, C classes.
from __future__ import annotations

from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import nn
from torch.nn.functional import pad, relu
from transformers import AttentionInterface, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

from nbtransfer.choices import PACKED_DECODERS, PACKED_FAMILIES, PACKED_OFFSET
from nbtransfer.models.first_token import only_first_token
from nbtransfer.models.packed_attention import ATTENTION, LARGEST_HEAD, pieces_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nbtransfer.models.buckets import Bucket
    from nbtransfer.models.freezing import Cut

IGNORED = -100  # a label that is none, as cross-entropy understands it
_ROPES = ("default", "linear", "llama3", "yarn")  # angles that depend on the position alone
_ROWS, _SPANS = "ForSequenceClassification", "ForQuestionAnswering"
_HEAD_CLASSES = (_ROWS, _SPANS, "ForTokenClassification", "LM", "LMHeadModel")


class Layout(NamedTuple):
    """Where the sequences of a packed batch lie.

    Attributes:
        boundaries: int32 tensor (S + 1,), the first token of each sequence, and T.
        places: int64 tensor (B,), the token of each row that its answer is read from.
    """

    boundaries: torch.Tensor
    places: torch.Tensor


def why_not_packed(model: nn.Module) -> str | None:
    """Return why batches of `model` cannot be packed, in words, or None if they can."""
    if not isinstance(model, PreTrainedModel):
        return "only a layer on top of stored features learns"
    config = model.config
    family = config.model_type
    if family not in PACKED_FAMILIES:
        return f"{family} models have an attention of their own"
    if family not in PACKED_DECODERS and getattr(config, "is_decoder", False):
        return f"this {family} model is set up as a decoder"
    ropes = getattr(config, "rope_parameters", None) or {}
    kinds = [ropes] if "rope_type" in ropes else [r for r in ropes.values() if r]
    for kind in kinds:
        if kind.get("rope_type", "default") not in _ROPES:
            return f"its positions ({kind['rope_type']}) depend on the length of the batch"
    kind = type(model).__name__
    if not kind.endswith(_HEAD_CLASSES):
        return f"the head of {kind} is not built for packed batches"
    return None


def why_not_flash(model: PreTrainedModel) -> str | None:
    """Return why flash attention does not take the heads of `model`, or None if it does."""
    config = model.config
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    if size % 8 or size > LARGEST_HEAD:
        return f"its attention heads have {size} features; flash attention takes 8, 16, .. 256"
    return None


class PackedModel:
    """A model of transformers that takes packed batches, with the weights it has.

    Called like the model itself, it gives an output with `logits`: (B, C) where the head answers
    for a whole row, (1, T, C) where it answers for each token. Where the head points into rows, it
    gives `start_logits` and `end_logits` (B, L), -inf beyond a row's end.

    Args:
        model: one that `why_not_packed` has nothing against.
        max_length: tokens of the longest row.
        cut: leaves out the blocks that batches bring the answers of (`frozen`), if any do.
    """

    def __init__(self, model: PreTrainedModel, max_length: int, cut: Cut | None = None) -> None:
        self.model = model
        self.max_length = max_length
        self._cut = cut
        head = type(model).__name__
        self.answers_rows, self.answers_spans = head.endswith(_ROWS), head.endswith(_SPANS)
        self._configs = list({id(c): c for c in _configs_of(model)}.values())
        self._compiled: list[tuple[nn.Module, Callable[..., Any]]] = []

    def pack(
        self,
        batch: dict[str, torch.Tensor],
        bucket: Bucket | None = None,
        *,
        next_tokens: bool = False,
    ) -> dict[str, torch.Tensor]:
        """Return a padded batch without its padding, filled up to the bucket's total if any.

        What the padded batch says (token types, hidden tokens, labels) is taken as it stands, so
        packed and padded training see the same.

        Args:
            batch: int64 `input_ids` and `attention_mask` (B, L), `token_type_ids` if there are any,
                `frozen` (B, L, H) where lower blocks were asked before, and `labels`, (B, ...) or,
                where tokens are judged, (B, L).
            bucket: the total, and into how many sequences what is missing is split.
            next_tokens: labels are read one place later, so that the first of a row has no use.

        Returns:
            `input_ids`, `position_ids` and `token_type_ids` (1, T), `boundaries` (S + 1,), `places`
            (B,), `frozen` (1, T, H) and `labels`, (1, T) where tokens are judged.
        """
        own = batch["attention_mask"].bool()
        ids = batch["input_ids"]
        lengths = own.sum(1)
        missing, fillers = 0, []
        if bucket is not None:
            missing = bucket.total - int(lengths.sum())
            fillers = filler_lengths(missing, bucket.num_fillers)
        ends = torch.cat([lengths, torch.tensor(fillers, dtype=lengths.dtype)]).cumsum(0)
        first = self._first_position()
        filler_positions = [torch.arange(n) + first for n in fillers]
        found = {
            "input_ids": pad(ids[own], (0, missing), value=self._filler())[None],
            "position_ids": torch.cat([self._positions(ids)[own], *filler_positions])[None],
            "boundaries": pad(ends, (1, 0)).int(),
            "places": ends[: len(lengths)] - lengths + self._answer_places(ids, lengths),
        }
        if "token_type_ids" in batch:
            found["token_type_ids"] = pad(batch["token_type_ids"][own], (0, missing))[None]
        if "frozen" in batch:
            found["frozen"] = pad(batch["frozen"][own], (0, 0, 0, missing))[None]
        if (labels := batch.get("labels")) is not None:
            if not (self.answers_rows or self.answers_spans):
                if next_tokens:
                    labels = labels.clone()
                    labels[:, 0] = IGNORED
                labels = pad(labels[own], (0, missing), value=IGNORED)[None]
            found["labels"] = labels
        return found

    def compile_layers(self) -> None:
        """Compile each layer for packed batches; padded ones go on as they are.

        One compilation with lengths left open serves every bucket and every layer.
        """
        for layer in _layers_of(self.model):
            self._compiled.append((layer, torch.compile(layer.forward, dynamic=True)))

    def _first_position(self) -> int:
        return 0 if (padding := self._position_padding()) is None else padding + 1

    def _position_padding(self) -> int | None:
        """Return what padding has for a position, in families whose positions count from there."""
        if self.model.config.model_type not in PACKED_OFFSET:
            return None
        return int(self.model.base_model.embeddings.padding_idx)

    def _filler(self) -> int:
        """Return a token that is no padding: transformers warns where it finds padding unmasked."""
        return int(self.model.config.pad_token_id == 0)

    def _positions(self, ids: torch.Tensor) -> torch.Tensor:
        """Return what the model would take for positions itself, int64 tensor (B, L)."""
        padding = self._position_padding()
        if padding is None:
            return torch.arange(ids.shape[1]).expand_as(ids)
        real = (ids != padding).long()  # a padding token inside a text counts as none here either
        return real.cumsum(1) * real + padding

    def _answer_places(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        """Return the place inside each row that its answer is read from, int64 tensor (B,)."""
        config = self.model.config
        if config.model_type not in PACKED_DECODERS:
            return torch.zeros_like(lengths)
        at = torch.arange(ids.shape[1])
        return (at * (ids != config.pad_token_id)).argmax(1)  # the last that is no padding

    def __call__(
        self,
        *,
        input_ids: torch.Tensor,
        position_ids: torch.Tensor,
        boundaries: torch.Tensor,
        places: torch.Tensor,
        token_type_ids: torch.Tensor | None = None,
        frozen: torch.Tensor | None = None,
    ) -> Any:  # noqa: ANN401 -- by architecture
        """Return the model's output for what `pack` made, without its labels."""
        inputs: dict[str, Any] = {
            "input_ids": input_ids,
            "position_ids": position_ids,
            "cu_seq_lens_q": boundaries,
            "max_length_q": self.max_length,
        }
        if token_type_ids is not None:
            inputs["token_type_ids"] = token_type_ids
        if self.model.config.model_type in PACKED_DECODERS:
            inputs["use_cache"] = False
        on_cpu = input_ids.device.type == "cpu"
        if on_cpu:
            inputs["pieces"] = pieces_of(boundaries.diff().tolist())
            inputs["padded_attention"] = self._padded_attention()
        with ExitStack() as stack:
            # Before the kept answers take the place of lower blocks: it looks for the whole list.
            cuts = on_cpu and self.answers_rows and not self._compiled
            is_cut = stack.enter_context(only_first_token(self.model)) if cuts else False
            if frozen is not None:
                assert self._cut is not None
                stack.enter_context(self._cut.given(frozen))
            stack.enter_context(self._attention())
            if not self.answers_rows:
                # The class's own forward: accelerate replaces the object's with one whose autocast
                # caches casts, and a captured graph must make them anew.
                output = type(self.model).forward(self.model, **inputs)
                return (
                    self._spread(output, boundaries, len(places)) if self.answers_spans else output
                )
            hidden = self.model.base_model(**inputs).last_hidden_state[0]  # (T, H), or (S, H)
            if is_cut:
                places = torch.arange(len(places))
            return SequenceClassifierOutput(logits=self._head(hidden, Layout(boundaries, places)))

    @property
    def base_model(self) -> nn.Module:
        """What comes before the model's head."""
        found: nn.Module = self.model.base_model
        return found

    def _padded_attention(self) -> str:
        """Return under which name transformers knows what the model attends with otherwise."""
        name = str(self.model.config._attn_implementation)
        return name if name in AttentionInterface() else "sdpa"

    def _spread(
        self,
        output: Any,  # noqa: ANN401 -- by architecture
        boundaries: torch.Tensor,
        num_rows: int,
    ) -> Any:  # noqa: ANN401 -- as above
        """Return the output with logits (1, T) laid out by row, (B, L), as in a padded batch."""
        first, end = boundaries[:num_rows, None], boundaries[1 : num_rows + 1, None]
        places = first + torch.arange(self.max_length, device=boundaries.device)
        beyond = places >= end
        places = places.clamp(max=output.start_logits.shape[1] - 1)
        for name in ("start_logits", "end_logits"):
            output[name] = output[name][0, places].masked_fill(beyond, -torch.inf)
        return output

    def _head(self, hidden: torch.Tensor, layout: Layout) -> torch.Tensor:
        """Return the logits of each row, float tensor (B, C)."""
        model = self.model
        if getattr(model.config, "classifier_pooling", "cls") == "mean":
            return _HEADS[model.config.model_type](model, _means(hidden, layout))
        return _HEADS[model.config.model_type](model, hidden[layout.places])

    @contextmanager
    def _attention(self) -> Iterator[None]:
        """Let the model attend within sequences here, and as it always does elsewhere."""
        before = [config._attn_implementation for config in self._configs]
        for config in self._configs:
            config._attn_implementation = ATTENTION
        for layer, forward in self._compiled:
            layer.forward = forward
        try:
            yield
        finally:
            for layer, _ in self._compiled:
                del layer.forward  # the class's own shows again
            for config, name in zip(self._configs, before, strict=True):
                config._attn_implementation = name


def filler_lengths(missing: int, num_fillers: int) -> list[int]:
    """Return `missing` tokens as lengths of so many sequences, as alike as can be."""
    share, more = divmod(missing, num_fillers)
    return [share + (i < more) for i in range(num_fillers)]


def _configs_of(model: nn.Module) -> Iterator[Any]:
    for module in model.modules():
        if hasattr(module, "config"):
            yield module.config


def _layers_of(model: PreTrainedModel) -> nn.ModuleList:
    """Return the transformer blocks."""
    lists = [m for m in model.base_model.modules() if isinstance(m, nn.ModuleList)]
    return next(m for m in lists if len(m) == model.config.num_hidden_layers)


def _means(hidden: torch.Tensor, layout: Layout) -> torch.Tensor:
    """Return the mean over each row's tokens, float tensor (B, H)."""
    first, end = layout.boundaries[:-1, None], layout.boundaries[1:, None]
    at = torch.arange(len(hidden), device=hidden.device)
    shares = ((first <= at) & (at < end))[: len(layout.places)] / (end - first)[
        : len(layout.places)
    ]
    # A product, for a GPU adds tokens to their rows' sums in another order each time; and in whole
    # precision, as padded models take the mean.
    device = hidden.device.type
    known = torch.amp.is_autocast_available(device)
    with torch.autocast(device, enabled=False) if known else nullcontext():
        return (shares @ hidden.float()).to(hidden.dtype)


def _bert_head(model: Any, rows: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 -- by architecture
    return model.classifier(model.dropout(model.base_model.pooler(rows[:, None])))


def _first_token_head(model: Any, rows: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 -- as above
    return model.classifier(rows[:, None])


def _distilbert_head(model: Any, rows: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 -- as above
    return model.classifier(model.dropout(relu(model.pre_classifier(rows))))


def _modernbert_head(model: Any, rows: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 -- as above
    return model.classifier(model.drop(model.head(rows)))


def _decoder_head(model: Any, rows: torch.Tensor) -> torch.Tensor:  # noqa: ANN401 -- as above
    return model.score(rows)


# Each from the vector of the token that the model's own head reads, (B, H), to logits (B, C).
_HEADS: dict[str, Callable[[Any, torch.Tensor], torch.Tensor]] = {
    "bert": _bert_head,
    "camembert": _first_token_head,
    "distilbert": _distilbert_head,
    "electra": _first_token_head,
    "modernbert": _modernbert_head,
    "roberta": _first_token_head,
    "xlm-roberta": _first_token_head,
    **dict.fromkeys(PACKED_DECODERS, _decoder_head),
}
