"""Weights of the Keras wing: first ones, from every kind of file, and to and from PyTorch and JAX."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from keras_twins import twin_of
from tiny import CLASSES, tiny, tiny_config

import distilbert
from distilbert.errors import CheckpointError, ConfigError

pytest.importorskip("keras", reason="Keras is not installed: pip install 'distilbert[keras]'")

import distilbert.keras as wing  # after the skip
from distilbert.keras.embeddings import sinusoids

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
    import distilbert.jax as jax_wing

    model = tiny(name, n_layers=1)
    model.save_pretrained(tmp_path / "torch")
    twin, report = getattr(wing, f"TF{name}").from_pretrained(tmp_path / "torch", output_loading_info=True)
    assert not report.missing
    assert not report.unexpected
    twin.save_pretrained(tmp_path / "keras")
    for other in (distilbert, jax_wing):
        again = getattr(other, name).from_pretrained(tmp_path / "keras")
        assert_same(again.arrays(), model.arrays())
    assert again.config.architectures == [name]
    assert twin.num_parameters() == model.num_parameters()
    files = [sorted(path.name for path in (tmp_path / kind).iterdir()) for kind in ("torch", "keras")]
    assert files[0] == files[1]


@pytest.mark.parametrize("head", ["", "ForMaskedLM", "ForSequenceClassification", "ForMultipleChoice",
                                  "ForTokenClassification", "ForQuestionAnswering"])  # fmt: skip
def test_a_folder_says_which_class_it_wants(head: str, tmp_path: Path) -> None:
    chooser = getattr(wing, f"TFAutoModel{head}")
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
    base = wing.DistilBertModel.from_pretrained(tmp_path / kind, dtype="bfloat16")
    assert {array.dtype.name for array in base.arrays().values()} == {"bfloat16"}


def test_weights_that_are_missing_are_drawn_with_a_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tiny("DistilBertModel", n_layers=1).save_pretrained(tmp_path)
    read = wing.DistilBertForTokenClassification.from_pretrained
    twins = [read(tmp_path, seed=seed) for seed in (0, 0, 1, None)]
    assert "classifier.weight, classifier.bias: they are drawn anew" in caplog.text
    first, again, other, unseeded = (twin.arrays()["classifier.weight"] for twin in twins)
    np.testing.assert_array_equal(first, again)
    assert min(np.abs(first - other).max(), np.abs(first - unseeded).max()) > 1e-3
    with pytest.raises(CheckpointError, match=r"word_embeddings\.weight is \[60, 32\], should be \[61, 32\]"):
        wing.DistilBertModel.from_pretrained(tmp_path, vocab_size=61)
    with pytest.raises(ConfigError, match=r"a field of the configuration.*nonsense"):
        wing.DistilBertModel.from_pretrained(tmp_path, nonsense=1)


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
    # Sines do not learn.
    assert model.num_parameters() - model.num_parameters(only_trainable=True) == 24 * 64


def test_paths_of_variables_are_those_of_the_published_names() -> None:
    twin = twin_of(tiny("DistilBertForMaskedLM", n_layers=1), name="student")
    paths = {variable.path for variable in twin.trainable_variables}
    assert "student/distilbert/transformer/layer_0/attention/q_lin/kernel" in paths
    assert "student/vocab_projector/bias" in paths
    assert len(paths) == len(twin.arrays())


def test_pruned_as_pytorch_prunes(tmp_path: Path) -> None:
    model = tiny("DistilBertForSequenceClassification")
    twin = twin_of(model)
    ids = np.arange(1, 25).reshape(2, 12)
    whole = twin.predict(ids, verbose=0).logits  # a graph of what there was before
    paths = [variable.path for variable in twin.variables]
    for one in (model, twin):
        one.prune_heads({0: [0, 2], -1: [3]})
    with pytest.raises(ConfigError, match="heads_to_prune"):
        twin.prune_heads({0: [-1]})
    with pytest.raises(ConfigError):
        twin.prune_heads({0: [1, 3]})
    assert twin.config.pruned_heads == {0: [0, 2], 1: [3]}
    assert_same(twin.arrays(), model.arrays())
    assert sorted(variable.path for variable in twin.variables) == sorted(paths)
    twin.save_pretrained(tmp_path)
    again = wing.DistilBertForSequenceClassification.from_pretrained(tmp_path)
    with torch.no_grad():
        told = model(torch.from_numpy(ids)).logits.numpy()
    for one in (twin, again):
        np.testing.assert_allclose(one(ids).logits, told, atol=2e-5)
    np.testing.assert_allclose(twin.predict(ids, verbose=0).logits, told, atol=2e-5)
    assert np.abs(whole - told).max() > 1e-3
    twin.compile("sgd")
    twin.fit(ids, np.array([0, 1]), verbose=0)
    assert all(
        (twin.arrays()[key] != array).any() for key, array in model.arrays().items() if "q_lin.weight" in key
    )


def test_without_keras_it_says_what_to_install() -> None:
    for missing in ("keras", "tensorflow"):
        code = (
            f"import sys; sys.modules['{missing}'] = None\n"
            "try:\n    import distilbert.keras\nexcept ImportError as error:\n    print(error)"
        )
        said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
        assert f"The Keras wing needs the package {missing}" in said
        assert "pip install 'distilbert[keras]'" in said


def test_runs_without_tensorflow_say_what_to_install() -> None:
    """Models of Keras compute with JAX without it, and runs do not."""
    code = (
        "import os, sys; os.environ['KERAS_BACKEND'] = 'jax'; sys.modules['tensorflow'] = None\n"
        "import distilbert.keras\n"
        "for name in ('finetune', 'distill', 'predictor', 'evaluate'):\n"
        "    try:\n        __import__(f'distilbert.keras.{name}')\n"
        "    except ImportError as error:\n        print(error)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.count("What is computed with TensorFlow needs the package tensorflow") == 4
    assert said.count("pip install 'distilbert[keras]'") == 4
