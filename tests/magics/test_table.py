import importlib

import pytest

from nbtransfer.magics.options import SYNTAX
from nbtransfer.magics.table import BY_NAME, MAGICS


@pytest.mark.parametrize("magic", MAGICS, ids=lambda m: m.name)
def test_home_of_a_magic_is_a_function_with_its_name(magic):
    module, _, function = magic.home.partition(":")
    assert function == magic.name
    assert callable(getattr(importlib.import_module(module), function))


@pytest.mark.parametrize("magic", MAGICS, ids=lambda m: m.name)
def test_help_of_a_magic_starts_with_an_example(magic):
    assert magic.help.startswith(f"%{magic.name}")


def test_every_magic_has_a_syntax_and_only_they():
    assert set(SYNTAX) == set(BY_NAME)


def test_only_what_trains_takes_a_cell():
    assert [magic.name for magic in MAGICS if magic.has_cell] == ["finetune", "pretrain"]
