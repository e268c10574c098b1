from __future__ import annotations

from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from nbtransfer.choices import PACKED_DECODERS, PACKED_FAMILIES
from nbtransfer.engine.objectives import Spans
from nbtransfer.models import packed_attention, packing
from nbtransfer.models.buckets import Bucket
from nbtransfer.models.packing import IGNORED, PackedModel, filler_lengths, why_not_packed
from tests.models.families import (
    DECODERS,
    ENCODERS,
    LONGEST,
    NEXT,
    ROWS,
    SPANS,
    TOKENS,
    give_adapters,
    let_adapters_speak,
    ragged_batch,
    tiny_model,
)

LENGTHS = [7, 1, LONGEST, 12, 3, 5]
BUCKET = Bucket(128, 3)


pytestmark = pytest.mark.usefixtures("one_thread")


def gradients(model) -> dict[str, torch.Tensor]:
    found = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def agree(ours: torch.Tensor, theirs: torch.Tensor, share: float = 1e-5) -> bool:
    """Whether the two differ by less than a share of the larger one's size."""
    return bool((ours - theirs).abs().max() <= share * theirs.abs().max().clamp(min=1e-3))


def test_every_family_is_tested_here():
    assert set(ENCODERS) | set(DECODERS) == PACKED_FAMILIES
    assert set(DECODERS) == PACKED_DECODERS


EVERY_MODEL = pytest.mark.parametrize(
    ("family", "head", "options"),
    [
        *((family, head, {}) for family in ENCODERS for head in (ROWS, TOKENS)),
        *((family, head, {}) for family in DECODERS for head in (ROWS, NEXT)),
        *((family, "MaskedLM", {}) for family in ENCODERS),
        ("modernbert", ROWS, {"classifier_pooling": "mean"}),
    ],
)


@EVERY_MODEL
def test_packed_gives_the_logits_and_gradients_of_padded(family, head, options):
    assert_parity(tiny_model(family, head, **options), head)


EVERY_ADAPTED = pytest.mark.parametrize(
    ("family", "head"),
    [*((family, ROWS) for family in (*ENCODERS, *DECODERS)), ("bert", "MaskedLM"), ("gpt2", NEXT)],
)


def adapted(family, head):
    model = tiny_model(family, head)
    give_adapters(model, whole_head=head == ROWS)
    let_adapters_speak(model)
    return model


@EVERY_ADAPTED
def test_packed_gives_the_logits_and_gradients_of_padded_with_adapters(family, head):
    assert_parity(adapted(family, head), head)


def assert_parity(model, head):
    """Packed and padded rows give the same logits, and the same gradients of all that learns."""
    assert why_not_packed(model) is None
    batch = ragged_batch(LENGTHS)
    own = batch["attention_mask"].bool()
    labels = torch.randint(3, (len(LENGTHS),) if head == ROWS else own.shape)
    if head != ROWS:
        labels[~own] = IGNORED
    padded = model(**batch).logits
    reduce = {"reduction": "sum", "ignore_index": IGNORED}
    cross_entropy(padded.flatten(0, -2), labels.flatten(), **reduce).backward()
    theirs = gradients(model)

    packed_model = PackedModel(model, LONGEST)
    inputs = packed_model.pack({**batch, "labels": labels}, BUCKET)
    labels = inputs.pop("labels")
    logits = packed_model(**inputs).logits
    cross_entropy(logits.flatten(0, -2), labels.flatten(), **reduce).backward()
    ours = gradients(model)

    if head != ROWS:
        logits, padded = logits[0, : sum(LENGTHS)], padded[own]
    assert agree(logits, padded)
    largest = max(g.abs().max() for g in theirs.values())
    assert ours.keys() == theirs.keys()
    assert all((ours[n] - theirs[n]).abs().max() <= 1e-5 * largest for n in theirs)


class OnOneDevice(TorchDispatchMode):
    """Refuses what a recording must not contain: tensors that come from the host or go to it."""

    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.seen.add(func)
        result = func(*args, **(kwargs or {}))
        tensors = [t for t in tree_leaves((args, kwargs, result)) if isinstance(t, torch.Tensor)]
        devices = {t.device.type for t in tensors if t.dim()}  # one number travels with the launch
        assert len(devices) < 2, f"{func} moves between {devices}"
        return result


@EVERY_MODEL
def test_a_packed_pass_reads_nothing_back_and_fetches_nothing(family, head, options, capturing):
    assert_nothing_moves(tiny_model(family, head, **options))


@EVERY_ADAPTED
def test_nor_does_one_with_adapters(family, head, capturing):
    assert_nothing_moves(adapted(family, head))


@pytest.fixture
def capturing(monkeypatch):
    """What transformers is told while a step is recorded."""
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: True)


