"""Shards, slices, and files that mean harm."""

import json
from pathlib import Path

import numpy as np
import pytest
from bounds import bounded
from hostile_files import entry, file_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distilbert import DistilBertConfig, DistilBertForMaskedLM
from distilbert.core.checkpoint import read_weights, write_weights
from distilbert.core.parameters import Head, manifest
from distilbert.core.weight_files import Weights, write_arrays
from distilbert.errors import CheckpointError

SMALL = DistilBertConfig(vocab_size=9, max_position_embeddings=5, n_layers=1, n_heads=2, dim=4, hidden_dim=6)
INDEX = "model.safetensors.index.json"


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        p.key: rng.normal(size=p.shape).astype("f4") for p in manifest(SMALL, Head.MASKED_LM) if not p.tied_to
    }


def test_shards_go_both_ways(tmp_path: Path) -> None:
    import torch
    import transformers

    model = DistilBertForMaskedLM(SMALL).eval()
    model.save_pretrained(tmp_path / "ours", max_shard_size=500)
    assert len(list((tmp_path / "ours").glob("model-*-of-*.safetensors"))) > 2
    ids = torch.tensor([[1, 2, 3]])
    peer, report = transformers.DistilBertForMaskedLM.from_pretrained(
        tmp_path / "ours", output_loading_info=True
    )
    assert not any(report.values())
    peer.save_pretrained(tmp_path / "theirs", max_shard_size=500)
    assert (tmp_path / "theirs" / INDEX).exists()
    again = DistilBertForMaskedLM.from_pretrained(tmp_path / "theirs")
    with torch.no_grad():
        assert torch.equal(again(ids).logits, model(ids).logits)
        assert (peer.eval()(ids).logits - model(ids).logits).abs().max() <= 1e-5


def test_a_later_save_is_the_one_that_is_read(tmp_path: Path) -> None:
    """Whole over shards, and shards over whole."""
    parameters = manifest(SMALL, Head.MASKED_LM)
    for limit in (500, 10**9, 500):
        made = {key: array + limit for key, array in arrays().items()}
        write_weights(tmp_path, made, parameters, max_shard_bytes=limit)
        read, _ = read_weights(tmp_path, parameters, SMALL)
        for key, array in made.items():
            np.testing.assert_array_equal(read[key], array)


def test_rows_of_an_array(tmp_path: Path) -> None:
    write_arrays(tmp_path, {"table": np.arange(40).reshape(10, 4)})
    with Weights(tmp_path) as weights:
        np.testing.assert_array_equal(weights.rows("table", 2, 5), np.arange(8, 20).reshape(3, 4))


@pytest.mark.parametrize(
    "places",
    [
        None,
        [],
        {"a": 5},
        {"a": "../outside.safetensors"},
        {"a": "/etc/passwd"},
        {"a": "nosuch.safetensors"},
        {"a": "notes.txt"},
        {"nosuch": "model-00001-of-00002.safetensors"},
    ],
)
def test_an_index_that_lies(places: object, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    write_arrays(folder, {"a": np.zeros(300), "b": np.zeros(300)}, max_shard_bytes=3000)
    write_arrays(tmp_path, {"a": np.zeros(3)})
    (tmp_path / "model.safetensors").rename(tmp_path / "outside.safetensors")
    (folder / "notes.txt").write_text("no weights")
    (folder / INDEX).write_text(json.dumps({"weight_map": places}))
    with pytest.raises(CheckpointError, match="must list the files beside it"):
        Weights(folder)


def test_a_key_that_stands_twice_is_an_error(tmp_path: Path) -> None:
    one = json.dumps(entry([16], 0, 64))
    (tmp_path / "model.safetensors").write_bytes(file_of(f'{{"a": {one}, "a": {one}}}'.encode()))
    with pytest.raises(CheckpointError, match="a name that stands twice"):
        Weights(tmp_path)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_mutated_file_is_read_or_refused(data: st.DataObject, tmp_path: Path) -> None:
    """Whatever byte is changed, cut or put in: arrays of the right shapes, or one error of ours."""
    parameters = manifest(SMALL, Head.MASKED_LM)
    path = tmp_path / "model.safetensors"
    if not (tmp_path / "whole").exists():
        write_weights(tmp_path, arrays(), parameters)
        path.rename(tmp_path / "whole")
    content = bytearray((tmp_path / "whole").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        header = data.draw(st.booleans())
        place = data.draw(st.integers(0, min(len(content), 2500 if header else len(content)) - 1))
        change = data.draw(st.sampled_from(["set", "cut", "insert"]))
        if change == "set":
            content[place] = data.draw(st.integers(0, 255))
        elif change == "cut":
            del content[place : place + data.draw(st.integers(1, 50))]
        else:
            content[place:place] = data.draw(st.binary(min_size=1, max_size=9))
    path.write_bytes(content)
    try:
        with bounded():
            read, _ = read_weights(tmp_path, parameters, SMALL)
    except CheckpointError:
        return
    shapes = {p.key: p.shape for p in parameters}
    assert all(array.shape == shapes[key] for key, array in read.items())
