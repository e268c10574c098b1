"""A job small enough to be broken hundreds of times, and what it comes to undisturbed."""

from __future__ import annotations

import pytest

from tests.engine.jobs import make_run, work, write_mini_model
from tests.faults.task_jobs import write_models


@pytest.fixture(scope="session")
def mini_model(tmp_path_factory):
    """The folder of a model of half a million weights."""
    return write_mini_model(tmp_path_factory.mktemp("mini-model"))


@pytest.fixture(scope="session")
def task_models(tmp_path_factory):
    """The folders of the models that the jobs of every task need."""
    return write_models(tmp_path_factory.mktemp("task-models"))


@pytest.fixture(scope="session")
def two_layers(tmp_path_factory):
    """The folder of the same with two layers, of which the upper one can be trained alone."""
    return write_mini_model(tmp_path_factory.mktemp("two-layers"), num_layers=2)


@pytest.fixture(scope="session")
def make_job(mini_model):
    """Return a maker of runs that are all the same job: 12 steps, an evaluation every 4."""

    def make(runs_dir, **keywords):
        defaults = {"num_rows": 40, "num_train_epochs": 3, "learning_rate": 3e-3}
        return make_run(runs_dir, **{"model": mini_model, **defaults, **keywords})

    return make


@pytest.fixture(scope="session")
def clean(make_job, tmp_path_factory):
    """The job, never disturbed."""
    run = make_job(tmp_path_factory.mktemp("clean"))
    assert work(str(run.dir))
    return run