def assert_nothing_moves(model):
    """A pass forwards and backwards on the meta device, which knows shapes and no values.

    It takes flash attention there, as on CUDA.
    """
    model.to("meta")
    packed_model = PackedModel(model, LONGEST)
    inputs = packed_model.pack(ragged_batch(LENGTHS), BUCKET)
    inputs = {name: tensor.to("meta") for name, tensor in inputs.items()}
    with OnOneDevice() as mode:
        output = packed_model(**inputs)
        logits = output.start_logits if packed_model.answers_spans else output.logits
        logits.sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    assert torch.ops.aten._flash_attention_backward.default in mode.seen
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert len(grads) > 5 and all(grad.device.type == "meta" for grad in grads)


def test_parity_would_fail_if_sequences_saw_each_other(monkeypatch):
    model = tiny_model("bert")
    batch = ragged_batch(LENGTHS)
    packed_model = PackedModel(model, LONGEST)
    inputs = packed_model.pack(batch, BUCKET)
    one_of_all = packed_attention.pieces_of([BUCKET.total])
    monkeypatch.setattr(packing, "pieces_of", lambda _: one_of_all)
    assert not agree(packed_model(**inputs).logits, model(**batch).logits, 1e-2)


@pytest.mark.parametrize("family", ["bert", "modernbert", "gpt2", "mistral"])
def test_nothing_of_a_filler_reaches_a_row(family):
    model = tiny_model(family, TOKENS)
    packed_model = PackedModel(model, LONGEST)
    inputs = packed_model.pack(ragged_batch(LENGTHS), BUCKET)
    rows = sum(LENGTHS)
    before = packed_model(**inputs).logits[0]
    inputs["input_ids"][0, rows:] = torch.randint(4, 50, (BUCKET.total - rows,))
    after = packed_model(**inputs).logits[0]
    assert torch.equal(before[:rows], after[:rows])
    assert not torch.equal(before[rows:], after[rows:])


@pytest.mark.parametrize("family", ["roberta", "llama"])
def test_a_row_is_the_same_whatever_its_neighbours(family):
    model = tiny_model(family)
    packed_model = PackedModel(model, LONGEST)
    batch = ragged_batch(LENGTHS)
    together = packed_model(**packed_model.pack(batch, BUCKET)).logits
    backwards = {name: tensor.flip(0) for name, tensor in batch.items()}
    turned = packed_model(**packed_model.pack(backwards, Bucket(192, 6))).logits
    assert agree(turned.flip(0), together)


def test_packed_rows_stay_in_order_and_positions_restart():
    packed_model = PackedModel(tiny_model("roberta"), LONGEST)
    batch = ragged_batch([3, 1, 4])
    inputs = packed_model.pack(batch, Bucket(12, 2))
    own = batch["attention_mask"].bool()
    assert torch.equal(inputs["input_ids"][0, :8], batch["input_ids"][own])
    # The second row is one token of padding: RoBERTa gives it padding's own position, 1.
    assert inputs["position_ids"][0].tolist() == [2, 3, 4, 1, 2, 3, 4, 5, 2, 3, 2, 3]
    assert inputs["boundaries"].tolist() == [0, 3, 4, 8, 10, 12]
    assert inputs["boundaries"].dtype == torch.int32
    assert inputs["places"].tolist() == [0, 3, 4]


def test_decoders_answer_from_the_last_token_that_is_no_padding():
    packed_model = PackedModel(tiny_model("gpt2"), LONGEST)
    inputs = packed_model.pack(ragged_batch([3, 5, 4]), Bucket(16, 1))
    assert inputs["places"].tolist() == [2, 6, 11]


def test_the_first_token_of_a_row_is_nobodys_next():
    packed_model = PackedModel(tiny_model("gpt2", NEXT), LONGEST)
    batch = ragged_batch([3, 2])
    labels = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, IGNORED)
    inputs = packed_model.pack({**batch, "labels": labels}, Bucket(8, 1), next_tokens=True)
    read = inputs["labels"][0].tolist()
    assert [label == IGNORED for label in read] == [True, False, False, True, False] + [True] * 3
    assert labels[0, 0] != IGNORED  # the batch itself is as it was


def test_token_types_are_packed_too():
    model = tiny_model("bert")
    packed_model = PackedModel(model, LONGEST)
    batch = ragged_batch(LENGTHS)
    types = (torch.arange(LONGEST) % 2).expand(len(LENGTHS), -1) * batch["attention_mask"]
    batch["token_type_ids"] = types
    logits = packed_model(**packed_model.pack(batch, BUCKET)).logits
    assert agree(logits, model(**batch).logits)
    batch.pop("token_type_ids")
    assert not agree(logits, model(**batch).logits, 1e-3)


def test_the_model_attends_as_before_outside_packed_calls():
    model = tiny_model("llama")
    packed_model = PackedModel(model, LONGEST)
    batch = ragged_batch(LENGTHS)
    before = model(**batch).logits
    packed_model(**packed_model.pack(batch, BUCKET))
    assert model.config._attn_implementation == "sdpa"
    assert torch.equal(model(**batch).logits, before)


