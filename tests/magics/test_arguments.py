import os
import re

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nbtransfer.errors import SpecError
from nbtransfer.magics.arguments import Arguments, parse, read_number
from nbtransfer.magics.help_text import help_text
from nbtransfer.magics.options import SYNTAX

TOKEN = "hf_" + "aBcDeFgHiJkLmNoPqRsTuVwXyZ012345"

# What is typed after %finetune demo:minilm df, and what the error must say.
MISTAKES = [
    ("--epoch 3", "no option '--epoch'. Did you mean --epochs?"),
    ("--batchsize 3", "no option '--batchsize'. Did you mean --batch-size?"),
    ("--learning-rte=1", "no option '--learning-rte'. Did you mean --learning-rate?"),
    ("--zzz 3", "no option '--zzz'. See %finetune --help."),
    ("-e 3", "no option '-e'. See %finetune --help."),
    ("-epochs 3", "no option '-epochs'. Did you mean --epochs?"),
    ("--lr {rate}", "Call it from Python: nt.finetune(model, data, learning_rate=rate)"),
    ("--epochs three", "--epochs 'three': not a number. Write --epochs 3"),
    ("--epochs 3x", "--epochs '3x': not a number"),
    ("--epochs 1_000", "--epochs '1_000': not a number"),
    ("--epochs ٣", "not a number"),
    ("--epochs 0", "--epochs 0 must be a number above 0 and at most 1000."),
    ("--epochs -1", "--epochs -1 must be a number above 0"),
    ("--epochs nan", "--epochs nan must be a number above 0"),
    ("--num-train-epochs inf", "--num-train-epochs inf must be a number above 0"),
    ("--num_train_epochs=1e999", "--num_train_epochs inf must be"),
    ("--lr -1e-5", "--lr -1e-05 must be a number above 0 and at most 1."),
    ("--lr 5", "--lr 5 must be a number above 0 and at most 1."),
    ("--learning-rate NaN", "--learning-rate nan must be"),
    ("--batch-size 1.5", "--batch-size 1.5 must be a whole number"),
    ("--batch-size many", "--batch-size 'many': not a whole number. Write --batch-size 16"),
    ("--batch-size 0", "--batch-size 0 must be a whole number at least 1"),
    ("--seed -3", "--seed -3 must be"),
    ("--max-length 1", "--max-length 1 must be a whole number at least 4"),
    ("--max-steps 0", "--max-steps 0 must be a whole number above 0"),
    ("--warmup-ratio lots", "--warmup-ratio 'lots': not a number"),
    ("--warmup-ratio -1", "--warmup-ratio -1 must be"),
    ("--weight-decay 3", "--weight-decay 3 must be"),
    ("--early-stopping 0", "--early-stopping 0 must be"),
    ("--eval-steps half", "--eval-steps 'half': not a whole number"),
    (
        "--technique ful",
        "--technique 'ful' is not one of 'full', 'top:2', 'head', 'features'. Did you",
    ),
    ("--technique lora", "--technique 'lora' is not built yet; choices: 'full', 'top:2', 'head'"),
    ("--metric blue", "Did you mean 'bleu'?"),
    ("--metric accurcy", "Did you mean 'accuracy'?"),
    (
        "--precision bf17",
        "--precision 'bf17' is not one of 'auto', 'fp32', 'tf32', 'bf16', 'fp16'. Did",
    ),
    ("--task parse", "--task 'parse' is not one of '"),
    ("--validation 1.5", "--validation 1.5 must be a fraction between 0 and 1"),
    ("--validation 1", "--validation 1 is not understood"),
    ("--class-weights heavy", "--class-weights 'heavy' is neither 'balanced' nor weights"),
    ("--class-weights a=1,b", "'b' is not CLASS=NUMBER. Write --class-weights negative=1"),
    ("--class-weights a=1,a=2", "'a' stands there twice"),
    ("--class-weights a=-1", "must be a number above 0"),
    ("--class-weights a=nan", "must be a number above 0"),
    ("--name ../up", "--name: '../up' cannot name a run"),
    ("--name 'a b'", "--name: 'a b' cannot name a run"),
    ("--text", "--text needs a value: --text review"),
    ("--text --label x", "--text needs a value"),
    ("--technique", "--technique needs one of full, top:2, head, features: --technique full"),
    ("--use-cpu maybe", "'maybe' is one word too many: %finetune takes MODEL and DATA."),
    ("--use-cpu=maybe", "--use-cpu stands alone, or with true or false; found 'maybe'."),
    ("epochs 3", "'epochs' is one word too many: %finetune takes MODEL and DATA. Did you mean"),
    ("--epochs 3 --epochs 4", "--epochs is given twice: leave one out."),
    ("--epochs 3 --num-train-epochs 4", "--epochs and --num-train-epochs set the same thing"),
    ("--warmup-ratio 0.1 --warmup-steps 5", "--warmup-ratio and --warmup-steps set the same"),
    ("--fp16 --precision fp32", "--fp16 and --precision set the same thing"),
    ("--eval-strategy often", "--eval-strategy 'often' is not one of 'epoch', 'steps', 'no'."),
    ("--text 'my", "the quotes in the line are not balanced"),
    (f"--name {TOKEN}", "looks like an access token"),
    ("--token abc", "--token is not an option: a token never stands in a cell. Log in: hf auth"),
    ("--hub_token=abc", "--hub_token is not an option"),
]


