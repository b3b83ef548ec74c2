"""Files of PyTorch, TensorFlow and Flax, in both directions, against those who write and read them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from models import CONFIGS, TEACHER, scatter
from other_frameworks import FRAMEWORKS, answer, load_peer, tensorflow

import distilbert
from distilbert import BertConfig, BertForMaskedLM, convert
from distilbert.core.checkpoint import read_weights
from distilbert.core.h5_writer import write_h5
from distilbert.core.layouts import Place, from_keras
from distilbert.core.mapped_files import MappedFile
from distilbert.core.weight_files import Weights
from distilbert.errors import CheckpointError

ATOL = 1e-5
IDS = np.array([[2, 7, 31, 5, 9, 14, 3], [1, 1, 8, 30, 4, 2, 6]])

MODELS = {
    "DistilBertModel": CONFIGS["usual"],
    "DistilBertForMaskedLM": CONFIGS["usual"],
    "DistilBertForSequenceClassification": CONFIGS["odd width"],
    "BertForMaskedLM": TEACHER,
    "BertForSequenceClassification": TEACHER,
}


def saved(name: str, folder: Path) -> Any:
    """A model of ours with weights that matter, also in ``folder``."""
    model = scatter(getattr(distilbert, name)(MODELS[name]))
    model.save_pretrained(folder)
    return model


def peers(name: str, kind: str, folder: Path) -> Any:
    """The peer's model in TensorFlow or Flax with the weights in ``folder``, by the peer's own conversion."""
    import transformers

    peer = getattr(transformers, name).from_pretrained(folder)
    peer.save_pretrained(folder / "bin", safe_serialization=False)
    return load_peer(name, FRAMEWORKS[kind], folder / "bin", from_pt=True)


def ours(model: torch.nn.Module) -> np.ndarray:
    with torch.no_grad():
        return model(torch.from_numpy(IDS))[0].numpy()


def assert_same_arrays(one: Path, other: Path) -> None:
    with Weights(one) as first, Weights(other) as second:
        # TensorFlow has the name of the encoder in base models too.
        extra = "distilbert." * (len(set(second.shapes) & set(first.shapes)) == 0)
        assert {extra + name: shape for name, shape in first.shapes.items()} == second.shapes
        for name, shape in first.shapes.items():
            array = second[extra + name]
            np.testing.assert_array_equal(first[name], array)
            assert array.dtype == first[name].dtype
            assert array.shape == shape
            if shape and shape[0] > 3:
                np.testing.assert_array_equal(second.rows(extra + name, 1, 3), array[1:3])


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", FRAMEWORKS)
def test_what_we_write_the_peer_reads(kind: str, name: str, tmp_path: Path) -> None:
    model = saved(name, tmp_path / "ours")
    made = convert(tmp_path / "ours", to=kind, out=tmp_path / "theirs")
    assert made.arrays == len(Weights(tmp_path / "ours").shapes)
    assert not list((tmp_path / "theirs").glob("*.safetensors"))
    assert_same_arrays(tmp_path / "ours", tmp_path / "theirs")
    peer = load_peer(name, FRAMEWORKS[kind], tmp_path / "theirs")
    assert np.abs(answer(peer, IDS) - ours(model)).max() <= ATOL


@pytest.mark.parametrize("how", ["whole", "shards", "safetensors"])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", FRAMEWORKS)
def test_what_the_peer_writes_we_read(kind: str, name: str, how: str, tmp_path: Path) -> None:
    model = saved(name, tmp_path / "ours")
    peer = peers(name, kind, tmp_path / "ours")
    settings = {"whole": {}, "shards": {"max_shard_size": "9KB"}, "safetensors": {"safe_serialization": True}}
    peer.save_pretrained(tmp_path / "theirs", **settings[how])
    ending = "safetensors" if how == "safetensors" else kind
    assert len(list((tmp_path / "theirs").glob(f"*.{ending}"))) > 2 * (how == "shards")
    again, report = type(model).from_pretrained(tmp_path / "theirs", output_loading_info=True)
    assert not report.missing
    # A BERT's pooler belongs to the peer's base model and to none of ours.
    assert not report.unexpected
    for key, tensor in model.state_dict().items():
        assert torch.equal(again.state_dict()[key], tensor), key
    assert np.abs(answer(peer, IDS) - ours(again)).max() <= ATOL


def test_shards_of_tensorflow_in_safetensors(tmp_path: Path) -> None:
    saved("DistilBertForMaskedLM", tmp_path / "ours")
    peer = peers("DistilBertForMaskedLM", "h5", tmp_path / "ours")
    peer.save_pretrained(tmp_path / "theirs", safe_serialization=True, max_shard_size="9KB")
    assert len(list((tmp_path / "theirs").glob("*.safetensors"))) > 2
    assert_same_arrays(tmp_path / "ours", tmp_path / "theirs")


@pytest.mark.parametrize("name", MODELS)
def test_what_we_write_pytorch_reads(name: str, tmp_path: Path) -> None:
    import transformers

    model = saved(name, tmp_path / "ours")
    convert(tmp_path / "ours", to="bin", out=tmp_path / "theirs")
    assert_same_arrays(tmp_path / "ours", tmp_path / "theirs")
    path = tmp_path / "theirs" / "pytorch_model.bin"
    with Weights(tmp_path / "ours") as file:
        for mmap in (False, True):
            state = torch.load(path, weights_only=True, mmap=mmap)
            assert list(state) == list(file.shapes)
            for key, tensor in state.items():
                np.testing.assert_array_equal(tensor.numpy(), file[key])
    peer, report = getattr(transformers, name).from_pretrained(tmp_path / "theirs", output_loading_info=True)
    # A BERT's pooler belongs to the peer's base model and to none of ours.
    assert not any(report.values())
    with torch.no_grad():
        assert np.abs(peer.eval()(torch.from_numpy(IDS))[0].numpy() - ours(model)).max() <= ATOL


@pytest.mark.parametrize("kind", FRAMEWORKS)
def test_a_kernel_the_wrong_way_round_gives_other_answers(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where all kernels are square, no shape tells."""
    square = distilbert.DistilBertConfig(
        vocab_size=40, max_position_embeddings=9, n_layers=2, n_heads=2, dim=16, hidden_dim=16
    )
    model = scatter(distilbert.DistilBertForMaskedLM(square))
    model.save_pretrained(tmp_path / "ours")
    convert(tmp_path / "ours", to=kind, out=tmp_path / "theirs")
    right = type(model).from_pretrained(tmp_path / "theirs")
    assert np.array_equal(ours(right), ours(model))
    init = MappedFile.__init__

    def unturned(self: MappedFile, path: Path) -> None:
        init(self, path)
        self._places = {name: (stored, False) for name, (stored, _) in self._places.items()}

    monkeypatch.setattr(MappedFile, "__init__", unturned)
    wrong = type(model).from_pretrained(tmp_path / "theirs")
    assert np.abs(ours(wrong) - ours(model)).max() > 0.1


