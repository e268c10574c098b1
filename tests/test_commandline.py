import dataclasses
import shlex

import pytest

from nbtransfer.commandline import finetune_code, finetune_line
from nbtransfer.spec import RunSpec

SPEC_FIELDS = {field.name for field in dataclasses.fields(RunSpec)}


def test_a_spec_of_defaults_gives_the_bare_line():
    assert finetune_line(RunSpec(model="demo:minilm", data="df")) == "%finetune demo:minilm df"


def test_only_options_that_differ_from_the_defaults_are_named():
    spec = RunSpec(
        model="demo:minilm",
        data="df",
        text="review",
        label="sentiment",
        learning_rate=1e-4,
        num_train_epochs=6.0,
        per_device_train_batch_size=16,
        max_length=64,
    )
    assert finetune_line(spec) == (
        "%finetune demo:minilm df --text review --label sentiment"
        " --lr 1e-4 --epochs 6 --max-length 64"
    )


def test_values_with_spaces_and_quotes_survive_the_shell_like_parser():
    spec = RunSpec(model="my models/a b", data="it's.csv", text='the "text"')
    words = shlex.split(finetune_line(spec))
    assert words == ["%finetune", "my models/a b", "it's.csv", "--text", 'the "text"']


def test_a_value_that_begins_with_a_hyphen_is_tied_to_its_option():
    assert "--text=-body" in finetune_line(RunSpec(model="m", data="d", text="-body"))


def test_switches_stand_alone_and_no_validation_is_no():
    line = finetune_line(
        RunSpec(model="m", data="d", use_cpu=True, from_scratch=True, validation=False)
    )
    assert line == "%finetune m d --validation no --use-cpu --from-scratch"


def test_class_weights_by_name_are_one_word():
    spec = RunSpec(model="m", data="d", class_weights={"neg": 1.0, "pos": 2.5})
    assert finetune_line(spec).endswith("--class-weights neg=1,pos=2.5")


@pytest.mark.parametrize(
    ("rate", "written"),
    [(5e-5, "5e-5"), (1e-3, "1e-3"), (3.16e-5, "3.16e-5"), (0.01, "0.01"), (0.02, "0.02")],
)
def test_a_learning_rate_is_written_short_and_reads_back_equal(rate, written):
    line = finetune_line(RunSpec(model="m", data="d", learning_rate=rate))
    assert line.endswith(f"--lr {written}")
    assert float(written) == rate


def test_a_rate_with_many_digits_is_not_rounded():
    rate = 1.23456789012345e-5
    line = finetune_line(RunSpec(model="m", data="d", learning_rate=rate))
    assert float(line.rsplit(" ", 1)[1]) == rate


def test_the_runs_folder_is_named_only_on_request():
    assert finetune_line(RunSpec(model="m", data="d"), runs_dir="my runs").endswith(
        "--runs-dir 'my runs'"
    )


def test_the_python_call_runs_and_asks_for_the_same():
    spec = RunSpec(
        model="demo:minilm",
        data="df",
        text="it's",
        learning_rate=2e-5,
        validation=False,
        class_weights={"a": 1.0},
        seed=7,
        name="first",
    )
    asked = {}

    class Library:
        @staticmethod
        def finetune(model, data, **options):
            asked.update(options, model=model, data=data)

    frame = object()
    source = finetune_code(spec, variables=["df"])
    exec(source.replace("import nbtransfer as nt", ""), {"nt": Library, "df": frame})
    assert asked.pop("data") is frame
    assert RunSpec(data="df", **asked) == spec


def test_a_name_that_is_not_a_variable_is_a_string_in_python():
    assert "nt.finetune('bert', 'df')" in finetune_code(RunSpec(model="bert", data="df"))


def test_a_long_python_call_is_one_argument_a_line():
    spec = RunSpec(model="demo:minilm", data="df", text="a" * 40, label="b" * 40)
    assert "\n    data" not in finetune_code(spec)
    assert f"\n    text='{'a' * 40}',\n" in finetune_code(spec)


def test_the_parser_of_the_magic_has_the_same_spellings():
    from nbtransfer.commandline import _SHORT
    from nbtransfer.magics.options import SYNTAX

    shown = {o.name: o.flags[0] for o in SYNTAX["finetune"].options if o.name in SPEC_FIELDS}
    shown["adapt_learning_rate"] = "--adapt-lr"  # an option of two runs, and no field of one
    assert {
        name: flag for name, flag in shown.items() if flag != "--" + name.replace("_", "-")
    } == _SHORT


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"text": "my text", "label": "it's", "technique": "head", "seed": 0},
        {"learning_rate": 3.2e-5, "num_train_epochs": 0.5, "warmup_steps": 500.0},
        {"per_device_train_batch_size": 8, "per_device_eval_batch_size": 8, "max_length": 24},
        {"validation": False, "use_cpu": True, "from_scratch": True},
        {"validation": 0.2, "class_weights": {"a b": 1.0, "c": 0.25}},
        {"validation": "held out.csv", "class_weights": "balanced", "precision": "bf16"},
        {"early_stopping_patience": 2, "eval_steps": 10, "metric_for_best_model": "loss"},
        {"weight_decay": 0.0, "adam_beta2": 0.98, "adam_epsilon": 1e-6, "max_grad_norm": 0.0},
        {"text": "-body", "name": "first.run", "max_steps": 20, "lr_scheduler_type": "cosine"},
    ],
)
def test_the_magic_reads_the_line_as_the_spec_it_was_written_from(options):
    from nbtransfer.keywords import sort_keywords
    from nbtransfer.magics.arguments import parse

    spec = RunSpec(model="some where/model", data="demo:tweets", **options)
    asked = parse("finetune", finetune_line(spec).removeprefix("%finetune"))
    model, data = (word.text for word in asked.words)
    assert RunSpec(model=model, data=data, **sort_keywords(asked.keywords).fields) == spec
