"""Single decisions of a plan: steps, length, precision and learning rate, each with its reason."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from nbtransfer.errors import quoted
from nbtransfer.spec import LANGUAGE_MODELING, top_layers

if TYPE_CHECKING:
    from nbtransfer.data.lengths import Lengths
    from nbtransfer.hardware import Hardware
    from nbtransfer.models.card import ModelCard
    from nbtransfer.spec import RunSpec

# Activations of these pass the largest number of half precision.
_T5_FAMILIES = frozenset(("t5", "mt5", "umt5", "longt5"))
# Rows generated for at an evaluation while training: enough to compare, quick enough to wait for.
_GENERATED_ROWS_CPU, _GENERATED_ROWS = 100, 1000
# Where lengths are not known before the run: long enough for most texts, and batches are only
# as long as their longest text anyway.
_DEFAULT_MAX_LENGTH = 512
_GUESSED_MEAN_TOKENS = 128

# Padded steps whose rows are sorted by length together: saves padding. But where length tells the
# class, batches of one length are of one class, which cost accuracy (engine/README.md); only texts
# without answers are sorted.
UNSORTED, SORTED_TEXTS = 1, 50

# Families whose batches can be packed without padding: transformers hands their attention over.
PACKED_DECODERS = frozenset({"gpt2", "llama", "mistral", "qwen2", "qwen3"})
PACKED_OFFSET = frozenset({"camembert", "roberta", "xlm-roberta"})  # positions count from padding's
PACKED_FAMILIES = PACKED_DECODERS | PACKED_OFFSET | {"bert", "distilbert", "electra", "modernbert"}


def default_learning_rate(model: ModelCard, technique: str) -> float:
    """Return the peak learning rate where none is asked for: smaller for larger models."""
    if technique == "head":
        return 1e-3
    if technique == "features":
        return 1e-2
    size = 0 if model.num_parameters < 40e6 else 1 if model.num_parameters < 200e6 else 2
    if technique == "lora":
        # Adapters begin at zero and take ten times the rate, in short runs more (Schulman et al.,
        # 2025, "LoRA without regret"). Measured once each: 800 rows of demo:tweets on demo:minilm,
        # two epochs, accuracy 0.73 at 1e-3 and 0.81 at 3e-3; 24 steps of demo:interface-fr on
        # demo:smollm2, validation loss 2.80 at 5e-4 and 2.52 at 2e-3.
        return (3e-3, 1e-3, 2e-4)[size]
    return (1e-4, 5e-5, 2e-5)[size]


# Families whose layers take one vector a token and nothing else that the layers below computed.
CUT_FAMILIES = frozenset(("bert", "roberta", "xlm-roberta", "camembert", "electra", "distilbert"))


def frozen_note(model: ModelCard) -> str:
    """Return whether the frozen layers' part of the work is done once, or in every epoch."""
    if model.model_type in CUT_FAMILIES:
        return "What the frozen layers say of each text is computed once and kept."
    return (
        f"The frozen layers are computed in every epoch: models of family {model.model_type!r} "
        "cannot be cut there yet."
    )


class Steps(NamedTuple):
    """Optimizer steps in all, of an epoch and of the warm-up; passes over the rows."""

    total: int
    per_epoch: int
    epochs: float
    warmup: int


def count_steps(spec: RunSpec, num_rows: int) -> Steps:
    """Return how many optimizer steps the run takes; an epoch's last, smaller one counts."""
    rows_a_step = int(spec.per_device_train_batch_size) * int(spec.gradient_accumulation_steps)
    per_epoch = max(1, math.ceil(num_rows / rows_a_step))
    if spec.max_steps > 0:
        total, epochs = int(spec.max_steps), spec.max_steps / per_epoch
    else:
        # Rounding keeps 0.1 + 0.2 epochs from costing a step more than 0.3.
        total = max(1, math.ceil(round(spec.num_train_epochs * per_epoch, 6)))
        epochs = float(spec.num_train_epochs)
    share = spec.warmup_steps < 1
    warmup = round(spec.warmup_steps * total) if share else round(spec.warmup_steps)
    return Steps(total, per_epoch, epochs, warmup)


class Length(NamedTuple):
    """How long texts may be, and what that cuts.

    `mean` is tokens of a text after cutting, `longest` those of the longest before.
    """

    max_length: int
    mean: float
    longest: int
    share_texts_cut: float
    share_tokens_cut: float
    problems: tuple[str, ...]
    rows_per_text: float = 1.0


