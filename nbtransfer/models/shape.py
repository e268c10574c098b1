"""config.json: a model's family and dimensions, and how many parameters they make."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from nbtransfer.errors import ModelError, nearest, quoted

if TYPE_CHECKING:
    from pathlib import Path

    from nbtransfer.spec import TaskName

_MAX_CONFIG_BYTES = 10_000_000

# Families for which transformers has a text classification head (a slow test compares the two).
CLASSIFIABLE = frozenset(
    (
        *(
            "albert",
            "arcee",
            "bart",
            "bert",
            "big_bird",
            "biogpt",
            "bloom",
            "camembert",
            "convbert",
        ),
        *("ctrl", "data2vec-text", "deberta", "deberta-v2", "diffllama", "distilbert", "electra"),
        *("ernie", "eurobert", "falcon", "flaubert", "fnet", "funnel", "gemma", "gemma2"),
        *("gemma3_text", "glm", "glm4", "gpt-sw3", "gpt2", "gpt_bigcode", "gpt_neo", "gpt_neox"),
        *("gptj", "helium", "ibert", "llama", "longformer", "luke", "mbart", "megatron-bert"),
        *("ministral", "mistral", "mixtral", "mobilebert", "modernbert", "modernbert-decoder"),
        *(
            "mpnet",
            "mpt",
            "mra",
            "mt5",
            "mvp",
            "nemotron",
            "nystromformer",
            "olmo",
            "olmo2",
            "olmo3",
        ),
        *("openai-gpt", "opt", "persimmon", "phi", "phi3", "qwen2", "qwen2_moe", "qwen3"),
        *("qwen3_moe", "rembert", "roberta", "roberta-prelayernorm", "roc_bert", "roformer"),
        *("smollm3", "squeezebert", "stablelm", "starcoder2", "t5", "umt5", "xlm", "xlm-roberta"),
        *("xlm-roberta-xl", "xlnet", "xmod", "yoso"),
    )
)

# Families of encoder and decoder together that write a text for a text.
SEQUENCE_TO_SEQUENCE = frozenset(
    ("t5", "mt5", "umt5", "longt5", "bart", "mvp", "marian", "pegasus", "led")
)
# Those that need the languages' codes among their tokens.
WITH_LANGUAGE_CODES = frozenset(("mbart", "m2m_100", "nllb-moe"))

# Position ids of these start after the padding id, so some rows of the table hold no position.
_OFFSET_POSITIONS = frozenset(
    (
        *("roberta", "xlm-roberta", "xlm-roberta-xl", "camembert", "mpnet", "longformer", "xmod"),
        *("ibert", "data2vec-text", "roberta-prelayernorm", "luke"),
    )
)

# Families that guess hidden tokens from both sides; the other single stacks guess the next token.
_MASKED = frozenset(
    (
        *("albert", "bert", "big_bird", "camembert", "convbert", "data2vec-text", "deberta"),
        *("deberta-v2", "distilbert", "electra", "ernie", "eurobert", "flaubert", "fnet", "funnel"),
        *("ibert", "longformer", "luke", "megatron-bert", "mobilebert", "modernbert", "mpnet"),
        *("mra", "nystromformer", "rembert", "roberta", "roberta-prelayernorm", "roc_bert"),
        *("roformer", "squeezebert", "xlm", "xlm-roberta", "xlm-roberta-xl", "xmod", "yoso"),
    )
)
# Families whose decoder writes what was hidden of a text.
_SPAN_CORRUPTED = frozenset(("t5", "mt5", "umt5"))
_NO_LANGUAGE_MODEL = frozenset(("xlnet",))  # permuted order: neither of the two

_ENCODER_DECODERS = SEQUENCE_TO_SEQUENCE | WITH_LANGUAGE_CODES

_NAMES = {
    "num_layers": ("num_hidden_layers", "n_layer", "n_layers", "num_layers", "encoder_layers"),
    "hidden_size": ("hidden_size", "n_embd", "dim", "d_model", "emb_dim"),
    "num_heads": (
        "num_attention_heads",
        "n_head",
        "n_heads",
        "num_heads",
        "encoder_attention_heads",
    ),
    "vocab_size": ("vocab_size", "n_words"),
    "max_positions": ("max_position_embeddings", "n_positions", "n_ctx", "max_seq_len"),
    "intermediate_size": (
        "intermediate_size",
        "n_inner",
        "hidden_dim",
        "d_ff",
        "ffn_dim",
        "encoder_ffn_dim",
        "d_inner",
    ),
}
_DEFAULT_POSITIONS = 512  # for families with relative positions, which state no limit


class Shape(NamedTuple):
    """The dimensions of a model; `num_layers` counts a decoder's blocks too."""

    architecture: str
    model_type: str
    num_layers: int
    hidden_size: int
    intermediate_size: int
    num_heads: int
    vocab_size: int
    max_positions: int