def test_dropout_drops_attention_in_training_only():
    model = tiny_model("bert")
    for layer in model.bert.encoder.layer:
        layer.attention.self.dropout.p = 0.5
    packed_model = PackedModel(model, LONGEST)
    inputs = packed_model.pack(ragged_batch(LENGTHS), BUCKET)
    torch.manual_seed(1)
    first = packed_model(**inputs).logits
    torch.manual_seed(1)
    assert torch.equal(packed_model(**inputs).logits, first)
    assert not torch.equal(packed_model(**inputs).logits, first)
    model.eval()
    assert torch.equal(packed_model(**inputs).logits, packed_model(**inputs).logits)


@pytest.mark.parametrize("family", [*ENCODERS, *DECODERS])
def test_heads_that_point_into_rows_give_the_logits_and_gradients_of_padded(family):
    model = tiny_model(family, SPANS, num_labels=2)
    assert why_not_packed(model) is None
    batch = ragged_batch(LENGTHS)
    labels = torch.stack([torch.randint(length, (2,)) for length in LENGTHS])
    found = []
    packed_model = PackedModel(model, LONGEST)
    for asked in (packed_model, model):
        inputs = dict(batch)
        if asked is packed_model:
            inputs = packed_model.pack({**batch, "labels": labels}, BUCKET)
            assert torch.equal(inputs.pop("labels"), labels)
        objective = Spans()
        output = objective.forward(asked, inputs, labels)
        objective.loss(output, labels).backward()
        found.append((torch.stack(output), gradients(model)))
    (ours, our_grads), (theirs, their_grads) = found
    own = batch["attention_mask"].bool().expand_as(theirs)
    assert agree(ours[own], theirs[own])
    assert bool((ours[~own] == -torch.inf).all() and (theirs[~own] == -torch.inf).all())
    largest = max(g.abs().max() for g in their_grads.values())
    assert our_grads.keys() == their_grads.keys()
    assert all((our_grads[n] - their_grads[n]).abs().max() <= 1e-5 * largest for n in their_grads)


@pytest.mark.parametrize("family", ["bert", "distilbert", "gpt2", "llama"])
def test_nor_does_one_whose_head_points_into_rows(family, capturing):
    assert_nothing_moves(tiny_model(family, SPANS, num_labels=2))


@given(missing=st.integers(1, 5000), num_fillers=st.integers(1, 60))
def test_fillers_share_what_is_missing(missing, num_fillers):
    lengths = filler_lengths(missing, num_fillers)
    assert sum(lengths) == missing and len(lengths) == num_fillers
    assert max(lengths) - min(lengths) <= 1


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(1, LONGEST), min_size=2, max_size=9), spare=st.integers(0, 9))
def test_any_lengths_give_the_logits_of_padded(lengths, spare):
    model = tiny_model("gpt2")
    batch = ragged_batch(lengths)
    packed_model = PackedModel(model, LONGEST)
    inputs = packed_model.pack(batch, Bucket(sum(lengths) + 1 + spare, 1))
    assert agree(packed_model(**inputs).logits, model(**batch).logits)


@pytest.mark.parametrize("family", ["bert", "distilbert", "modernbert", "gpt2", "llama"])
def test_layers_are_compiled_for_packed_batches_only(family, monkeypatch):
    ran = []

    def compile_(forward, *, dynamic):
        assert dynamic

        def compiled(*arguments, **keywords):
            ran.append(forward)
            return forward(*arguments, **keywords)

        return compiled

    monkeypatch.setattr(torch, "compile", compile_)
    model = tiny_model(family)
    batch = ragged_batch(LENGTHS)
    padded = model(**batch).logits
    packed_model = PackedModel(model, LONGEST)
    packed_model.compile_layers()
    assert agree(packed_model(**packed_model.pack(batch, BUCKET)).logits, padded)
    assert len(ran) == model.config.num_hidden_layers
    assert torch.equal(model(**batch).logits, padded)
    assert len(ran) == model.config.num_hidden_layers


@pytest.fixture
def traced(monkeypatch):
    """The graphs that the compiler is given; they run as they are."""
    from torch._dynamo.utils import counters

    found, compile_ = [], torch.compile

    def backend(graph, _inputs):
        found.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(compile_, backend=backend))
    torch._dynamo.reset()
    counters.clear()
    yield found
    assert not counters["graph_break"]
    torch._dynamo.reset()


@pytest.mark.slow
@pytest.mark.parametrize(("family", "num_graphs"), [("bert", 1), ("llama", 1), ("modernbert", 3)])
def test_a_layer_is_compiled_whole_and_once_for_every_bucket(family, num_graphs, traced, capturing):
    # ModernBERT's three layers differ: the first has no norm, the second a window.
    model = tiny_model(family)
    batch = ragged_batch(LENGTHS)
    packed_model = PackedModel(model.to("meta"), LONGEST)
    packed_model.compile_layers()
    for bucket in (BUCKET, Bucket(192, 6), Bucket(96, 2), BUCKET):
        inputs = packed_model.pack(batch, bucket)
        packed_model(**{k: v.to("meta") for k, v in inputs.items()}).logits.sum().backward()
    assert len(traced) == num_graphs
