"""Pairs of texts: preparing, bad input, options, encoding, decoding and metrics."""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from nbtransfer.data.encoding import Encoding, Ragged
from nbtransfer.data.sources import load_tables
from nbtransfer.errors import DataError
from nbtransfer.models.card import ModelCard
from nbtransfer.spec import RunSpec
from nbtransfer.tasks.sequence_options import decide
from nbtransfer.tasks.sequence_scores import closeness, summary_scores, translation_scores
from nbtransfer.tasks.summarization import Summarization
from nbtransfer.tasks.translation import Translation

EN = ["open the file", "close the file", "save all", "print the last page"]
FR = ["ouvrir le fichier", "fermer le fichier", "tout enregistrer", "imprimer la dernière page"]


def _prepare(columns, **options):
    named = {"source": options.pop("source", None), "target": options.pop("target", None)}
    return Translation().prepare(
        load_tables(columns, name="df"), named, **{"validation": False, **options}
    )


def test_rows_are_source_target_and_where_they_stood():
    prepared = _prepare({"en": EN, "fr": FR})
    assert prepared.splits["train"].column_names == ["source", "target", "row"]
    card = prepared.card
    assert card.task == "translation"
    assert card.roles == {"source": "en", "target": "fr"}
    assert card.label_names == () and card.majority_share is None
    assert card.settings["languages"] == ["English", "French"]


def test_ten_percent_are_held_out_by_default():
    columns = {"en": [f"line {i}" for i in range(40)], "fr": [f"ligne {i}" for i in range(40)]}
    prepared = _prepare(columns, validation=None)
    assert prepared.card.num_rows == {"train": 36, "validation": 4}
    assert not any("stratified" in note for note in prepared.card.notes)


def test_rows_with_an_empty_side_are_left_out_and_counted():
    prepared = _prepare({"en": [*EN, "quit", " "], "fr": [*FR, None, "rien"]})
    assert prepared.splits["train"]["row"].to_pylist() == [0, 1, 2, 3]
    assert "1 row is left out of df: no source (first: row 5)" in prepared.card.notes
    assert "1 row is left out of df: no target (first: row 4)" in prepared.card.notes


def test_repetitions_and_two_targets_for_one_source_are_warned_of():
    splits = {
        "train": {"en": [*EN, EN[0]], "fr": [*FR, "ouvre le fichier"]},
        "validation": {"en": [EN[1], "quit"], "fr": [FR[1], "quitter"]},
    }
    card = _prepare(splits, validation=None).card
    assert card.num_duplicates == 1
    assert card.num_conflicts == 1
    assert "1 validation source is also in train." in card.warnings
    assert "1 source with more than one target." in card.warnings


def test_the_fingerprint_knows_both_sides():
    first = _prepare({"en": EN, "fr": FR}).card.fingerprint
    assert _prepare({"en": EN, "fr": FR}).card.fingerprint == first
    assert _prepare({"en": EN, "fr": [*FR[:3], "autre"]}).card.fingerprint != first
    assert _prepare({"en": [*EN[:3], "other"], "fr": FR}).card.fingerprint != first


@pytest.mark.parametrize(
    ("columns", "named", "message"),
    [
        ({"en": EN, "fr": [""] * 4}, {}, "every target of df is missing or empty.*--target"),
        (
            {"en": EN, "fr": [None, *FR[1:]]} | {"en": [EN[0], *[""] * 3]},
            {},
            "no row of df has both",
        ),
        ({"en": ["x"] * 4, "fr": FR}, {}, "every source of df is the same, 'x'.*--source"),
        ({"en": EN, "fr": ["x"] * 4}, {}, "every target of df is the same, 'x'.*--target"),
        ({"en": EN, "fr": EN}, {}, "every target of df is its source.*another column"),
        (
            {"en": EN, "n": [1, 2, 3, 4]},
            {"source": "en", "target": "n"},
            "target column 'n' of df holds int64 values, not text.*--target",
        ),
        (
            {"en": EN, "n": [["a"], ["b"], ["c"], ["d"]]},
            {"source": "en", "target": "n"},
            "target column 'n' of df holds lists",
        ),
        (
            {"train": {"en": EN, "fr": FR}, "validation": {"en": EN, "de": FR}},
            {"validation": None},
            r"df \(validation\) has no column 'fr'.*Name them as in train",
        ),
    ],
)
def test_bad_pairs_are_refused_in_words(columns, named, message):
    with pytest.raises(DataError, match=message):
        _prepare(columns, **named)