def test_half_precision_of_flax(tmp_path: Path) -> None:
    model = saved("DistilBertForMaskedLM", tmp_path / "ours")
    peer = peers("DistilBertForMaskedLM", "msgpack", tmp_path / "ours")
    for dtype in ("bfloat16", "float16"):
        half = getattr(peer, {"bfloat16": "to_bf16", "float16": "to_fp16"}[dtype])(peer.params)
        peer.save_pretrained(tmp_path / dtype, params=half)
        with Weights(tmp_path / dtype) as file, Weights(tmp_path / "ours") as whole:
            for name in whole.shapes:
                expected = torch.from_numpy(whole[name]).to(getattr(torch, dtype)).float().numpy()
                assert file[name].dtype.name == dtype
                np.testing.assert_array_equal(file[name].astype("f4"), expected)
        again = type(model).from_pretrained(tmp_path / dtype)
        assert 0 < np.abs(ours(again) - ours(model)).max() < 0.5


def test_long_arrays_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As Flax writes and reads arrays of more than a gigabyte, at a smaller limit."""
    serialization = pytest.importorskip("flax.serialization", reason="Flax is not installed")
    saved("DistilBertForMaskedLM", tmp_path / "ours")
    monkeypatch.setattr("distilbert.core.msgpack_writer.MAX_CHUNK_BYTES", 1000)
    convert(tmp_path / "ours", to="msgpack", out=tmp_path / "theirs")
    assert_same_arrays(tmp_path / "ours", tmp_path / "theirs")
    content = (tmp_path / "theirs" / "flax_model.msgpack").read_bytes()
    tree = serialization.msgpack_restore(content)
    monkeypatch.setattr(serialization, "MAX_CHUNK_SIZE", 1000)
    assert content.count(b"__msgpack_chunked_array__") > 5
    (tmp_path / "theirs" / "flax_model.msgpack").write_bytes(serialization.msgpack_serialize(tree))
    assert_same_arrays(tmp_path / "ours", tmp_path / "theirs")
    monkeypatch.undo()
    load_peer("DistilBertForMaskedLM", "Flax", tmp_path / "theirs")


#: Google's names, by what stands in the published ones.
GOOGLE = (
    (".layer.", "/layer_"), (".", "/"), ("LayerNorm/weight", "LayerNorm/gamma"),
    ("LayerNorm/bias", "LayerNorm/beta"), ("embeddings/weight", "embeddings"),
    ("seq_relationship/weight", "seq_relationship/output_weights"),
    ("seq_relationship/bias", "seq_relationship/output_bias"),
    ("predictions/bias", "predictions/output_bias"),
    ("dense/weight", "dense/kernel"), ("query/weight", "query/kernel"), ("key/weight", "key/kernel"),
    ("value/weight", "value/kernel"),
    ("classifier/weight", "output_weights"), ("classifier/bias", "output_bias"),
)  # fmt: skip


def write_google(folder: Path, arrays: dict[str, np.ndarray], *, prefix: str = "bert_model.ckpt") -> None:
    """A checkpoint as Google's code saves it, with what its optimiser remembers."""
    tf = tensorflow().compat.v1
    with tf.Graph().as_default(), tf.Session() as session:
        variables = [tf.get_variable("global_step", initializer=np.int64(5))]
        for name, array in arrays.items():
            for ours, theirs in GOOGLE:
                name = name.replace(ours, theirs)
            array = array.T if name.endswith("kernel") else array
            variables.append(tf.get_variable(name, initializer=array))
            variables += [tf.get_variable(f"{name}/adam_{m}", initializer=array * 0) for m in "mv"]
        session.run(tf.global_variables_initializer())
        tf.train.Saver(variables).save(session, str(folder / prefix), write_meta_graph=False)
    (folder / "checkpoint").unlink()


