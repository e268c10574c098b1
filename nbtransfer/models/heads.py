"""Which families lack a head in transformers, or layers that a technique needs.

Told before anything is loaded. A slow test compares the heads with transformers' own tables.
"""

from __future__ import annotations

from nbtransfer.models.shape import CLASSIFIABLE, SEQUENCE_TO_SEQUENCE, WITH_LANGUAGE_CODES

FAMILIES = CLASSIFIABLE | SEQUENCE_TO_SEQUENCE | WITH_LANGUAGE_CODES

# By the class that a task names; of language models and translation others know.
WITHOUT_HEAD: dict[str, frozenset[str]] = {
    "AutoModelForSequenceClassification": FAMILIES - CLASSIFIABLE,
    "AutoModelForTokenClassification": frozenset(
        (
            *("bart", "ctrl", "gemma3_text", "gptj", "led", "longt5", "m2m_100", "marian", "mbart"),
            *("modernbert-decoder", "mvp", "nllb-moe", "olmo", "olmo2", "olmo3", "openai-gpt"),
            *("opt", "pegasus"),
        )
    ),
    "AutoModelForQuestionAnswering": frozenset(
        (
            *("biogpt", "ctrl", "eurobert", "gemma", "gemma2", "gemma3_text", "glm", "glm4"),
            *("gpt-sw3", "gpt_bigcode", "helium", "longt5", "m2m_100", "marian"),
            *("modernbert-decoder", "nllb-moe", "olmo", "olmo2", "olmo3", "openai-gpt", "pegasus"),
            *("persimmon", "phi", "phi3", "stablelm", "starcoder2"),
        )
    ),
}
# Their layers are shared, in several lists, or an encoder's and a decoder's: none are the last.
WITHOUT_TOP = frozenset(
    ("albert", "bart", "flaubert", "funnel", "mbart", "mt5", "mvp", "t5", "umt5", "xlm")
)
# Their decoder says nothing where it is given nothing, so there is no vector of a text.
WITHOUT_FEATURES = frozenset(("mt5", "t5", "umt5"))