def problems_of(line, magic="finetune"):
    with pytest.raises(SpecError) as caught:
        parse(magic, line)
    return str(caught.value)


@pytest.mark.parametrize(("mistake", "message"), MISTAKES, ids=[m for m, _ in MISTAKES])
def test_a_mistake_is_named_as_typed_with_what_to_do(mistake, message):
    said = problems_of(f"demo:minilm df {mistake}")
    assert message in said
    assert said.startswith("2 problems") or "\n" not in said


def test_all_mistakes_are_told_at_once():
    said = problems_of("demo:minilm df --epochs three --lr nan --bogus 3 --technique ful")
    assert said.startswith("4 problems:\n- ")


@pytest.mark.parametrize("line", [f"m d --token {TOKEN}", f"{TOKEN} d", "m d --token s3cret-word"])
def test_a_token_is_never_repeated(line):
    said = problems_of(line)
    assert TOKEN not in said and "s3cret" not in said


def test_both_spellings_and_the_short_form_are_one_option():
    lines = ["--epochs 2", "--num-train-epochs 2", "--num_train_epochs=2", "--num_train_epochs 2.0"]
    assert [parse("finetune", f"m d {x}").keywords for x in lines] == [{"num_train_epochs": 2}] * 4


def test_the_well_known_recipe_is_understood_as_options():
    line = (
        "m d --output_dir ./results --num-train-epochs 3 --per_device_train_batch_size 16 "
        "--per-device-eval-batch-size 64 --warmup-steps 500 --weight-decay 0.01 "
        "--logging_dir ./logs --do_train --load-best-model-at-end True --fp16 false "
        "--report-to none"
    )
    assert parse("finetune", line).keywords == {
        "output_dir": "./results",
        "num_train_epochs": 3,
        "per_device_train_batch_size": 16,
        "per_device_eval_batch_size": 64,
        "warmup_steps": 500,
        "weight_decay": 0.01,
        "logging_dir": "./logs",
        "do_train": True,
        "load_best_model_at_end": True,
        "fp16": False,
        "report_to": "none",
    }


def test_a_switch_of_trainer_does_not_swallow_the_model():
    asked = parse("finetune", "--do_train --fp16 demo:minilm df")
    assert [word.text for word in asked.words] == ["demo:minilm", "df"]


@pytest.mark.parametrize("word", ["no", "none", "False"])
def test_no_validation(word):
    assert parse("finetune", f"m d --validation {word}").keywords == {"validation": False}