def language_modeling_of(model_type: str) -> TaskName | None:
    """Return how a family was pre-trained, None where that way is not known or not built."""
    if model_type in _MASKED:
        return "masked-language-modeling"
    if model_type in _SPAN_CORRUPTED:
        return "span-corruption"
    others = _ENCODER_DECODERS | _NO_LANGUAGE_MODEL
    if model_type in CLASSIFIABLE and model_type not in others:
        return "causal-language-modeling"
    return None


def read_config(file: Path, model: str) -> dict[str, Any]:
    """Return the object in a config.json.

    Raises:
        ModelError: if there is none, or the file does not hold one.
    """
    try:
        if file.stat().st_size > _MAX_CONFIG_BYTES:
            raise ModelError(f"{model}: {file.name} is too large to be a configuration.")
        config = json.loads(file.read_bytes())
    except json.JSONDecodeError as error:
        raise ModelError(
            f"{model}: {file.name} is not valid JSON (line {error.lineno}, column {error.colno}: "
            f"{error.msg}). Download or save the model again."
        ) from error
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{model}: {file.name} is not a readable JSON file.") from error
    except OSError as error:
        raise ModelError(f"{model}: {file.name} cannot be read: {error.strerror}.") from error
    if not isinstance(config, dict):
        raise ModelError(f"{model}: {file.name} holds no table of settings.")
    return config


def check_no_code(config: dict[str, Any], file_name: str, model: str) -> None:
    """Refuse a configuration that asks for code from outside transformers.

    Raises:
        ModelError: naming the file that holds the code.
    """
    if auto_map := config.get("auto_map"):
        values = list(auto_map.values()) if isinstance(auto_map, dict) else [auto_map]
        flat = [v for item in values for v in (item if isinstance(item, list) else [item]) if v]
        module = str(flat[0]).split("--")[-1].split(".")[0] if flat else "?"
        raise ModelError(
            f"{model} needs Python code of its own ({quoted(module + '.py')}, named in "
            f"{file_name}); code that comes with a model is refused. Use a model that transformers "
            "itself supports."
        )
    for key in ("_attn_implementation", "attn_implementation", "_attn_implementation_internal"):
        if "/" in str(config.get(key) or ""):
            raise ModelError(
                f"{model} asks for an outside kernel ({file_name}: {key}={quoted(config[key])}), "
                f"which is code and is refused. Remove {key} from {file_name}."
            )


def read_shape(config: dict[str, Any], model: str) -> Shape:
    """Return the dimensions that a config states.

    Raises:
        ModelError: if the family cannot classify text, or a dimension is missing.
    """
    model_type = config.get("model_type")
    if not isinstance(model_type, str) or not model_type:
        raise ModelError(
            f"{model}: config.json has no model_type, so its family is unknown. Use a model saved "
            "by transformers."
        )
    architectures = config.get("architectures")
    architecture = (
        str(architectures[0]) if isinstance(architectures, list) and architectures else model_type
    )
    if model_type not in CLASSIFIABLE | SEQUENCE_TO_SEQUENCE | WITH_LANGUAGE_CODES:
        raise ModelError(
            f"{model} is of the family {quoted(model_type)} ({quoted(architecture)}), which has no "
            "head for text classification. Take a text model, for example of the families bert, "
            "roberta, distilbert, electra, mpnet, gpt2, llama or t5."
        )
    if config.get("quantization_config"):
        raise ModelError(
            f"{model} is quantised, and its weights cannot be fine-tuned. Use the version that is "
            "not."
        )
    found = {name: _dimension(config, name, model) for name in _NAMES}
    if config.get("is_encoder_decoder", model_type in _ENCODER_DECODERS):
        decoder = config.get("num_decoder_layers") or config.get("decoder_layers")
        found["num_layers"] += decoder if type(decoder) is int else found["num_layers"]
    if model_type in _OFFSET_POSITIONS:
        pad = config.get("pad_token_id")
        found["max_positions"] -= (pad if type(pad) is int else 1) + 1
    return Shape(architecture, model_type, **found)


