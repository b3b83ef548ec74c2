"""Files of TensorFlow and Flax that are cut or changed: read, or refused in one sentence of ours."""

import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bounds import bounded
from hostile_files import HEAD, RECORD, index_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distilbert.core.bin_writer import write_bin
from distilbert.core.google_files import GoogleFile
from distilbert.core.h5_files import H5File
from distilbert.core.h5_writer import write_h5
from distilbert.core.msgpack_files import MsgpackFile
from distilbert.core.msgpack_writer import write_msgpack
from distilbert.errors import CheckpointError, OutputError

h5py = pytest.importorskip("h5py", reason="h5py is not installed: pip install 'distilbert[convert]'")

KINDS: dict[str, Any] = {"h5": H5File, "msgpack": MsgpackFile}


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shapes = {
        "distilbert.embeddings.word_embeddings.weight": (9, 4),
        "distilbert.embeddings.LayerNorm.weight": (4,),
        "distilbert.embeddings.LayerNorm.bias": (4,),
        "classifier.weight": (2, 4),
        "classifier.bias": (2,),
    }
    return {name: rng.normal(size=shape).astype("f4") for name, shape in shapes.items()}


def write(kind: str, path: Path, named: dict[str, np.ndarray] | None = None) -> Path:
    named = arrays() if named is None else named
    if kind == "h5":
        write_h5(path, named, base="distilbert.")
    else:
        write_msgpack(path, named)
    return path


def read(kind: str, path: Path) -> dict[str, np.ndarray]:
    with KINDS[kind](path) as file:
        found = {name: file[name] for name in file.shapes}
        assert {name: array.shape for name, array in found.items()} == file.shapes
    return found


def test_a_list_of_gaps_that_goes_around_is_not_followed(tmp_path: Path) -> None:
    """HDF5's library follows it without end, and makes room for every step."""
    content = bytearray(write("h5", tmp_path / "whole").read_bytes())
    changed, heap = 0, -1
    while (heap := content.find(b"HEAP", heap + 1)) >= 0:
        free, names = struct.unpack_from("<QQ", content, heap + 16)
        if free not in (1, 2**64 - 1):
            content[names + free : names + free + 8] = struct.pack("<Q", free)
            changed += 1
    assert changed
    (tmp_path / "around").write_bytes(content)
    found = read("h5", tmp_path / "around")
    for name, array in read("h5", tmp_path / "whole").items():
        np.testing.assert_array_equal(found[name], array)


