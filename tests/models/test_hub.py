"""Tests of nbtransfer.models.hub: recorded answers of the hub, no network."""

from types import SimpleNamespace

import pytest

huggingface_hub = pytest.importorskip("huggingface_hub")
from huggingface_hub import errors  # noqa: E402 -- after importorskip

from nbtransfer.errors import ModelError  # noqa: E402
from nbtransfer.models.hub import is_hub_id, open_hub_model  # noqa: E402

SHA = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def token(monkeypatch):
    """Choose the stored token; none unless a test sets one."""
    stored = SimpleNamespace(value=None)
    monkeypatch.setattr(huggingface_hub, "get_token", lambda: stored.value)
    return stored


@pytest.fixture
def nothing_cached(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)


@pytest.fixture
def hub_raises(monkeypatch, nothing_cached, token):
    def arrange(error):
        def refuse(self, *args, **kwargs):
            raise error

        monkeypatch.setattr(huggingface_hub.HfApi, "model_info", refuse)

    return arrange


@pytest.fixture
def hub_holds(monkeypatch, nothing_cached, token):
    """A repository with the files of `folder`, weights known by their header only."""

    def arrange(folder, tensors, licence="mit"):
        siblings = [
            SimpleNamespace(rfilename=p.name, size=p.stat().st_size) for p in folder.iterdir()
        ]
        info = SimpleNamespace(
            sha=SHA, siblings=siblings, card_data=SimpleNamespace(license=licence)
        )
        header = {
            name: SimpleNamespace(dtype=dtype, shape=shape)
            for name, (dtype, shape) in tensors.items()
        }
        files = {"model.safetensors": SimpleNamespace(tensors=header)}
        fetched = []

        def fetch(repo_id, name, revision):
            assert revision == SHA
            fetched.append(name)
            return str(folder / name)

        api = huggingface_hub.HfApi
        monkeypatch.setattr(api, "model_info", lambda self, *a, **k: info)
        monkeypatch.setattr(
            api, "get_safetensors_metadata", lambda *a, **k: SimpleNamespace(files_metadata=files)
        )
        monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
        return fetched

    return arrange


def http_error(kind, status):
    """An error as huggingface_hub raises it: it carries the answer."""
    error = kind.__new__(kind)
    Exception.__init__(error, "recorded")
    error.response = SimpleNamespace(status_code=status, headers={})
    return error


def message_of(hub_id, **names):
    with pytest.raises(ModelError) as caught:
        open_hub_model(hub_id, **names)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_an_unknown_id_gets_the_nearest_well_known_one(hub_raises):
    hub_raises(http_error(errors.RepositoryNotFoundError, 404))
    message = message_of("distilbert-base-uncasd")
    assert "Did you mean 'distilbert-base-uncased'?" in message
    assert "If it is private, log in first" in message


def test_an_unknown_id_may_have_meant_a_run(hub_raises, token):
    token.value = "stored"
    hub_raises(http_error(errors.RepositoryNotFoundError, 404))
    message = message_of("calm-heran", other_names=["calm-heron"])
    assert message.endswith("Did you mean 'calm-heron'?")


def test_gated_without_a_token_says_both_steps(hub_raises):
    hub_raises(http_error(errors.GatedRepoError, 401))
    message = message_of("who/gated")
    assert "no token is stored" in message
    assert "https://huggingface.co/who/gated" in message


def test_gated_with_a_token_says_it_has_no_access(hub_raises, token):
    token.value = "stored"
    hub_raises(http_error(errors.GatedRepoError, 403))
    message = message_of("who/gated")
    assert "your token has no access" in message
    assert "stored" not in message


def test_an_expired_token_is_named(hub_raises):
    hub_raises(http_error(errors.HfHubHTTPError, 401))
    assert "does not accept the stored token; it may have expired" in message_of("who/what")