def google_folder(folder: Path) -> Any:
    """A BERT as Google publishes them, and the same model of ours."""
    model = saved("BertForMaskedLM", folder / "ours")
    rng = np.random.default_rng(0)
    width = TEACHER.dim
    with Weights(folder / "ours") as file:
        arrays = {name: file[name] for name in file.shapes}
    arrays["bert.pooler.dense.weight"] = rng.normal(size=(width, width)).astype("f4")
    arrays["bert.pooler.dense.bias"] = rng.normal(size=width).astype("f4")
    arrays["cls.seq_relationship.weight"] = rng.normal(size=(2, width)).astype("f4")
    arrays["cls.seq_relationship.bias"] = rng.normal(size=2).astype("f4")
    (folder / "google").mkdir()
    write_google(folder / "google", arrays)
    fields = json.loads((folder / "ours" / "config.json").read_text())
    fields = {name: fields[name] for name in (
        "vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size",
        "max_position_embeddings", "type_vocab_size",
    )}  # fmt: skip
    (folder / "google" / "bert_config.json").write_text(json.dumps({**fields, "directionality": "bidi"}))
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"w{i}" for i in range(55))]
    (folder / "google" / "vocab.txt").write_text("\n".join(tokens) + "\n")
    return model, arrays


def test_googles_checkpoints(tmp_path: Path) -> None:
    import transformers
    from transformers.models.bert.modeling_bert import load_tf_weights_in_bert

    model, arrays = google_folder(tmp_path)
    google = tmp_path / "google"
    with Weights(google) as file:
        assert set(file.shapes) == set(arrays)
        for name, array in arrays.items():
            np.testing.assert_array_equal(file[name], array)
            np.testing.assert_array_equal(file.rows(name, 1, 2), array[1:2])
    again, report = BertForMaskedLM.from_pretrained(google, output_loading_info=True)
    assert not report.missing
    assert np.array_equal(ours(again), ours(model))
    assert isinstance(distilbert.core.config.read_config(google), BertConfig)
    tokenizer = distilbert.DistilBertTokenizerFast.from_pretrained(google)
    assert tokenizer("w3 w0").input_ids == [2, 8, 5, 3]

    config = transformers.BertConfig.from_pretrained(tmp_path / "ours")
    peer = load_tf_weights_in_bert(
        transformers.BertForPreTraining(config), config, str(google / "bert_model.ckpt")
    )
    with torch.no_grad():
        theirs = peer.eval()(torch.from_numpy(IDS)).prediction_logits.numpy()
    assert np.abs(theirs - ours(again)).max() <= ATOL

    convert(google, to="safetensors", out=tmp_path / "published")
    peer, report = transformers.BertForPreTraining.from_pretrained(
        tmp_path / "published", output_loading_info=True
    )
    assert not any(report.values())
    with torch.no_grad():
        assert np.array_equal(peer.eval()(torch.from_numpy(IDS)).prediction_logits.numpy(), theirs)
    assert transformers.AutoTokenizer.from_pretrained(tmp_path / "published").tokenize("w3") == ["w3"]