def _dimension(config: dict[str, Any], name: str, model: str) -> int:
    key, value = next(
        ((k, config[k]) for k in _NAMES[name] if config.get(k) is not None), ("", None)
    )
    if value is None and name == "max_positions":
        return _DEFAULT_POSITIONS
    if value is None and name == "intermediate_size":
        return 4 * _dimension(config, "hidden_size", model)  # what GPT-2's None stands for
    if value is None:
        close = nearest(_NAMES[name][0], config)
        hint = f" (it has {close!r})" if close else ""
        raise ModelError(f"{model}: config.json does not state {_NAMES[name][0]}{hint}.")
    if type(value) is not int or not 0 < value < 2**31:
        raise ModelError(
            f"{model}: config.json says {key}={quoted(value)}, which must be a whole number above "
            "0."
        )
    return value


def estimate_parameters(shape: Shape, config: dict[str, Any]) -> tuple[int, int]:
    """Return (parameters without a head, those of them in embeddings), from the dimensions alone.

    Exact for bert, roberta, distilbert, electra, mpnet, gpt2, llama-like and t5 models in their
    usual form; for other families the count of a BERT of these dimensions.
    """
    family = shape.model_type
    if family == "gpt2":
        return _gpt2(shape)
    if family in ("t5", "mt5", "umt5"):
        return _t5(shape, config)
    if family in (
        "llama",
        "mistral",
        "qwen2",
        "qwen3",
        "gemma",
        "gemma2",
        "phi3",
        "smollm3",
        "olmo",
    ):
        return _llama(shape, config)
    return _bert(shape, config)


def _count(config: dict[str, Any], key: str, default: int) -> int:
    value = config.get(key)
    return value if type(value) is int and value > 0 else default


def _bert(shape: Shape, config: dict[str, Any]) -> tuple[int, int]:
    h, i = shape.hidden_size, shape.intermediate_size
    width = _count(config, "embedding_size", h)  # electra's and albert's narrower embedding
    positions = _count(config, "max_position_embeddings", shape.max_positions)
    types = (
        0 if shape.model_type in ("distilbert", "mpnet") else _count(config, "type_vocab_size", 1)
    )
    tables = (shape.vocab_size + positions + types) * width
    embeddings = tables + 2 * width + (width * h + h if width != h else 0)
    layer = 4 * (h * h + h) + 2 * h * i + i + h + 4 * h
    pooler = 0 if shape.model_type in ("distilbert", "electra") else h * h + h
    relative = 32 * shape.num_heads if shape.model_type == "mpnet" else 0
    return embeddings + shape.num_layers * layer + pooler + relative, tables


def _gpt2(shape: Shape) -> tuple[int, int]:
    h, i = shape.hidden_size, shape.intermediate_size
    tables = (shape.vocab_size + shape.max_positions) * h
    layer = 4 * (h * h + h) + 2 * h * i + i + h + 4 * h
    return tables + shape.num_layers * layer + 2 * h, tables


def _llama(shape: Shape, config: dict[str, Any]) -> tuple[int, int]:
    h, i = shape.hidden_size, shape.intermediate_size
    head_size = _count(config, "head_dim", h // shape.num_heads)
    q = shape.num_heads * head_size
    kv = _count(config, "num_key_value_heads", shape.num_heads) * head_size
    biases = q + 2 * kv if shape.model_type == "qwen2" else 0
    layer = 2 * h * q + 2 * h * kv + biases + 3 * h * i + 2 * h
    tables = shape.vocab_size * h
    return tables + shape.num_layers * layer + h, tables


def _t5(shape: Shape, config: dict[str, Any]) -> tuple[int, int]:
    h, i = shape.hidden_size, shape.intermediate_size
    inner = shape.num_heads * _count(config, "d_kv", h // shape.num_heads)
    gated = "gated" in str(config.get("feed_forward_proj"))
    attention = 4 * h * inner + h  # with its norm
    feed_forward = (3 if gated else 2) * h * i + h
    decoder = _count(config, "num_decoder_layers", shape.num_layers // 2)
    encoder = shape.num_layers - decoder
    buckets = _count(config, "relative_attention_num_buckets", 32) * shape.num_heads
    tables = shape.vocab_size * h
    blocks = encoder * (attention + feed_forward) + decoder * (2 * attention + feed_forward)
    return tables + blocks + 2 * (buckets + h), tables
