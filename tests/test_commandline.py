import shlex

import pytest

from nbtransfer.commandline import finetune_code, finetune_line
from nbtransfer.spec import RunSpec


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


def test_switches_stand_alone_and_no_validation_is_none():
    line = finetune_line(
        RunSpec(model="m", data="d", use_cpu=True, from_scratch=True, validation=False)
    )
    assert line == "%finetune m d --validation none --use-cpu --from-scratch"


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