def test_another_status_is_told(hub_raises):
    hub_raises(http_error(errors.HfHubHTTPError, 503))
    assert "answered with status 503" in message_of("who/what")


@pytest.mark.parametrize(
    "error",
    [
        errors.OfflineModeIsEnabled("recorded"),
        errors.LocalEntryNotFoundError("recorded"),
        ConnectionError("recorded"),
        TimeoutError("recorded"),
        errors.HTTPError("recorded"),
    ],
)
def test_offline_and_not_cached(hub_raises, error):
    hub_raises(error)
    message = message_of("bert-base-uncasd")
    assert "not in the local cache" in message
    assert "hf download" in message
    assert message.endswith("Or did you mean 'bert-base-uncased'?")


def test_offline_mode_is_named_as_the_reason(hub_raises, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    hub_raises(errors.OfflineModeIsEnabled("recorded"))
    assert "HF_HUB_OFFLINE is set" in message_of("who/what")


def test_a_bug_of_ours_keeps_its_traceback(hub_raises):
    hub_raises(AttributeError("recorded"))
    with pytest.raises(AttributeError):
        open_hub_model("who/what")


def test_a_cached_model_is_opened_without_asking(save_model, monkeypatch):
    folder = save_model(f"hub/snapshots/{SHA}")
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache", lambda _, name: str(folder / name)
    )
    card = open_hub_model("who/what")
    assert (card.source, card.location, card.revision) == ("hub", "who/what", SHA)
    assert card.num_parameters == 168


def test_a_half_cached_model_is_asked_for(save_model, monkeypatch, hub_raises):
    folder = save_model(f"hub/snapshots/{SHA}", model__safetensors=None)
    hub_raises(errors.OfflineModeIsEnabled("recorded"))
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache", lambda _, name: str(folder / name)
    )
    assert "not in the local cache" in message_of("who/what")


def test_only_small_files_are_fetched(save_model, tensors, hub_holds):
    fetched = hub_holds(save_model(vocab__txt="[PAD]"), tensors)
    card = open_hub_model("who/what")
    assert fetched == ["tokenizer.json", "config.json"]
    assert (card.num_parameters, card.licence, card.revision) == (168, "mit", SHA)
    assert card.num_parameters_exact


def test_pickles_on_the_hub_are_refused_before_anything_is_read(save_model, hub_holds):
    hub_holds(save_model(model__safetensors=None, pytorch_model__bin=b"x"), {})
    message = message_of("who/what")
    assert "pickle (pytorch_model.bin)" in message
    assert "refs/pr/1" in message


def test_code_on_the_hub_is_refused(save_model, tensors, hub_holds):
    folder = save_model(config={"auto_map": {"AutoModel": "modeling_odd.Odd"}})
    hub_holds(folder, tensors)
    assert "modeling_odd.py" in message_of("who/what")


def test_without_a_readable_header_parameters_are_estimated(
    save_model, tensors, hub_holds, monkeypatch
):
    hub_holds(save_model(), tensors)

    def refuse(*args, **kwargs):
        raise errors.SafetensorsParsingError("recorded")

    monkeypatch.setattr(huggingface_hub.HfApi, "get_safetensors_metadata", refuse)
    card = open_hub_model("who/what")
    # embeddings 112 + 8, attention 80, feed-forward 32 + 8 + 32 + 4, norms 16, pooler 20
    assert (card.num_parameters, card.num_parameters_exact) == (312, False)
    assert "estimated from config.json" in card.notes[-1]


@pytest.mark.parametrize(
    ("reference", "valid"),
    [
        ("gpt2", True),
        ("who/what-1.0_x", True),
        ("a/b/c", False),
        ("a--b", False),
        ("a/..", False),
        ("../a", False),
        ("a b", False),
        ("a\n", False),
        ("-a", False),
        ("a" * 97, False),
    ],
)
def test_what_may_be_a_hub_id(reference, valid):
    assert is_hub_id(reference) is valid
