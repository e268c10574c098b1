"""Tests of nbtransfer.models.folder and nbtransfer.models.tokenizer_files."""

import json

import pytest

from nbtransfer.errors import ModelError
from nbtransfer.models.card import ModelCard
from nbtransfer.models.folder import read_folder, read_licence


def read(folder):
    return read_folder(folder, name="tiny", source="folder")


def test_a_card_states_what_the_files_say(save_model):
    folder = save_model()
    card = read(folder)
    assert (card.architecture, card.model_type) == ("BertModel", "bert")
    assert (card.num_parameters, card.num_embedding_parameters) == (168, 112)
    assert card.num_parameters_exact
    assert (card.num_layers, card.hidden_size, card.intermediate_size) == (1, 4, 8)
    assert (card.num_heads, card.vocab_size, card.max_positions) == (2, 10, 16)
    assert card.location == str(folder)
    assert card.tokenizer_file == str(folder / "tokenizer.json")
    assert card.licence is None
    assert card.notes == ()


def test_a_card_survives_json(save_model):
    config = {"architectures": ["BertForSequenceClassification"], "id2label": {"1": "b", "0": "a"}}
    card = read(save_model(config=config, tensors={"classifier.weight": ("F32", [2, 4])}))
    assert card.head_labels == ("a", "b")
    assert ModelCard.from_json(json.loads(json.dumps(card.to_json()))) == card


def test_half_precision_is_noted(save_model, tensors):
    halves = {name: ("F16", shape) for name, (_, shape) in tensors.items()}
    card = read(save_model(tensors=halves))
    assert card.weights_dtype == "float16"
    assert card.notes == ("The weights are stored as float16; they are loaded as float32.",)


def test_a_head_is_noted_with_its_classes(save_model):
    config = {
        "architectures": ["BertForSequenceClassification"],
        "id2label": {str(i): f"class {i}" for i in range(8)},
    }
    card = read(save_model(config=config, tensors={"classifier.weight": ("F32", [8, 4])}))
    assert card.head_labels[7] == "class 7"
    assert card.notes[0].endswith("'class 4', 'class 5' and 2 more.")


def test_a_head_for_words_is_a_head_with_classes_too(save_model):
    config = {"architectures": ["BertForTokenClassification"], "id2label": {"0": "O", "1": "B-X"}}
    card = read(save_model(config=config, tensors={"classifier.weight": ("F32", [2, 4])}))
    assert card.head_labels == ("O", "B-X")


def test_labels_without_a_head_among_the_weights_are_not_a_head(save_model):
    config = {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "a"}}
    assert read(save_model(config=config)).head_labels == ()


def test_a_missing_padding_token_is_noted(save_model):
    folder = save_model(config={"pad_token_id": None}, vocab=["a", "b", "<end>"])
    assert "no padding token" in read(folder).notes[0]
    (folder / "tokenizer_config.json").write_text('{"pad_token": "<end>"}')
    assert read(folder).notes == ()


def test_a_missing_pooling_layer_is_noted(save_model, as_safetensors, tensors):
    del tensors["pooler.dense.weight"]
    folder = save_model(model__safetensors=as_safetensors(tensors))
    card = read(folder)
    assert card.lacks_pooler
    assert card.notes == ("The weights hold no pooling layer: it starts at random.",)


def test_an_older_vocabulary_leaves_counting_to_the_worker(save_model):
    card = read(save_model(tokenizer__json=None, vocab__txt="[PAD]\ngood\n"))
    assert card.tokenizer_file is None
    assert "counted when the run starts" in card.notes[0]


def test_a_folder_without_tokenizer_is_refused(save_model):
    with pytest.raises(ModelError, match=r"has no tokenizer.*tokenizer\.save_pretrained"):
        read(save_model(tokenizer__json=None))


def test_a_tokenizer_larger_than_the_embedding_is_refused(save_model):
    folder = save_model(vocab=[f"piece {i}" for i in range(11)])
    with pytest.raises(ModelError, match="ids up to 10, but its embedding has only 10 rows"):
        read(folder)


def test_an_added_token_beyond_the_embedding_is_refused(save_model):
    tokenizer = {
        "model": {"type": "Unigram", "vocab": [["a", 0.0]] * 10},
        "added_tokens": [{"id": 40, "content": "<new>"}],
    }
    with pytest.raises(ModelError, match="ids up to 40"):
        read(save_model(tokenizer__json=json.dumps(tokenizer)))


@pytest.mark.parametrize("text", ["{", "[]", '{"model": 3}', "{}"])
def test_a_broken_tokenizer_is_refused(save_model, text):
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        read(save_model(tokenizer__json=text))


def test_code_in_the_tokenizer_is_refused(save_model):
    config = json.dumps({"auto_map": {"AutoTokenizer": ["tokenization_odd.Odd", None]}})
    with pytest.raises(ModelError, match=r"tokenization_odd\.py.*tokenizer_config\.json"):
        read(save_model(tokenizer_config__json=config))


def test_config_and_weights_must_agree_on_the_vocabulary(save_model):
    with pytest.raises(ModelError, match="vocab_size=12, but the weights hold 10 rows"):
        read(save_model(config={"vocab_size": 12}))


def test_pickled_weights_are_refused_unread(save_model):
    folder = save_model(model__safetensors=None, pytorch_model__bin=b"\x80\x04.")
    with pytest.raises(ModelError, match=r"pickle \(pytorch_model\.bin\).*run code"):
        read(folder)


def test_a_folder_that_holds_a_model_one_level_down_says_so(save_model, tmp_path):
    save_model("outer/inner")
    with pytest.raises(ModelError, match=r"has no config\.json.*Did you mean '.*outer.inner'"):
        read(tmp_path / "outer")


def test_a_checkpoint_of_a_run_points_to_resume(tmp_path):
    folder = tmp_path / "runs" / "calm-heron" / "checkpoints" / "step-000400"
    folder.mkdir(parents=True)
    for name in ("model.safetensors", "optimizer.safetensors", "state.json", "manifest.json"):
        (folder / name).touch()
    with pytest.raises(ModelError, match=r"run 'calm-heron'.*--resume calm-heron"):
        read(folder)


@pytest.mark.parametrize(
    ("text", "licence"),
    [
        ("---\nlanguage: en\nlicense: apache-2.0\n---\n# Model", "apache-2.0"),
        ("---\nlicense: 'cc-by-4.0'\n---\n", "cc-by-4.0"),
        ("---\nlanguage: en\n---\nlicense: mit\n", None),
        ("license: mit\n", None),
        ("---\nlicense: <script>\n---\n", None),
    ],
)
def test_the_licence_comes_from_the_front_matter_only(tmp_path, text, licence):
    (tmp_path / "README.md").write_text(text)
    assert read_licence(tmp_path / "README.md") == licence


def test_no_readme_states_no_licence(tmp_path):
    assert read_licence(tmp_path / "README.md") is None