def test_a_test_split_without_targets_is_not_used():
    splits = {"train": {"en": EN, "fr": FR}, "test": {"en": EN}}
    card = _prepare(splits).card
    assert "the test split is not used: it has no column 'fr'" in card.notes


def _decide(family="t5", task=Translation, columns=None, **options):
    columns = columns or {"en": EN, "fr": FR}
    prepared = task().prepare(load_tables(columns, name="df"), {}, validation=False)
    spec = RunSpec(model="m", data="df", **options)
    model = ModelCard(
        name="m",
        source="folder",
        location="m",
        architecture=family,
        model_type=family,
        num_parameters=1000,
        num_parameters_exact=True,
        num_embedding_parameters=100,
        num_layers=2,
        hidden_size=8,
        intermediate_size=16,
        num_heads=2,
        vocab_size=50,
        max_positions=64,
        weights_dtype="float32",
        weights_bytes=4000,
    )
    return decide(spec, prepared, model)


def test_t5_gets_its_prefix_by_the_languages_and_says_so():
    found = _decide()
    assert found.card.settings["prefix"] == "translate English to French: "
    assert found.texts[0][0].as_py() == "translate English to French: open the file"
    assert any("--prefix changes it" in note for note in found.notes)


def test_t5_summarises_with_its_prefix():
    found = _decide(task=Summarization, columns={"article": EN, "summary": FR})
    assert found.card.settings["prefix"] == "summarize: "


def test_unknown_languages_give_no_prefix_and_a_note():
    found = _decide(columns={"source": EN, "target": FR})
    assert found.card.settings["prefix"] == ""
    assert any("the languages are not known" in note for note in found.notes)


@pytest.mark.parametrize("family", ["mt5", "bart", "marian"])
def test_other_families_get_no_prefix(family):
    assert _decide(family).card.settings["prefix"] == ""


def test_a_prefix_of_ones_own_is_taken_and_an_empty_one_too():
    assert _decide(prefix="to French: ").card.settings["prefix"] == "to French: "
    assert _decide(prefix="").card.settings["prefix"] == ""


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("bert", "family 'bert', which writes no texts: it has no decoder. For translation take"),
        ("electra", "take t5-small, Helsinki-NLP/opus-mt-en-fr"),
        ("mbart", "needs codes of languages"),
        ("m2m_100", "that is not built"),
    ],
)
def test_models_that_cannot_write_are_refused_by_name(family, message):
    (problem,) = _decide(family).problems
    assert message in problem


def test_targets_longer_than_the_models_positions_are_refused():
    (problem,) = _decide(max_target_length=65).problems
    assert problem == "max_target_length=65 is beyond the 64 positions of 'm'. Take at most 64."


class _Tokenizer:
    """Letters as tokens; 0 pads, 1 ends."""

    model_input_names = ("input_ids", "attention_mask")

    def __call__(self, texts=None, *, text_target=None, max_length, **_):
        rows = [[*map(ord, text[: max_length - 1]), 1] for text in text_target or texts]
        return {"input_ids": rows}

    def batch_decode(self, rows, **_):
        return ["".join(map(chr, row)) for row in rows]


def _card(**options):
    settings = {"prefix": "", "max_target_length": 20, "num_beams": 1}
    return dataclasses.replace(_prepare({"en": EN, "fr": FR}).card, settings=settings | options)


def test_encoding_puts_the_prefix_first_and_cuts_each_side_by_its_own_length():
    table = _prepare({"en": EN, "fr": FR}).splits["train"]
    card = _card(prefix="> ", max_target_length=5)
    encoding = Translation().encode(_Tokenizer(), table, 12, card)
    assert bytes(encoding.tokens.row(0)[:-1].astype(np.uint8)) == b"> open the "
    assert isinstance(encoding.targets, Ragged)
    assert bytes(encoding.targets.row(0).astype(np.uint8)) == b"ouvr\x01"
    assert encoding.targets.num_rows == 4


