"""The notebooks as committed: clean, portable, and each example with its form for the hub."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))

# What each says for the hub, beside the names that need no download.
HUB_LINES = {
    "01_quickstart": (
        "%model sentence-transformers/all-MiniLM-L6-v2",
        "%dataset cornell-movie-review-data/rotten_tomatoes",
        "%finetune distilbert-base-uncased df",
    ),
    "02_entities": (
        "%model sentence-transformers/all-MiniLM-L6-v2",
        "%dataset tner/wnut2017",
        "%finetune distilbert-base-uncased df --tokens words --tags ner_tags",
    ),
    "03_questions": (
        "%model sentence-transformers/all-MiniLM-L6-v2",
        "%dataset rajpurkar/squad_v2",
        "%finetune distilbert-base-uncased df --question ask",
    ),
    "04_translation": (
        "%finetune Helsinki-NLP/opus-mt-en-fr demo:interface-fr",
        "%finetune t5-small demo:interface-fr",
        "%dataset opus_books",
    ),
    "05_pretraining": (
        "%model google/bert_uncased_L-2_H-128_A-2",
        "%finetune distilbert-base-uncased df --text text",
    ),
    "06_several_labels_and_pairs": (
        "%model sentence-transformers/all-MiniLM-L6-v2",
        "%finetune distilbert-base-uncased df --text comment --label topics",
        "%finetune distilbert-base-uncased df --text query --text-pair hit --label grade",
    ),
    "07_writing": (
        "%pretrain distilgpt2 corpus.txt",
        "%finetune t5-small",
        "%finetune google/pegasus-xsum",
    ),
}


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def test_there_is_a_quickstart():
    assert NOTEBOOKS[0].name == "01_quickstart.ipynb"


def test_notebook_is_valid_and_every_cell_has_an_id_of_its_own(notebook):
    nbformat.validate(notebook)
    ids = [cell.id for cell in notebook.cells]
    assert len(set(ids)) == len(ids)


def test_notebook_is_committed_without_outputs(notebook):
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not [cell.id for cell in code if cell.outputs or cell.execution_count]
    assert "widgets" not in notebook.metadata


def test_notebook_runs_on_any_python3_kernel(notebook):
    assert notebook.metadata.kernelspec.name == "python3"


@pytest.mark.parametrize("name", [path.stem for path in NOTEBOOKS])
def test_every_demo_name_is_explained_with_a_hub_id(name):
    (path,) = [path for path in NOTEBOOKS if path.stem == name]
    notebook = nbformat.read(path, as_version=4)
    prose = "".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for line in HUB_LINES[name]:
        assert line in prose


def test_quickstart_says_what_the_weights_already_know():
    prose = "".join(cell.source for cell in nbformat.read(NOTEBOOKS[0], as_version=4).cells)
    assert "not plain BERT" in prose and "billion pairs" in prose


def test_quickstart_names_the_four_stages_in_their_order():
    prose = "".join(cell.source for cell in nbformat.read(NOTEBOOKS[0], as_version=4).cells)
    stages = ["pre-training", "representations", "fine-tuning", "task-specific model"]
    places = [prose.index(f"{number}. {stage}") for number, stage in enumerate(stages, 1)]
    assert places == sorted(places)


def test_every_notebook_says_what_to_write_for_the_hub():
    assert {path.stem for path in NOTEBOOKS} <= set(HUB_LINES)
