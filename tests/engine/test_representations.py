"""Tests of nbtransfer.engine.representations: a run's texts before and after its training."""

from __future__ import annotations

import pytest

from nbtransfer import api
from nbtransfer.errors import DataError, SpecError
from tests.engine.asking import answer_here
from tests.engine.jobs import make_run, reviews, work


@pytest.fixture
def in_this_process(monkeypatch):
    """Answer evaluation jobs here: a worker of their own would take longer than all the rest."""
    answer_here(monkeypatch)


@pytest.mark.parametrize("technique", ["full", "features"])
def test_training_moves_classes_apart_and_the_map_shows_it(tmp_path, in_this_process, technique):
    run = make_run(tmp_path, num_train_epochs=3, technique=technique)
    assert work(str(run.dir))
    found = api.embeddings(run, reviews(60, seed=9))
    assert len(found.texts) == len(found.before.points) == len(found.after.points) == 60
    assert len(found.before.probe_accuracies) == run.model_card.num_layers + 1
    if technique == "full":
        assert found.after.silhouette > found.before.silhouette + 0.1
        assert found.after.probe_accuracies[-1] >= found.before.probe_accuracies[-1]
    else:  # a frozen backbone sees what it saw
        assert found.after == found.before
    assert [path.name for path in (run.dir / "evaluation").iterdir()] == ["validation"]


def test_rows_are_thinned_out_evenly_and_too_few_are_refused(tmp_path, in_this_process):
    run = make_run(tmp_path, num_train_epochs=1)
    assert work(str(run.dir))
    assert len(api.embeddings(run, reviews(60), num_rows=20).texts) == 20
    with pytest.raises(DataError, match="a map of so few says nothing"):
        api.embeddings(run, reviews(6))
    with pytest.raises(SpecError, match="num_rows=3 must be at least 10"):
        api.embeddings(run, num_rows=3)
    with pytest.raises(SpecError, match=r"num_rows=.many. must be at least 10, a whole number"):
        api.embeddings(run, num_rows="many")
