"""Checkpoints of a small model, made once and copied by the tests that damage them."""

from __future__ import annotations

import shutil

import pytest

from nbtransfer.engine.checkpoints import damage
from tests.engine.tied_model import learn, make, save


@pytest.fixture(scope="module")
def trained():
    """A model and its optimizer, after two steps."""
    model, optimizer = make()
    learn(model, optimizer)
    return model, optimizer


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "checkpoints"


@pytest.fixture(scope="module")
def pristine(tmp_path_factory, trained):
    """One whole checkpoint, copied by the tests that damage it."""
    return save(tmp_path_factory.mktemp("pristine"), trained)


@pytest.fixture
def whole(folder, pristine):
    path = folder / "step-000001"
    shutil.copytree(pristine, path)
    assert damage(path) is None
    return path