def test_every_type_of_number_in_an_h5_file(tmp_path: Path) -> None:
    types = ["f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "?", ">f2", ">f4", ">f8", ">i2", ">i8"]
    with h5py.File(tmp_path / "tf_model.h5", "w") as file:
        for i, dtype in enumerate(types):
            file[f"many/{i}/bias:0"] = (np.arange(5) % 2).astype(dtype)
            file[f"many/{i}/bias:0"].attrs["about"] = "text"
        file["one/bias:0"] = np.float32(3)
        file["zz/other:0"] = file["many/0/bias:0"]
        for i in range(2000):  # so many that trees have branches
            file[f"group{i:04}/bias:0"] = np.full(1, i, "f4")
    found = read("h5", tmp_path / "tf_model.h5")
    for i, dtype in enumerate(types):
        array = found[f"many.{i}.bias"] if i else found.get("many.0.bias", found.get("zz.other"))
        np.testing.assert_array_equal(array, np.arange(5) % 2)
        assert array.dtype == np.dtype(dtype).newbyteorder("=")
    assert found["one.bias"] == 3
    assert [int(found[f"group{i:04}.bias"][0]) for i in range(2000)] == list(range(2000))


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_ends_early(kind: str, tmp_path: Path) -> None:
    content = write(kind, tmp_path / "whole").read_bytes()
    assert set(read(kind, tmp_path / "whole")) == set(arrays())
    for end in range(0, len(content), 19 if kind == "msgpack" else 41):
        (tmp_path / "cut").write_bytes(content[:end])
        with pytest.raises(CheckpointError, match="must be a whole one"):
            read(kind, tmp_path / "cut")
    (tmp_path / "more").write_bytes(content + b"\x80")
    if kind == "msgpack":
        with pytest.raises(CheckpointError, match="more than one tree"):
            read(kind, tmp_path / "more")


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_mutated_file_is_read_or_refused(kind: str, data: st.DataObject, tmp_path: Path) -> None:
    whole = tmp_path / f"whole.{kind}"
    if not whole.exists():
        write(kind, whole)
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        change = data.draw(st.sampled_from(["set", "cut", "most", "none"]))
        if change == "set":
            content[place] = data.draw(st.integers(0, 255))
        elif change == "cut":
            del content[place : place + data.draw(st.integers(1, 50))]
        else:
            content[place : place + 8] = (b"\xff" if change == "most" else b"\0") * 8
    (tmp_path / "mutated").write_bytes(content)
    with suppress(CheckpointError), bounded():
        read(kind, tmp_path / "mutated")


def test_the_plain_part_of_them_is_read(tmp_path: Path) -> None:
    """Names that look like paths are names; big-endian and half numbers are numbers."""
    with h5py.File(tmp_path / "tf_model.h5", "w") as file:
        file["one/bias:0"] = np.zeros(3, "f4")
        file["good/beta:0"] = np.arange(4, dtype=">f4")
        file["good/gamma:0"] = np.arange(4, dtype="f2")
        file["good/empty/bias:0"] = np.zeros(0, "f4")
        file["../../etc/kernel:0"] = np.zeros((2, 3), "f4")
    found = read("h5", tmp_path / "tf_model.h5")
    assert found["......etc.weight"].shape == (3, 2)
    assert found["good.empty.bias"].shape == (0,)
    assert found["good.weight"].dtype == np.float16


@pytest.mark.parametrize("kind", ["bin", "h5", "msgpack"])
def test_a_write_that_fails_leaves_the_old_file(
    kind: str, tmp_path: Path, small_disk: Callable[[], Any]
) -> None:
    path = tmp_path / f"weights.{kind}"
    path.write_bytes(b"old")
    large = {"a.weight": np.zeros((300, 300), "f4")}
    with small_disk(), pytest.raises(OutputError, match="must be writable, with room for it"):
        if kind == "bin":
            write_bin(path, large)
        else:
            write(kind, path, large)
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_mutated_checkpoint_is_read_or_refused(data: st.DataObject, tmp_path: Path) -> None:
    (tmp_path / "a.ckpt.data-00000-of-00001").write_bytes(b"\0" * 8)
    path = tmp_path / "a.ckpt.index"
    content = bytearray(index_of({**HEAD, b"a": RECORD}))
    path.write_bytes(content)
    with GoogleFile(path) as file:
        np.testing.assert_array_equal(file["a"], np.zeros(2))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(CheckpointError), bounded(), GoogleFile(path) as file:
        assert all(file[name].shape == shape for name, shape in file.shapes.items())


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    names=st.lists(st.binary(max_size=4), max_size=6),
    records=st.lists(
        st.sampled_from([RECORD, RECORD * 2, RECORD[:4], b"", HEAD[b""]]), min_size=6, max_size=6
    ),
    times=st.integers(0, 3),
    packing=st.integers(0, 1),
)
def test_a_table_of_any_blocks_is_read_or_refused(
    names: list[bytes], records: list[bytes], times: int, packing: int, tmp_path: Path
) -> None:
    (tmp_path / "a.ckpt.data-00000-of-00001").write_bytes(b"\0" * 8)
    entries = {**HEAD, **dict(zip(names, records, strict=False))}
    (tmp_path / "a.ckpt.index").write_bytes(index_of(entries, times=times, packing=packing))
    with suppress(CheckpointError), bounded(), GoogleFile(tmp_path / "a.ckpt.index") as file:
        assert all(file[name].shape == shape for name, shape in file.shapes.items())