def _answers(texts):
    tokens = [[ord(c) for c in text or ""] for text in texts]
    return {
        "generated": Ragged.of(tokens, "int32"),
        "is_generated": np.array([text is not None for text in texts]),
    }


def test_rows_that_were_not_generated_for_count_in_no_metric():
    table = _prepare({"en": EN, "fr": FR}).splits["train"]
    task, card = Translation(), _card()
    nothing = Encoding(tokens=Ragged.of([], "int32"), sources=np.arange(4))
    answers = _answers([FR[0], None, "", None])
    found = task.decode(answers, nothing, table, card, _Tokenizer())
    assert found["output"].to_pylist() == [FR[0], None, "", None]
    assert found["chrf"].to_pylist() == [pytest.approx(100), None, 0.0, None]
    metrics = task.measure(answers, 0.5, table, found, card)
    wanted = translation_scores([FR[0], ""], [FR[0], FR[2]]).metrics
    assert metrics == {f"eval_{k}": v for k, v in wanted.items()} | {"eval_loss": 0.5}
    assert [e.row for e in task.examples(found, 8)] == [0, 2]


def test_what_is_predicted_has_a_text():
    task, card = Translation(), _card()
    rows = task.inputs(["open it"], card)
    assert rows.column_names == ["source"]
    assert task.inputs([{"en": "open it", "fr": "x"}], card) == rows
    with pytest.raises(DataError, match=r"input 1 is 3, a int\. Give texts"):
        task.inputs(["open it", 3], card)
    found = task.decode(
        _answers(["ouvrez"]),
        Encoding(tokens=Ragged.of([], "int32"), sources=np.arange(1)),
        rows,
        card,
        _Tokenizer(),
    )
    (result,) = task.results(found, card)
    assert result.text == "ouvrez"


def test_bleu_and_chrf_are_sacrebleus_with_their_signature():
    import sacrebleu

    outputs, references = [FR[0], "fermer fichier"], FR[:2]
    found = translation_scores(outputs, references)
    assert found.metrics["bleu"] == sacrebleu.corpus_bleu(outputs, [references]).score
    assert found.metrics["chrf"] == sacrebleu.corpus_chrf(outputs, [references]).score
    assert "version:" in found.signatures["bleu"] and "nc:6" in found.signatures["chrf"]


def test_chrf_of_a_hand_computed_case():
    # Letters of "ab" against "abc", n-grams of one and two letters count, longer ones have none:
    # order 1: P 1, R 2/3; order 2: P 1, R 1/2; order 3 and above: no n-gram of the output.
    # sacreBLEU averages over the orders that both sides have: P = 1, R = 7/12; F2 = 5PR/(4P+R).
    precision, recall = 1.0, (2 / 3 + 1 / 2) / 2
    wanted = 100 * 5 * precision * recall / (4 * precision + recall)
    assert closeness(["ab"], ["abc"]) == [pytest.approx(wanted)]


def test_rouge_of_a_hand_computed_case():
    # "the cat sat" against "the cat": unigrams 2 of 3 and 2 of 2, bigrams 1 of 2 and 1 of 1.
    found = summary_scores(["the cat sat"], ["the cat"]).metrics
    assert found["rouge1"] == pytest.approx(0.8)
    assert found["rouge2"] == pytest.approx(2 / 3)
    assert found["rougeL"] == pytest.approx(0.8)


def test_no_texts_have_scores_of_zero():
    assert translation_scores([], []).metrics == {"chrf": 0.0, "bleu": 0.0}
    assert summary_scores([], []).metrics == {"rouge1": 0.0, "rouge2": 0.0, "rougeL": 0.0}


def test_tokens_are_int32():
    table = pa.table({"source": ["a"], "target": ["b"]})
    encoding = Translation().encode(_Tokenizer(), table, 12, _card())
    assert encoding.targets.values.dtype == np.int32