def choose_windows(spec: RunSpec, lengths: Lengths | None, model: ModelCard) -> Length:
    """Return the length asked for, or one that most questions and contexts fit whole.

    Longer contexts are read in several windows, `rows_per_text` on average; nothing is cut.
    """
    from nbtransfer.data.windows import MAX_WINDOW, count_windows, longest_question, window_for

    limit = model.max_positions
    chosen = choose_length(spec, lengths, model)
    if lengths is None or lengths.first is None or not len(lengths.tokens):
        return chosen._replace(share_texts_cut=0.0, share_tokens_cut=0.0)
    questions = lengths.first + 1  # counted with two special tokens; with a context there are three
    longest = int(questions.max())
    wanted = max(lengths.suggested(min(limit, MAX_WINDOW)), window_for(longest))
    max_length = min(limit, int(spec.max_length or wanted))
    problems = chosen.problems
    if longest > longest_question(max_length):
        problems = (
            *problems,
            f"the longest question has {longest:,} tokens, more than half of "
            f"max_length={max_length:,}, and its context needs the other half. "
            + (
                f"Take max_length={window_for(longest)}, or shorten the question."
                if window_for(longest) <= limit
                else f"{quoted(model.name)} reads at most {limit:,}: shorten the question."
            ),
        )
    windows = count_windows(questions, lengths.tokens - questions - 1, max_length)
    return Length(
        max_length,
        windows.mean_tokens,
        min(chosen.longest, max_length),
        0.0,
        0.0,
        problems,
        windows.per_row,
    )


def choose_length(spec: RunSpec, lengths: Lengths | None, model: ModelCard) -> Length:
    """Return the length asked for, or one that keeps 99 % of the texts whole."""
    limit = model.max_positions
    problems: tuple[str, ...] = ()
    if spec.max_length is not None and spec.max_length > limit:
        problems = (
            f"max_length={spec.max_length} is beyond the {limit} positions of "
            f"{quoted(model.name)}. Take at most {limit}.",
        )
    if lengths is None:
        chosen = min(int(spec.max_length or _DEFAULT_MAX_LENGTH), limit)
        return Length(chosen, min(_GUESSED_MEAN_TOKENS, chosen), chosen, 0.0, 0.0, problems)
    chosen = min(limit, int(spec.max_length or lengths.suggested(limit)))
    texts_cut, tokens_cut = lengths.cut(chosen)
    # The mean after cutting, without a second pass over what may be a million lengths.
    mean = float(lengths.tokens.mean()) * (1 - tokens_cut)
    return Length(
        chosen, mean, int(lengths.tokens.max()), float(texts_cut), float(tokens_cut), problems
    )


class StepChoice(NamedTuple):
    """How steps are taken, and why; `packed` where eager ones take batches without padding."""

    kind: str
    reason: str
    packed: bool = False


def choose_step(
    spec: RunSpec,
    hardware: Hardware,
    model: ModelCard,
    precision: str,
    task: str,
    *,
    in_prompts: bool = False,
) -> StepChoice:
    """Return the way of taking steps asked for, or eager ones and why.

    Args:
        spec: what was asked for.
        hardware: the machine.
        model: the model.
        precision: the arithmetic chosen.
        task: its name.
        in_prompts: whether the task is written into prompts.
    """
    if hardware.device == "cpu":
        # Arithmetic is what a step costs there, and two fifths of it would be padding; little of it
        # is where rows are sorted by length, or where the head alone reads the first tokens.
        padded = task in LANGUAGE_MODELING or reads_kept(spec.technique, model)
        packed = not padded and _why_not_packed(spec, model) is None
        reason = "batches without padding" if packed else "padded batches"
        if spec.step == "graphed":
            reason += f": {hardware.name} has no CUDA graphs"
        return StepChoice("eager", reason, packed)
    if spec.step == "eager":
        return StepChoice("eager", "padded batches, as asked")
    if spec.step == "auto" and hardware.device != "cuda":
        return StepChoice("eager", "padded batches")
    if problem := _why_not_graphed(spec, hardware, model, precision, in_prompts):
        return StepChoice("eager", f"padded batches: {problem}")
    if spec.step == "auto":
        if freezes_below(spec.technique) and model.model_type in CUT_FAMILIES:
            reason = "what frozen layers say is computed once, and packed steps would do it anew"
            return StepChoice("eager", f"padded batches: {reason}")
        # This is the line to change once tests and benchmark were green on a GPU; see
        # engine/README.md.
        return StepChoice("eager", "padded batches: graphed steps are unmeasured")
    return StepChoice("graphed", "packed batches and CUDA graphs, not measured on this release")


