"""Weights in and out: whole files, damaged files, and an account of every key."""

import json
import time
from pathlib import Path
from typing import ClassVar

import ml_dtypes
import numpy as np
import pytest
from hostile_files import HEAD, RECORD, index_of
from safetensors.numpy import load_file, save_file

from distilbert import BertConfig, DistilBertConfig
from distilbert.core.checkpoint import count_weights, match, read_weights, write_weights
from distilbert.core.mapped_files import MAX_ARRAYS
from distilbert.core.parameters import Head, Role, manifest
from distilbert.core.weight_files import Weights, write_arrays
from distilbert.errors import CheckpointError, OutputError

SMALL = DistilBertConfig(vocab_size=9, max_position_embeddings=5, n_layers=1, n_heads=2, dim=4, hidden_dim=6)


def random_arrays(config, head: Head = Head.MASKED_LM, dtype=np.float32):
    rng = np.random.default_rng(0)
    return {p.key: rng.normal(size=p.shape).astype(dtype) for p in manifest(config, head) if not p.tied_to}


@pytest.mark.parametrize("head", Head)
@pytest.mark.parametrize("kind", [DistilBertConfig, BertConfig])
def test_the_manifest_is_the_peers_state(kind: type, head: Head) -> None:
    """Every key and shape that the peer saves, and no other."""
    import transformers

    suffix = "Model" if head is Head.NONE else f"For{head.value.title().replace(' ', '').replace('Lm', 'LM')}"
    config = kind(n_layers=1, n_heads=2, dim=4, hidden_dim=6, vocab_size=9, max_position_embeddings=5)
    peer_config = getattr(transformers, kind.__name__)(**config.to_dict())
    peer = getattr(transformers, kind.__name__.replace("Config", suffix))(peer_config)
    theirs = {name: tuple(t.shape) for name, t in peer.state_dict().items()}
    theirs.pop("cls.predictions.decoder.bias", None)  # a second name of the same bias
    assert {p.file_key: p.shape for p in manifest(config, head)} == theirs


def test_roles_decide_what_decays() -> None:
    kept = {p.key for p in manifest(SMALL, Head.MASKED_LM) if not p.role.decays}
    assert all("norm" in key.lower() or key.endswith(".bias") for key in kept)
    assert sum(p.role is Role.KERNEL for p in manifest(SMALL)) == 6 * SMALL.n_layers


@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64, ml_dtypes.bfloat16])
def test_what_was_written_is_read(tmp_path: Path, dtype: type) -> None:
    arrays = random_arrays(SMALL, dtype=dtype)
    parameters = manifest(SMALL, Head.MASKED_LM)
    write_weights(tmp_path, arrays, parameters)
    read, report = read_weights(tmp_path, parameters, SMALL)
    assert report.missing == report.unexpected == ()
    assert read.keys() == arrays.keys()
    for key, array in arrays.items():
        assert read[key].dtype == array.dtype
        np.testing.assert_array_equal(read[key], array)
    assert count_weights(tmp_path) == sum(array.size for array in arrays.values())


def test_written_files_are_as_readable_as_others(tmp_path: Path) -> None:
    (tmp_path / "usual").touch()
    write_weights(tmp_path, random_arrays(SMALL), manifest(SMALL, Head.MASKED_LM))
    written, usual = (tmp_path / name for name in ("model.safetensors", "usual"))
    assert written.stat().st_mode == usual.stat().st_mode
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "usual"]


def test_base_into_head_and_head_into_base(tmp_path: Path) -> None:
    write_weights(tmp_path, random_arrays(SMALL, Head.NONE), manifest(SMALL))
    arrays, report = read_weights(tmp_path, manifest(SMALL, Head.SEQUENCE_CLASSIFICATION), SMALL)
    assert {key.split(".")[0] for key in report.missing} == {"pre_classifier", "classifier"}
    assert all(key.startswith("distilbert.") for key in arrays)

    write_weights(tmp_path, random_arrays(SMALL), manifest(SMALL, Head.MASKED_LM))
    arrays, report = read_weights(tmp_path, manifest(SMALL), SMALL)
    assert report.missing == ()
    assert {key.split(".")[0] for key in report.unexpected} == {
        "vocab_transform", "vocab_layer_norm", "vocab_projector",
    }  # fmt: skip


