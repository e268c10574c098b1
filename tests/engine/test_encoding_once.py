"""A split is encoded once, a part at a time, and found again as long as nothing of it changed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast

from nbtransfer.data.encode import batches_of
from nbtransfer.data.encoding import Ragged
from nbtransfer.engine import encoding_once
from nbtransfer.engine.encoding_once import EncodesOnce
from nbtransfer.runs import cache as cache_module
from nbtransfer.runs.cache import CACHE_DIR, Cache
from nbtransfer.runs.files import write_table
from nbtransfer.tasks.catalog import task_named

SENTINELS = [f"<extra_id_{i}>" for i in range(4)]
SPECIAL = {"unk": "[UNK]", "pad": "[PAD]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
TEXTS = ["a b c", "b", "c a b a c b", "ab bc", "", "c c b", "a"]


def make_tokenizer(letters="abc", chat_template=None):
    names = [*SPECIAL.values(), *letters, *SENTINELS, "<end>"]
    vocabulary = {name: i for i, name in enumerate(names)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Replace("z", "")
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **{f"{name}_token": token for name, token in SPECIAL.items()},
        eos_token="<end>",
        extra_special_tokens=SENTINELS,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        chat_template=chat_template,
    )


def card(**settings):
    usual = {
        "mlm_probability": 0.3,
        "whole_word_mask": False,
        "prefix": "",
        "max_target_length": 6,
        "max_positions": 40,
        "num_beams": 1,
    }
    return SimpleNamespace(
        label_names=("x", "y"),
        roles={"text": "text"},
        scale=(1.0, 2.0),
        settings={**usual, **settings},
    )


ROW = {"row": np.arange(len(TEXTS))}
PAIRS = TEXTS[::-1]
CONTEXT = "a b c a b c c a b"
STARTS = [[0, 2], [0], [2, 4], [], [0], [4], [0]]
CASES = {
    "classes": ("text-classification", {"text": TEXTS, "label": [0, 1, 0, 1, 0, 1, 1], **ROW}, {}),
    "pairs": ("text-classification", {"text": TEXTS, "text_pair": PAIRS, **ROW}, {}),
    "scores": ("text-regression", {"text": TEXTS, "label": np.arange(7.0), **ROW}, {}),
    "masked": ("masked-language-modeling", {"text": TEXTS, **ROW}, {}),
    "causal": ("causal-language-modeling", {"text": TEXTS, **ROW}, {}),
    "spans": ("span-corruption", {"text": TEXTS, **ROW}, {}),
    "sequence": ("translation", {"source": TEXTS, "target": PAIRS, **ROW}, {"prefix": "c "}),
    "prompt": ("translation", {"source": TEXTS, "target": PAIRS, **ROW}, {"prompt": "b {source}"}),
    "questions": (
        "question-answering",
        {
            "question": ["a", "b", "c a", "b", "c", "a", "a b"],
            "context": [CONTEXT] * 7,
            "answers": [["c a"], ["b"], ["a b"], [], ["c c"], ["a b"], ["b c a b"]],
            "starts": [[4], [2], [6], [], [10], [14], [2]],
            **ROW,
        },
        {},
    ),
    "tags": (
        "token-classification",
        {
            # One is several windows, and z is no token.
            "text": ["a b c", "b a", "c a b a b c a b c a b c", "b z", "a c", "z b a c", "c"],
            "tokens": [["a", "c"], ["b"], ["c", "a", "c"], ["b", "z"], ["c"], ["z", "a"], ["c"]],
            "starts": [[0, 4], [0], [0, 2, 22], [0, 2], [2], [0, 4], [0]],
            "tags": [[0, 1], [1], [0, 0, 1], [1, 1], [0], [1, 0], [0]],
            **ROW,
        },
        {},
    ),
}


def once(folder, case="classes", tokenizer=None, max_length=10, name="train", **settings):
    """Write the rows of a case and encode them; return that and what the task itself makes."""
    task_name, columns, usual = CASES[case] if isinstance(case, str) else case
    task, tokenizer = task_named(task_name), tokenizer or make_tokenizer()
    about, table = card(**usual, **settings), pa.table(columns)
    path = folder / f"{name}.parquet"
    write_table(path, table)
    found = EncodesOnce(task, tokenizer, max_length, about, Cache(folder))(path)
    return found, task.encode(tokenizer, table, max_length, about)


def same(found, plain):
    def flat(encoding):
        yield from encoding.tokens
        yield from encoding.targets if isinstance(encoding.targets, Ragged) else [encoding.targets]
        yield from (encoding.segments, encoding.sources)
        yield from (encoding.details[name] for name in sorted(encoding.details))

    pairs = list(zip(flat(found), flat(plain), strict=True))
    assert found.details.keys() == plain.details.keys() and found.lost == plain.lost
    assert str(found.masking) == str(plain.masking)
    for one, other in pairs:
        assert (one is None) == (other is None)
        assert one is None or (one.dtype == other.dtype and np.array_equal(one, other))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("num_rows", [2, 100])
def test_in_parts_or_found_again_it_is_what_the_task_makes(runs_dir, monkeypatch, case, num_rows):
    monkeypatch.setattr(encoding_once, "_ROWS", num_rows)
    for wanted in ("miss", "hit"):
        found, plain = once(runs_dir, case)
        assert found.cache == wanted
        same(found.encoding, plain)


@pytest.mark.parametrize("num_rows", [2, 100])
def test_answers_that_no_window_holds_are_counted_over_all_parts(runs_dir, monkeypatch, num_rows):
    monkeypatch.setattr(encoding_once, "_ROWS", num_rows)
    name, columns, _ = CASES["questions"]
    answers, starts = list(columns["answers"]), list(columns["starts"])
    for row in (2, 6):
        answers[row], starts[row] = ["a b c a b c c a b"], [0]
    long = (name, columns | {"answers": answers, "starts": starts}, {})
    for wanted in ("miss", "hit"):
        found, plain = once(runs_dir, long)
        said = "no window holds 2 answers of 6 (33.3 %) whole, first in row 2."
        assert found.cache == wanted and found.encoding.lost == plain.lost
        assert plain.lost.headline == said


@pytest.mark.parametrize("num_rows", [2, 100])
def test_words_without_a_token_are_counted_over_all_parts(runs_dir, monkeypatch, num_rows):
    monkeypatch.setattr(encoding_once, "_ROWS", num_rows)
    for _ in range(2):
        found, _ = once(runs_dir, "tags")
        said = "the tokenizer makes no token of 2 words of 12 (16.7 %), first in row 3."
        assert found.encoding.lost.headline == said


@pytest.mark.parametrize("case", ["classes", "questions", "tags"])
def test_no_more_rows_are_held_than_those_of_a_part(runs_dir, monkeypatch, case):
    """What a table of text takes is bounded, and numbers are mapped: memory stays flat."""
    monkeypatch.setattr(encoding_once, "_ROWS", 2)
    monkeypatch.setattr(cache_module, "_READ_BYTES", 0)
    task, seen = task_named(CASES[case][0]), []
    encode = type(task).encode

    def counted(self, tokenizer, table, max_length, about):
        seen.append(table.num_rows)
        return encode(self, tokenizer, table, max_length, about)

    monkeypatch.setattr(type(task), "encode", counted)
    found, _ = once(runs_dir, case)
    assert seen == [1, 2, 2, 2, 1, 7]  # one to look at, the parts, and this test's own
    targets, details = found.encoding.targets, found.encoding.details
    targets = targets if isinstance(targets, Ragged) else [targets]
    for array in (*found.encoding.tokens, *targets, *details.values()):
        base = array
        while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
            base = base.base
        assert isinstance(base, np.memmap)


def test_mapped_rows_make_the_same_batches(runs_dir, monkeypatch):
    monkeypatch.setattr(cache_module, "_READ_BYTES", 0)
    found, plain = once(runs_dir)
    tokenizer, rows = make_tokenizer(), np.array([2, 0, 5])
    one, other = (batches_of(e, tokenizer).batch(rows) for e in (found.encoding, plain))
    assert one.keys() == other.keys()
    assert all(one[name].equal(other[name]) for name in one)


def test_what_was_tokenized_between_makes_no_difference(runs_dir):
    tokenizer = make_tokenizer()
    once(runs_dir, tokenizer=tokenizer)
    tokenizer(["a b"], padding="max_length", max_length=9, truncation=True)
    assert once(runs_dir, tokenizer=tokenizer)[0].cache == "hit"


@pytest.mark.parametrize(
    "changes",
    [
        {"case": ("text-classification", {"text": TEXTS[::-1], "label": [1] * 7, **ROW}, {})},
        {"case": ("text-classification", {"text": TEXTS, "label": [1] * 7, **ROW}, {})},
        {"case": ("text-classification", {"text": TEXTS, **ROW}, {})},
        {"case": "pairs"},
        {"max_length": 9},
        {"tokenizer": make_tokenizer("acb")},
        {"prefix": "b "},
    ],
)
def test_other_rows_lengths_tokens_or_options_are_a_miss(runs_dir, changes):
    once(runs_dir)
    assert once(runs_dir, **changes)[0].cache == "miss"


def test_an_option_that_decides_no_number_is_none(runs_dir):
    once(runs_dir, "sequence")
    found, plain = once(runs_dir, "sequence", num_beams=4)
    assert found.cache == "hit"
    once(runs_dir, "masked")
    found, plain = once(runs_dir, "masked", mlm_probability=0.5)
    assert found.cache == "hit" and found.encoding.masking.share == plain.masking.share == 0.5


def test_a_template_that_says_another_day_is_a_miss(runs_dir):
    template = "{% for m in messages %}DAY {{ m.content }}{% endfor %}"
    days = [make_tokenizer(chat_template=template.replace("DAY", day)) for day in "ab"]
    assert once(runs_dir, "prompt", days[0])[0].cache == "miss"
    found, plain = once(runs_dir, "prompt", days[1])
    assert found.cache == "miss"
    same(found.encoding, plain)


@pytest.mark.parametrize("keep", [0, 10, 200, -1])
def test_a_damaged_entry_is_a_miss_and_made_anew(runs_dir, keep):
    once(runs_dir)
    (entry,) = (runs_dir / CACHE_DIR).iterdir()
    entry.write_bytes(entry.read_bytes()[:keep])
    found, plain = once(runs_dir)
    assert found.cache == "miss"
    same(found.encoding, plain)
    assert once(runs_dir)[0].cache == "hit"


def test_without_room_on_the_disk_there_is_the_encoding_all_the_same(tmp_path):
    (tmp_path / CACHE_DIR).write_text("in the way")
    for _ in range(2):
        found, plain = once(tmp_path)
        assert found.cache == "miss"
        same(found.encoding, plain)


def test_a_tokenizer_that_cannot_be_written_down_keeps_nothing(runs_dir):
    class Slow:
        model_input_names = ("input_ids",)
        pad_token_id = 0

        def __call__(self, texts, **_):
            return {"input_ids": [[1, *map(ord, text)] for text in texts]}

    found, plain = once(runs_dir, tokenizer=Slow())
    assert found.cache == "off" and not (runs_dir / CACHE_DIR).exists()
    same(found.encoding, plain)


def test_no_rows_are_no_numbers(runs_dir):
    columns = {"text": pa.array([], pa.string()), "label": pa.array([], pa.int32())}
    for wanted in ("miss", "hit"):
        found, plain = once(runs_dir, ("text-classification", columns, {}))
        assert found.cache == wanted
        same(found.encoding, plain)