def reads_kept(technique: str, model: ModelCard) -> bool:
    """Return whether steps read nothing but what frozen layers said before the first of them."""
    return technique == "head" and model.model_type in CUT_FAMILIES


def freezes_below(technique: str) -> bool:
    """Return whether the lower layers stay as they are and what they say can be kept."""
    return technique == "head" or top_layers(technique) is not None


def _why_not_graphed(
    spec: RunSpec, hardware: Hardware, model: ModelCard, precision: str, in_prompts: bool
) -> str | None:
    if hardware.device != "cuda":
        return f"{hardware.name} has no CUDA graphs"
    if precision == "fp16":
        return "with fp16 the host must look at each step's gradients"
    if precision != "bf16":
        return f"flash attention takes bf16, and this run is in {precision}"
    if in_prompts:
        return "prompts are not proven in packed ones"
    return _why_not_packed(spec, model)


def _why_not_packed(spec: RunSpec, model: ModelCard) -> str | None:
    if spec.technique == "features":
        return "only a layer on top of stored features learns"
    if model.model_type not in PACKED_FAMILIES:
        return f"{model.model_type} models have an attention of their own"
    return None


class Precision(NamedTuple):
    """The arithmetic chosen, why, and what forbids the one asked for."""

    chosen: str
    reason: str
    problems: tuple[str, ...] = ()


def choose_precision(spec: RunSpec, hardware: Hardware, model: ModelCard) -> Precision:
    """Return the precision asked for, or the one that suits device and model."""
    asked, device = spec.precision, hardware.device
    no_fp16 = model.model_type in _T5_FAMILIES
    if asked == "fp16" and no_fp16 and device != "cpu":
        problem = (
            f"precision='fp16': inside {quoted(model.name)}, as in every model of the family "
            f"{model.model_type!r}, numbers pass 65,504, the largest of fp16, and the loss becomes "
            "nan. Take 'bf16', 'fp32' or 'auto'."
        )
        return Precision("fp32", "T5 overflows in fp16", (problem,))
    if asked == "fp32":
        return Precision("fp32", "as asked")
    if device == "mps":
        problem = f"precision={asked!r} is not built for Apple GPUs; take 'fp32' or 'auto'."
        return Precision("fp32", "full precision on Apple GPUs", (problem,) * (asked != "auto"))
    if device == "cpu":
        if asked == "fp16":
            problem = "precision='fp16' cannot train on a CPU; take 'fp32' or 'auto'."
            return Precision("fp32", "no fp16 on a CPU", (problem,))
        if asked == "bf16":
            return Precision("bf16", "as asked")
        if asked == "tf32":
            problem = "precision='tf32' is of NVIDIA GPUs; take 'fp32' or 'auto' on a CPU."
            return Precision("fp32", "no tf32 on a CPU", (problem,))
        reason = "full precision on a CPU" if hardware.bf16 else "no bf16 units"
        return Precision("fp32", reason)
    if asked == "auto":
        if hardware.bf16:
            return Precision("bf16", f"{hardware.name} has bf16 units")
        if not hardware.fp16:
            return Precision("fp32", f"{hardware.name} has neither bf16 nor fp16 units")
        if no_fp16:
            reason = f"{hardware.name} has no bf16 units; T5 overflows in fp16"
            return Precision("fp32", reason)
        return Precision("fp16", f"{hardware.name} has fp16 units and no bf16; the loss is scaled")
    if asked in ("bf16", "tf32") and not hardware.bf16:
        problem = (
            f"precision={asked!r}: {hardware.name} has no {asked} units (compute capability 8.0 "
            "and later have them). Take 'fp16', 'fp32' or 'auto'."
        )
        return Precision("fp32", f"no {asked} units", (problem,))
    return Precision(asked, "as asked")


class Generation(NamedTuple):
    """For how many validation rows an evaluation while training writes texts, and what to say."""

    rows: int
    notes: tuple[str, ...] = ()


def choose_generation(
    spec: RunSpec, num_validation: int, hardware: Hardware, writes: bool
) -> Generation:
    """Return the rows asked for, or as many as are quick; none where the task writes no texts."""
    if not writes:
        return Generation(0)
    usual = _GENERATED_ROWS_CPU if hardware.device == "cpu" else _GENERATED_ROWS
    rows = min(num_validation, int(spec.eval_generate_rows or usual))
    if rows == num_validation:
        return Generation(rows)
    note = (
        f"While training, texts are generated for {rows:,} of {num_validation:,} validation rows, "
        "evenly spread; the final report generates for all (eval_generate_rows)."
    )
    return Generation(rows, (note,))