def test_a_tied_array_in_the_file_is_accounted_for(tmp_path: Path) -> None:
    write_weights(tmp_path, random_arrays(SMALL), manifest(SMALL, Head.MASKED_LM))
    path = tmp_path / "model.safetensors"
    stored = load_file(path)
    stored["vocab_projector.weight"] = stored["distilbert.embeddings.word_embeddings.weight"].copy()
    stored["distilbert.embeddings.position_ids"] = np.arange(5)[None]
    save_file(stored, path)
    _, report = read_weights(tmp_path, manifest(SMALL, Head.MASKED_LM), SMALL)
    assert report.missing == report.unexpected == ()


def test_every_key_of_a_file_is_in_the_report(tmp_path: Path) -> None:
    """Indices, tied arrays, second names and strangers; of a tied array the shape counts."""
    arrays = random_arrays(SMALL)
    parameters = manifest(SMALL, Head.MASKED_LM)
    write_weights(tmp_path, arrays, parameters)
    held = load_file(tmp_path / "model.safetensors")
    norm = "distilbert.embeddings.LayerNorm"
    more = {
        "vocab_projector.weight": np.zeros((9, 4), "f4"),
        f"{norm}.gamma": np.zeros(4, "f4"),
        "embeddings.LayerNorm.bias": np.zeros(4, "f4"),
        "distilbert.embeddings.position_ids": np.zeros(5, "i8"),
        "stranger": np.zeros(1, "f4"),
    }
    save_file({**held, **more}, tmp_path / "model.safetensors")
    _, report = read_weights(tmp_path, parameters, SMALL)
    assert report.unexpected == ("stranger",)
    assert set(report.set_aside) == more.keys() - {"stranger"}
    assert set(report.loaded) == arrays.keys()
    more["vocab_projector.weight"] = np.zeros((7, 3), "f4")
    save_file({**held, **more}, tmp_path / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"vocab_projector\.weight is \[7, 3\], should be \[9, 4\]"):
        read_weights(tmp_path, parameters, SMALL)


def test_every_mismatched_shape_is_listed(tmp_path: Path) -> None:
    write_weights(tmp_path, random_arrays(SMALL), manifest(SMALL, Head.MASKED_LM))
    wider = DistilBertConfig(
        vocab_size=9, max_position_embeddings=7, n_layers=1, n_heads=2, dim=4, hidden_dim=8
    )
    with pytest.raises(CheckpointError) as refused:
        read_weights(tmp_path, manifest(wider, Head.MASKED_LM), wider)
    for part in ("position_embeddings.weight is [5, 4], should be [7, 4]", "lin1.weight", "lin2.weight"):
        assert part in str(refused.value)
    assert str(refused.value).count("should be") == 4


