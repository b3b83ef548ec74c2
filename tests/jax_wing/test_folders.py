"""Weights of the JAX wing: first ones, from every kind of file, and to and from PyTorch."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from jax_twins import twin_of
from tiny import CLASSES, tiny, tiny_config

import distilbert
from distilbert.errors import CheckpointError, ConfigError

jax = pytest.importorskip("jax", reason="JAX is not installed: pip install 'distilbert[jax]'")

import jax.numpy as jnp  # noqa: E402  # after the skip

import distilbert.jax as wing  # noqa: E402
from distilbert.jax.embeddings import sinusoids  # noqa: E402

CONFIGS = {
    "DistilBert": tiny_config(n_layers=1),
    "Bert": distilbert.BertConfig(
        vocab_size=60, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, intermediate_size=64
    ),
}


def assert_same(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    assert list(ours) == list(theirs)
    for key, array in ours.items():
        assert array.dtype == theirs[key].dtype, key
        np.testing.assert_array_equal(array, theirs[key], err_msg=key)


@pytest.mark.parametrize("name", CLASSES)
def test_there_and_back_changes_no_bit(name: str, tmp_path: Path) -> None:
    model = tiny(name, n_layers=1)
    model.save_pretrained(tmp_path / "torch")
    twin, report = getattr(wing, f"Flax{name}").from_pretrained(tmp_path / "torch", output_loading_info=True)
    assert not report.missing
    assert not report.unexpected
    twin.save_pretrained(tmp_path / "jax")
    again = getattr(distilbert, name).from_pretrained(tmp_path / "jax")
    assert_same(again.arrays(), model.arrays())
    assert again.config.architectures == [name]
    assert twin.num_parameters() == model.num_parameters()
    files = [sorted(path.name for path in (tmp_path / wing).iterdir()) for wing in ("torch", "jax")]
    assert files[0] == files[1]


@pytest.mark.parametrize("head", ["", "ForMaskedLM", "ForSequenceClassification", "ForMultipleChoice",
                                  "ForTokenClassification", "ForQuestionAnswering"])  # fmt: skip
def test_a_folder_says_which_class_it_wants(head: str, tmp_path: Path) -> None:
    chooser = getattr(wing, f"FlaxAutoModel{head}")
    assert chooser is getattr(wing, f"AutoModel{head}")
    for family in ("DistilBert", "Bert"):
        kind = getattr(wing, f"{family}{head or 'Model'}")
        config = CONFIGS[family]
        model = chooser.from_config(config, seed=3)
        assert type(model) is kind
        assert_same(model.arrays(), kind(config, seed=3).arrays())
        model.save_pretrained(tmp_path / family)
        again = chooser.from_pretrained(tmp_path / family)
        assert type(again) is kind
        assert_same(again.arrays(), model.arrays())
    with pytest.raises(ConfigError, match=r"takes a DistilBertConfig or a BertConfig\. Received: a dict"):
        chooser.from_config({})
    with pytest.raises(ConfigError, match=r"chooses a class and has no objects"):
        chooser()


@pytest.mark.parametrize("kind", ["bin", "h5", "msgpack"])
def test_every_published_kind_of_file_is_read(kind: str, tmp_path: Path) -> None:
    model = tiny("DistilBertForMaskedLM", n_layers=1)
    model.save_pretrained(tmp_path / "usual")
    distilbert.convert(tmp_path / "usual", to=kind, out=tmp_path / kind)
    twin = wing.DistilBertForMaskedLM.from_pretrained(tmp_path / kind)
    assert_same(twin.arrays(), model.arrays())
    base = wing.DistilBertModel.from_pretrained(tmp_path / kind, param_dtype="bfloat16")
    assert {array.dtype.name for array in base.arrays().values()} == {"bfloat16"}


def test_weights_that_are_missing_are_drawn_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tiny("DistilBertModel", n_layers=1).save_pretrained(tmp_path)
    twins = [wing.DistilBertForTokenClassification.from_pretrained(tmp_path, seed=seed) for seed in (0, 0, 1)]
    assert "classifier.weight, classifier.bias: they are drawn anew" in caplog.text
    first, again, other = (twin.arrays()["classifier.weight"] for twin in twins)
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3
    with pytest.raises(CheckpointError, match=r"word_embeddings\.weight is \[60, 32\], should be \[61, 32\]"):
        wing.DistilBertModel.from_pretrained(tmp_path, vocab_size=61)
    with pytest.raises(ConfigError, match=r"a field of the configuration.*nonsense"):
        wing.DistilBertModel.from_pretrained(tmp_path, nonsense=1)
    with pytest.raises(ConfigError, match=r'dtype must be "auto" or one of.*int32'):
        wing.DistilBertModel.from_pretrained(tmp_path, dtype=jnp.int32)


def test_first_weights_go_by_roles() -> None:
    config = tiny_config(n_layers=1, vocab_size=400, dim=64, pad_token_id=3, sinusoidal_pos_embds=True)
    model = wing.DistilBertModel(config, seed=1)
    arrays, kinds = model.arrays(), {p.key: p.role.name for p in model.manifest}
    for key, array in arrays.items():
        if kinds[key] == "NORM_SCALE":
            assert (array == 1).all()
        elif kinds[key] in ("BIAS", "NORM_BIAS"):
            assert not array.any()
        elif "position" not in key:
            assert abs(array.std() - config.initializer_range) < 0.002, key
    words = next(array for key, array in arrays.items() if "word" in key)
    positions = next(array for key, array in arrays.items() if "position" in key)
    assert not words[3].any()
    np.testing.assert_array_equal(positions, sinusoids(24, 64))
    from distilbert.torch.embeddings import sinusoids as of_torch

    np.testing.assert_allclose(positions, of_torch(24, 64).numpy(), atol=1e-6)


def test_more_words_and_positions(tmp_path: Path) -> None:
    twin = twin_of(tiny("DistilBertForMaskedLM", n_layers=1))
    words = np.asarray(twin.get_input_embeddings().embedding[...])
    twin.resize_token_embeddings(61, pad_to_multiple_of=8, key=jax.random.key(0))
    twin.resize_position_embeddings(30, key=jax.random.key(1))
    grown = np.asarray(twin.get_input_embeddings().embedding[...])
    np.testing.assert_array_equal(grown[:60], words)
    assert np.abs(grown[60:] - words.mean(0)).max() < 1e-3
    twin.save_pretrained(tmp_path)
    again = distilbert.DistilBertForMaskedLM.from_pretrained(tmp_path)
    with torch.no_grad():
        assert again(torch.full((1, 30), 63)).logits.shape == (1, 30, 64)


def test_pruned_as_pytorch_prunes(tmp_path: Path) -> None:
    model = tiny("DistilBertForSequenceClassification")
    twin = twin_of(model)
    for one in (model, twin):
        one.prune_heads({0: [0, 2], -1: [3]})
    with pytest.raises(ConfigError, match="heads_to_prune"):
        twin.prune_heads({0: [-1]})
    with pytest.raises(ConfigError):
        twin.prune_heads({0: [1, 3]})
    assert twin.config.pruned_heads == {0: [0, 2], 1: [3]}
    assert_same(twin.arrays(), model.arrays())
    twin.save_pretrained(tmp_path)
    again = wing.DistilBertForSequenceClassification.from_pretrained(tmp_path)
    ids = np.arange(1, 25).reshape(2, 12)
    with torch.no_grad():
        told = model(torch.from_numpy(ids)).logits.numpy()
    for one in (twin, again):
        np.testing.assert_allclose(one(ids).logits, told, atol=2e-5)
    assert (
        np.abs(np.asarray(twin_of(tiny("DistilBertForSequenceClassification"))(ids).logits) - told).max()
        > 1e-3
    )


def test_a_feed_forward_in_pieces_is_the_same() -> None:
    """Pieces that do not divide the length, too; under dropout each draws its own."""
    model = tiny("DistilBertModel", n_layers=1)
    block = twin_of(model).transformer.layer[0].ffn
    model.config.chunk_size_feed_forward = 5
    pieces = twin_of(model).transformer.layer[0].ffn
    x = np.random.default_rng(0).normal(size=(2, 12, 32)).astype(np.float32)
    np.testing.assert_allclose(pieces(x), block(x), atol=1e-6)
    calls, feed = [], pieces._feed
    object.__setattr__(pieces, "_feed", lambda part, key: calls.append(part.shape[1]) or feed(part, key))
    pieces(x)
    assert calls == [5, 5, 2]


def test_without_jax_it_says_what_to_install() -> None:
    for missing in ("jax", "flax"):
        code = (
            f"import sys; sys.modules['{missing}'] = None\n"
            "try:\n    import distilbert.jax\nexcept ImportError as error:\n    print(error)"
        )
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert f"The JAX wing needs the package {missing}" in said
        assert "pip install 'distilbert[jax]'" in said