def test_validation_takes_a_fraction_a_split_or_a_file():
    lines = ["0.2", "dev", "held out.csv"]
    read = [parse("finetune", f"m d --validation '{x}'").keywords["validation"] for x in lines]
    assert read == [0.2, "dev", "held out.csv"]


def test_class_weights_are_read_by_name():
    asked = parse("finetune", "m d --class-weights 'not good=1,a=b=2.5'")
    assert asked.keywords == {"class_weights": {"not good": 1.0, "a=b": 2.5}}


def test_what_is_quoted_is_neither_option_nor_number():
    asked = parse("predict", 'run "--epochs 3" "-5"')
    assert [word.text for word in asked.words] == ["run", "--epochs 3", "-5"]


def test_words_after_two_hyphens_are_texts():
    asked = parse("predict", "run -- --why not")
    assert [word.text for word in asked.words] == ["run", "--why", "not"]


def test_attach_needs_no_run_and_takes_one():
    assert parse("finetune", "--attach").values == {"attach": True}
    assert parse("finetune", "--attach calm-heron-0712").values == {"attach": "calm-heron-0712"}
    assert parse("finetune", "--attach --background").values["attach"] is True


def test_help_is_given_whatever_else_is_wrong():
    assert parse("finetune", "m d --epochs three --help").get("help") is True
    assert parse("finetune", "-h").get("help") is True


@pytest.mark.parametrize(
    "code",
    [
        "__import__('os').system('touch x')",
        "$(touch x)",
        "`touch x`",
        "{open('x','w')}",
        "!touch x",
    ],
)
def test_code_in_a_line_stays_text(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    try:
        asked = parse("finetune", f'm "{code}" --name "{code}"')
    except SpecError:
        asked = None
    assert not list(tmp_path.iterdir())
    assert asked is None or asked.words[1].text == code


@pytest.mark.parametrize("magic", SYNTAX)
def test_help_lists_every_option_that_is_offered(magic):
    text = help_text(magic)
    assert all(o.flags[0] in text for o in SYNTAX[magic].options if o.help)
    assert all(len(line) <= 100 for line in text.splitlines())


@pytest.mark.parametrize(
    ("text", "number"),
    [("3", 3), ("-1", -1), ("+.5", 0.5), ("1e-5", 1e-5), ("2.", 2.0), ("1e3", 1000.0)],
)
def test_numbers_are_read_whole(text, number):
    assert read_number(text) == number


@pytest.mark.parametrize("text", ["", " 1", "1 ", "0x10", "1,5", "1e", "--1", "1" * 5000, "½"])
def test_what_is_not_wholly_a_number_is_none(text):
    assert read_number(text) is None


def pieces():
    flags = sorted({f for s in SYNTAX.values() for f in s.by_flag()})
    return st.one_of(
        st.sampled_from(flags),
        st.sampled_from(flags).map(lambda f: f.replace("-", "_").replace("__", "--", 1) + "="),
        st.sampled_from(["demo:minilm", "3", "-1", "nan", "1e400", "true", "'", '"', "\\", "--"]),
        st.from_regex(r"--?[a-z_=-]{0,12}", fullmatch=True),
        st.text(max_size=12),
    )


@settings(
    max_examples=int(os.environ.get("NBTRANSFER_FUZZ", "300")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(
    magic=st.sampled_from(sorted(SYNTAX)),
    words=st.lists(pieces(), max_size=8),
    cell=st.one_of(st.none(), st.lists(pieces(), max_size=4).map("\n".join)),
)
@example(magic="finetune", words=["--class-weights", "=1"], cell=None)
@example(magic="finetune", words=["m", "d", "--max-steps", "1" * 31], cell=None)
@example(magic="finetune", words=["m", "d", "--eval-steps", "inf", "--seed=-inf"], cell="\\")
def test_any_line_is_parsed_or_refused_with_our_error(magic, words, cell):
    try:
        asked = parse(magic, " ".join(words), cell)
    except SpecError as error:
        assert str(error) and not re.search(r"usage:|argparse|Traceback", str(error))
    else:
        assert isinstance(asked, Arguments)