def truncated(content: bytes) -> bytes:
    return content[: len(content) // 2]


def empty(content: bytes) -> bytes:
    return b""


def lying_header_length(content: bytes) -> bytes:
    return (2**62).to_bytes(8, "little") + content[8:]


def overwritten_header(content: bytes) -> bytes:
    return content[:20] + b"\x00" * 40 + content[60:]


def out_of_range(content: bytes) -> bytes:
    return content.replace(b'"data_offsets":[0,', b'"data_offsets":[9,', 1)


@pytest.mark.parametrize("damage", [truncated, empty, lying_header_length, overwritten_header, out_of_range])
def test_a_damaged_file_is_one_error_of_ours(tmp_path: Path, damage: object) -> None:
    write_weights(tmp_path, random_arrays(SMALL), manifest(SMALL, Head.MASKED_LM))
    path = tmp_path / "model.safetensors"
    whole = path.read_bytes()
    path.write_bytes(damage(whole))
    assert path.read_bytes() != whole, "the damage is real"
    with pytest.raises(CheckpointError, match="must be a whole safetensors file. Received: .*model.safetens"):
        read_weights(tmp_path, manifest(SMALL, Head.MASKED_LM), SMALL)


def test_no_weights(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="must hold model.safetensors"):
        read_weights(tmp_path, manifest(SMALL), SMALL)


def test_a_place_that_cannot_be_written_keeps_what_it_had(tmp_path: Path, small_disk: object) -> None:
    parameters = manifest(SMALL, Head.MASKED_LM)
    write_weights(tmp_path, random_arrays(SMALL), parameters)
    before = (tmp_path / "model.safetensors").read_bytes()
    large = DistilBertConfig(vocab_size=9000, n_layers=1, n_heads=2, dim=64, hidden_dim=6)
    with small_disk(), pytest.raises(OutputError, match="with room for it"):
        write_weights(tmp_path, random_arrays(large), manifest(large, Head.MASKED_LM))
    assert (tmp_path / "model.safetensors").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["model.safetensors"]


def test_many_unexpected_names_take_no_longer_each(tmp_path: Path) -> None:
    class File:
        shapes: ClassVar = {f"other.{i}": (1,) for i in range(MAX_ARRAYS)}

    started = time.perf_counter()
    _, report = match(File(), manifest(SMALL), SMALL, source="here")
    assert len(report.unexpected) == MAX_ARRAYS
    assert time.perf_counter() - started < 2


def test_a_tied_table_under_its_other_name(tmp_path: Path) -> None:
    arrays = random_arrays(SMALL)
    table = arrays.pop("distilbert.embeddings.word_embeddings.weight")
    write_arrays(tmp_path, {**arrays, "vocab_projector.weight": table})
    read, report = read_weights(tmp_path, manifest(SMALL, Head.MASKED_LM), SMALL)
    np.testing.assert_array_equal(read["distilbert.embeddings.word_embeddings.weight"], table)
    assert (report.missing, report.unexpected, report.set_aside) == ((), (), ())


def test_what_an_index_leaves_out_is_in_the_report(tmp_path: Path) -> None:
    parameters = manifest(SMALL, Head.MASKED_LM)
    write_weights(tmp_path, random_arrays(SMALL), parameters, max_shard_bytes=500)
    path = tmp_path / "model.safetensors.index.json"
    index = json.loads(path.read_text())
    name = "distilbert.embeddings.LayerNorm.bias"
    del index["weight_map"][name]
    path.write_text(json.dumps(index))
    _, report = read_weights(tmp_path, parameters, SMALL)
    assert (report.missing, report.set_aside) == ((name,), (name,))


def test_what_belongs_to_the_run_is_in_the_report(tmp_path: Path) -> None:
    records = {
        **HEAD,
        b"a": RECORD,
        b"a/adam_m": RECORD,
        b"global_step": RECORD.replace(b"\x08\x01", b"\x08\x07"),
    }
    (tmp_path / "bert_model.ckpt.index").write_bytes(index_of(records))
    (tmp_path / "bert_model.ckpt.data-00000-of-00001").write_bytes(b"\0" * 8)
    with Weights(tmp_path) as file:
        _, report = match(file, manifest(SMALL), SMALL, source="here")
    assert report.unexpected == ("a",)
    assert set(report.set_aside) == {"a/adam_m", "global_step"}


@pytest.mark.parametrize("other", ["x/embeddings:0", "x/weight:0"])
def test_two_names_for_one_array_are_an_error(other: str, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'distilbert[convert]'")
    with h5py.File(tmp_path / "tf_model.h5", "w") as file:
        file["x/kernel:0"] = np.zeros((2, 2), "f4")
        file[other] = np.ones((2, 2), "f4")
    with pytest.raises(CheckpointError, match="and another name for x.weight"):
        Weights(tmp_path)