def test_googles_classifiers_and_several_steps(tmp_path: Path) -> None:
    model = saved("BertForSequenceClassification", tmp_path)
    with Weights(tmp_path) as file:
        arrays = {name: file[name] for name in file.shapes}
    (tmp_path / "model.safetensors").unlink()
    write_google(tmp_path, arrays, prefix="model.ckpt-7")
    again = type(model).from_pretrained(tmp_path)
    assert np.array_equal(ours(again), ours(model))
    write_google(tmp_path, arrays, prefix="model.ckpt-9")
    with pytest.raises(
        CheckpointError, match=r"weights of one model. Received: .*ckpt-7.index, model.ckpt-9"
    ):
        Weights(tmp_path)


def test_the_first_kind_of_file_is_read(tmp_path: Path) -> None:
    """safetensors, PyTorch's, TensorFlow's, Flax's: each is taken when those before it are gone."""
    saved("DistilBertModel", tmp_path / "ours")
    parameters = distilbert.core.parameters.manifest(CONFIGS["usual"])
    together = tmp_path / "together"
    together.mkdir()
    names = ["model.safetensors", "pytorch_model.bin", "tf_model.h5", "flax_model.msgpack"]
    for i, kind in enumerate(("safetensors", "bin", "h5", "msgpack")):
        model = scatter(distilbert.DistilBertModel(CONFIGS["usual"]), seed=i)
        model.save_pretrained(tmp_path / "one")
        convert(tmp_path / "one", to=kind, out=tmp_path / kind)
        (tmp_path / kind / names[i]).rename(together / names[i])
    for i, name in enumerate(names):
        expected = scatter(distilbert.DistilBertModel(CONFIGS["usual"]), seed=i).state_dict()
        arrays, _ = read_weights(together, parameters, CONFIGS["usual"])
        for key, array in arrays.items():
            np.testing.assert_array_equal(array, expected[key].numpy())
        (together / name).unlink()


def test_a_head_beside_a_base_model_keeps_its_name(tmp_path: Path) -> None:
    pytest.importorskip("h5py", reason="h5py is not installed: pip install 'distilbert[convert]'")
    named = {"embeddings.word_embeddings.weight": np.ones((5, 4)), "classifier.weight": np.ones((2, 4))}
    write_h5(tmp_path / "tf_model.h5", named, base="distilbert.")
    with Weights(tmp_path) as file:
        assert file.shapes == {
            "distilbert.embeddings.word_embeddings.weight": (5, 4),
            "classifier.weight": (2, 4),
        }


def test_names_that_keras_duplicates() -> None:
    assert from_keras("mlm___cls/predictions/transform/dense/kernel:0") == Place(
        "cls.predictions.transform.dense.weight", turned=True
    )
    assert from_keras("bert/encoder/layer_._11/output/LayerNorm/gamma:0") == Place(
        "bert.encoder.layer.11.output.LayerNorm.weight"
    )
