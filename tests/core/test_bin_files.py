"""``pytorch_model.bin``, as PyTorch and the peer write it, and as nobody should."""

import pickle
import subprocess
import sys
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from bounds import bounded
from hostile_files import Mischief, pickle_of, tensor_of
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from distilbert import DistilBertConfig, DistilBertForMaskedLM
from distilbert.core.bin_files import BinFile
from distilbert.errors import CheckpointError

SMALL = DistilBertConfig(vocab_size=9, max_position_embeddings=5, n_layers=1, n_heads=2, dim=4, hidden_dim=6)


def state() -> "OrderedDict[str, torch.Tensor]":
    """Every type, a view of another tensor, one turned about, one without numbers, one of no axis."""
    torch.manual_seed(0)
    table = torch.randn(6, 4)
    made = OrderedDict(
        table=table,
        tied=table,
        part=table[2:4, 1:3],
        turned=table.T,
        empty=torch.zeros(0, 4),
        one=torch.tensor(3.5),
    )
    for dtype in ("float64", "float16", "bfloat16", "int64", "int32", "int16", "int8", "uint8", "bool"):
        made[dtype] = (torch.randn(3, 2) * 5).to(getattr(torch, dtype))
    made["parameter"] = torch.nn.Parameter(torch.randn(2))
    return made


@pytest.mark.parametrize("zipped", [True, False])
def test_what_pytorch_wrote_is_read(zipped: bool, tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "a.bin", _use_new_zipfile_serialization=zipped)
    with BinFile(tmp_path / "a.bin") as file:
        assert list(file.shapes) == list(state())
        for name, tensor in state().items():
            array = file[name]
            assert array.shape == tuple(tensor.shape) == file.shapes[name]
            assert str(array.dtype) == str(tensor.dtype).removeprefix("torch.")
            np.testing.assert_array_equal(array.astype("f8"), tensor.detach().double().numpy())
        np.testing.assert_array_equal(file.rows("table", 1, 3), state()["table"][1:3].numpy())


@pytest.mark.parametrize("shard", ["10GB", 500])
def test_a_folder_of_the_peers(shard: object, tmp_path: Path) -> None:
    import transformers

    model = DistilBertForMaskedLM(SMALL).eval()
    model.save_pretrained(tmp_path / "ours")
    peer = transformers.DistilBertForMaskedLM.from_pretrained(tmp_path / "ours")
    peer.save_pretrained(tmp_path / "theirs", safe_serialization=False, max_shard_size=shard)
    assert not list((tmp_path / "theirs").glob("*.safetensors"))
    again, report = DistilBertForMaskedLM.from_pretrained(tmp_path / "theirs", output_loading_info=True)
    assert not report.missing
    assert not report.unexpected
    ids = torch.tensor([[1, 2, 3]])
    with torch.no_grad():
        assert torch.equal(again(ids).logits, model(ids).logits)


def test_it_needs_no_pytorch(tmp_path: Path) -> None:
    torch.save(state(), tmp_path / "a.bin")
    code = (
        "import sys; from pathlib import Path; from distilbert.core.bin_files import BinFile; "
        f"print(BinFile(Path({str(tmp_path / 'a.bin')!r}))['table'].shape, 'torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "(6, 4) False\n"


def test_the_mischief_is_real(tmp_path: Path) -> None:
    """The same pickle does its work where anything may be named."""
    pickle.loads(pickle.dumps(Mischief(open, str(tmp_path / "mark"), "w"))).close()
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("offset", 10**6),
        ("offset", -1),
        ("shape", (10**6, 10**6)),
        ("strides", (10**9, 1)),
        ("strides", (0, 0)),
    ],
)
def test_a_view_beyond_its_storage_is_refused(change: str, value: object, tmp_path: Path) -> None:
    from dataclasses import replace

    torch.save(state(), tmp_path / "a.bin")
    with BinFile(tmp_path / "a.bin") as file:
        tensor = replace(file._tensors["table"], **{change: value})
        if change == "strides" and value == (0, 0):
            tensor = replace(tensor, shape=(1000, 1000))
        file._tensors["table"] = tensor
        with pytest.raises(CheckpointError, match="storage"):
            file["table"]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), zipped=st.booleans())
def test_a_mutated_file_is_read_or_refused(data: st.DataObject, zipped: bool, tmp_path: Path) -> None:
    whole = tmp_path / f"whole{zipped}"
    if not whole.exists():
        torch.save(state(), whole, _use_new_zipfile_serialization=zipped)
    content = bytearray(whole.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[place] = data.draw(st.integers(0, 255))
        else:
            del content[place : place + data.draw(st.integers(1, 50))]
    path = tmp_path / "a.bin"
    path.write_bytes(content)
    with suppress(CheckpointError), bounded(), BinFile(path) as file:
        for name, shape in file.shapes.items():
            assert file[name].shape == shape


#: What pickles are made of, good and bad: things, what is done with them, and what is remembered of them.
PARTS = [
    *(b"}", b"]", b")", b"(", b"N", b"\x88", b"K\0", b"K\1", b"X\1\0\0\0a", b"\x8a\x06" + b"\x7f" * 6),
    *(b"t", b"\x85", b"\x86", b"\x87", b"s", b"u", b"a", b"e", b"R", b"Q", b"b", b"\x94"),
    *(b"q\0", b"h\0", b"q\1", b"h\1", b"r\xff\xff\xff\x7f", b"0", b"2"),
    *(b"\x81", b"o", b"\x8f", b"\x96" + b"\x7f" * 8),
    *(b"ccollections\nOrderedDict\n", b"ctorch\nFloatStorage\n", b"cos\nsystem\n"),
    *(b"ctorch._utils\n_rebuild_tensor_v2\n", b"ctorch._utils\n_rebuild_parameter\n"),
    tensor_of(b"K\1\x85"), tensor_of(b")"), tensor_of(b"h\0"),
    b"h\0h\0\x86q\0" * 40, b"}X\1\0\0\0a" + tensor_of(b"K\1\x85") + b"s",
]  # fmt: skip


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=st.lists(st.sampled_from(PARTS), max_size=40))
def test_a_pickle_of_any_steps_is_read_or_refused(parts: list[bytes], tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(pickle_of(b")q\0", *parts))
    with suppress(CheckpointError), bounded(), BinFile(tmp_path / "a.bin") as file:
        for name, shape in file.shapes.items():
            assert file[name].shape == shape
