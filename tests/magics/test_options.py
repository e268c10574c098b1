import dataclasses

import pytest

from nbtransfer.commandline import finetune_line
from nbtransfer.keywords import DROPPED, RENAMED
from nbtransfer.magics.arguments import parse
from nbtransfer.magics.options import SPEC_NAMES, SYNTAX
from nbtransfer.spec import RunSpec


def test_every_field_of_the_spec_has_an_option_with_help():
    fields = {f.name for f in dataclasses.fields(RunSpec)} - {"model", "data"}
    assert fields == SPEC_NAMES
    assert all(o.help for o in SYNTAX["finetune"].options if o.name in SPEC_NAMES)


@pytest.mark.parametrize("name", [*RENAMED, *DROPPED, "fp16", "bf16", "eval_strategy"])
def test_every_name_of_trainer_is_an_option(name):
    assert "--" + name.replace("_", "-") in SYNTAX["finetune"].by_flag()


@pytest.mark.parametrize("magic", SYNTAX)
def test_no_spelling_stands_for_two_options(magic):
    flags = [flag for option in SYNTAX[magic].options for flag in option.flags]
    assert len(flags) == len(set(flags))


SPECS = [
    RunSpec(model="demo:minilm", data="df"),
    RunSpec(model="a folder/m", data="it's.csv", text="the text", label="-label"),
    RunSpec(model="m", data="d", validation=False, use_cpu=True, from_scratch=True),
    RunSpec(model="m", data="d", validation=0.25, class_weights={"a": 1.0, "b c": 2.5}),
    RunSpec(model="m", data="d", validation="dev", class_weights="balanced", max_steps=7),
    RunSpec(
        model="m",
        data="d",
        technique="head",
        num_train_epochs=1.5,
        learning_rate=3e-5,
        warmup_steps=500,
        lr_scheduler_type="cosine",
        early_stopping_patience=2,
        eval_steps=10,
        precision="fp32",
        step="graphed",
        seed=7,
        name="my-run",
        adam_epsilon=1e-6,
    ),
    RunSpec(model="m", data="d", prompt="English: {source}\nFrench:", max_target_length=20),
    RunSpec(
        model="m",
        data="d",
        technique="lora",
        lora_r=16,
        lora_alpha=32,
        lora_dropout=0.05,
        lora_target_modules="query,value",
    ),
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda s: finetune_line(s)[:50])
def test_the_line_written_for_a_spec_reads_back_as_the_same_spec(spec):
    asked = parse("finetune", finetune_line(spec).removeprefix("%finetune"))
    model, data = (word.text for word in asked.words)
    assert RunSpec(model=model, data=data, **asked.keywords) == spec
