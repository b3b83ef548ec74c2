"""Files that no writer writes, by what is wrong with them; a script keeps them in a folder."""

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

#: Levels that no reader of ours follows, and some of other people's do.
DEEP = 10_000


def file_of(header: object, body: bytes = b"\0" * 64) -> bytes:
    """A safetensors file with this header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


def entry(shape: list, start: int, end: int, dtype: str = "F32") -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, end]}


SAFETENSORS = {
    "overlapping": file_of({"a": entry([8], 0, 32), "b": entry([12], 16, 64)}),
    "gap": file_of({"a": entry([4], 0, 16), "b": entry([8], 32, 64)}),
    "beyond the end": file_of({"a": entry([100], 0, 400)}),
    "backwards": file_of({"a": entry([4], 32, 16)}),
    "absurd shape": file_of({"a": entry([2**40, 2**40], 0, 64)}),
    "negative shape": file_of({"a": entry([-4], 0, 64)}),
    "shape that does not fit": file_of({"a": entry([3], 0, 64)}),
    "unknown type": file_of({"a": entry([16], 0, 64, "F99")}),
    "not a number": file_of(b'{"a": {"dtype": "F32", "shape": [NaN], "data_offsets": [0, 64]}}'),
    "deep": file_of(b"[" * DEEP),
    "deep object": file_of(b'{"a":' * DEEP),
    "not UTF-8": file_of(b"\xff" * 20),
    "longer than the file": struct.pack("<Q", 2**40) + b"{}",
    "nothing": b"",
    "a list": file_of([]),
    "a name twice": file_of(b'{"a": %s, "a": %s}' % ((json.dumps(entry([16], 0, 64)).encode(),) * 2)),
    "as many axes as can be": file_of({"a": entry([1] * 1000 + [16], 0, 64)}),
    "metadata that is no text": file_of({"__metadata__": {"format": 5}, "a": entry([16], 0, 64)}),
}


class Mischief:
    """Pickles to a call."""

    def __init__(self, function: object, *arguments: object) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


def zip_of(content: bytes, *, name: str = "data.pkl", packed: bool = False) -> bytes:
    """An archive as PyTorch's, with this pickle; without the time of day, so that it can be built again."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        info = zipfile.ZipInfo(f"archive/{name}")
        info.compress_type = zipfile.ZIP_DEFLATED if packed else zipfile.ZIP_STORED
        archive.writestr(info, content)
    return stream.getvalue()


def pickle_of(*steps: bytes) -> bytes:
    """An archive with a pickle of these steps."""
    return zip_of(b"\x80\x05" + b"".join(steps) + b".")


def _text(content: str) -> bytes:
    return b"X" + struct.pack("<I", len(content)) + content.encode()


def tensor_of(shape: bytes, key: bytes = _text("0")) -> bytes:
    """The steps to a tensor of one number, of whatever shape some steps leave, and strides of the same."""
    storage = b"(" + _text("storage") + b"ctorch\nFloatStorage\n" + key + _text("cpu") + b"K\x10tQ"
    return b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\0" + shape * 2 + b"\x89NtR"


def _tree(levels: int = 40) -> bytes:
    """The steps to a tuple of a tuple twice, which is one of another twice: few bytes, no end of parts."""
    return b")q\0" + b"h\0h\0\x86q\0" * levels


def _row_of(keys: bytes) -> bytes:
    """A file of the older format without tensors, with this list of storages."""
    magic = pickle.dumps(0x1950A86A20F9469CFC6C, protocol=2)
    about = pickle.dumps({"little_endian": True}, protocol=2)
    return magic + pickle.dumps(1001, protocol=2) + about + pickle.dumps({}, protocol=2) + keys


#: Each would leave a file of this name where it is read.
MARK = "mark"


def _many_names() -> bytes:
    storage = b"(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpuJ\x00\x20\0\0tQ"
    tensor = b"ctorch._utils\n_rebuild_tensor_v2\n(" + storage + b"K\0J\x00\x20\0\0\x85K\x01\x85\x89Nt"
    names = b"".join(b"X\x02\0\0\0" + b"%02d" % i + tensor + b"R" for i in range(99))
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo("archive/data.pkl"), b"\x80\x02}(" + names + b"u.")
        archive.writestr(zipfile.ZipInfo("archive/data/0"), b"\0" * 32768)
    return stream.getvalue()


_CALLS = {
    "a command": Mischief(os.system, f"touch {MARK}"),
    "code": Mischief(exec, f"open({MARK!r}, 'w')"),
    "a file": Mischief(open, MARK, "w"),
    "an attribute": Mischief(getattr, str, "format"),
    "a tensor of code": {"a": Mischief(eval, "1")},
    "no tensors": {"a": 5},
    "a list": [1, 2],
}

BIN = {
    **{f"{name}, zipped": zip_of(pickle.dumps(call, protocol=4)) for name, call in _CALLS.items()},
    **{name: pickle.dumps(call, protocol=4) for name, call in _CALLS.items()},
    "a memo of gigabytes": zip_of(b"\x80\x02]" + pickle.LONG_BINPUT + b"\xff\xff\xff\x7f."),
    "a text of terabytes": zip_of(b"\x80\x04" + pickle.BINUNICODE8 + (2**50).to_bytes(8, "little") + b"x."),
    "a pickle that ends early": zip_of(pickle.dumps({"a": 1}, protocol=4)[:-3]),
    "a deep pickle": zip_of(b"\x80\x02" + b"]" * DEEP + b"a" * (DEEP - 1) + b"."),
    "a zip bomb": zip_of(pickle.dumps({"a": "x" * 10**7}, protocol=4), packed=True),
    "many names for the same numbers": _many_names(),
    "room for whatever it says": pickle_of(b"\x96" + struct.pack("<Q", 2**29)),
    "a name that is a tree": pickle_of(_tree(), b"}h\0K\1s"),
    "names that are trees": pickle_of(_tree(), b"}(h\0K\1u"),
    "a storage that is a tree": pickle_of(_tree(24), tensor_of(b"K\1\x85", key=b"h\0")),
    "storages that are trees": _row_of(b"\x80\x05" + _tree() + b"](h\0e."),
    "as many axes as can be": pickle_of(b"}", _text("a"), tensor_of(b"(" + b"K\1" * 1000 + b"t"), b"s"),
    "a tensor with more to say": pickle_of(b"}", _text("a"), tensor_of(b"K\1\x85")[:-2], b"NNNNNNtRs"),
    "a shape that is a text": pickle_of(b"}", _text("a"), tensor_of(_text("1")), b"s"),
    "no pickle": zip_of(b"", name="other"),
    "nothing": b"",
    "a zip that ends early": zip_of(pickle.dumps({}, protocol=4))[:40],
}


def text(content: str) -> bytes:
    """A name of up to 31 bytes, in a tree."""
    return bytes([0xA0 | len(content)]) + content.encode()


def extension(content: bytes, kind: int = 1) -> bytes:
    return b"\xc9" + struct.pack(">Ib", len(content), kind) + content


def array_of(
    shape: bytes, dtype: str = "float32", numbers: bytes = b"\0" * 8, length: int | None = None
) -> bytes:
    length = len(numbers) if length is None else length
    return extension(b"\x93" + shape + text(dtype) + b"\xc6" + struct.pack(">I", length) + numbers)


MSGPACK_CHUNKED = "__msgpack_chunked_array__"

GOOD_ARRAY = array_of(b"\x91\x02")

MSGPACK = {
    "an array larger than its bytes": b"\x81" + text("a") + array_of(b"\x92\x7f\x7f"),
    "an absurd array": b"\x81" + text("a") + array_of(b"\x92" + (b"\xcf" + b"\x7f" * 8) * 2),
    "as many axes as can be": b"\x81" + text("a") + array_of(b"\xdd\xff\xff\xff\xff"),
    "no axes and two numbers": b"\x81" + text("a") + array_of(b"\x90"),
    "a negative axis": b"\x81" + text("a") + array_of(b"\x92\xff\xfe"),
    "axes that are texts": b"\x81" + text("a") + array_of(b"\x91" + text("2")),
    "numbers that are objects": b"\x81" + text("a") + array_of(b"\x91\x01", "object"),
    "numbers of no such type": b"\x81" + text("a") + array_of(b"\x91\x01", "nonsense"),
    "numbers that are times": b"\x81" + text("a") + array_of(b"\x91\x01", "datetime64"),
    "bytes beyond the entry": b"\x81" + text("a") + array_of(b"\x91\x02", length=9),
    "fewer bytes than the entry": b"\x81" + text("a") + array_of(b"\x91\x01", length=4),
    "an entry beyond the file": b"\x81" + text("a") + b"\xc9\xff\xff\xff\xff\x01",
    "an entry of another kind": b"\x81" + text("a") + extension(b"\x92\x01\x02", 2),
    "a number": b"\x81" + text("a") + b"\x05",
    "a text": b"\x81" + text("a") + text("b"),
    "nothing in its place": b"\x81" + text("a") + b"\xc0",
    "a list": b"\x91" + GOOD_ARRAY,
    "names that are numbers": b"\x81\x05" + GOOD_ARRAY,
    "a name that is no text": b"\x81\xa2\xff\xfe" + GOOD_ARRAY,
    "as many entries as can be": b"\xdf\xff\xff\xff\xff" + text("a") + GOOD_ARRAY,
    "deep": (b"\x81" + text("a")) * DEEP + GOOD_ARRAY,
    "deep and wide": b"\xdf\xff\xff\xff\xff\xa0" * 1000,
    "the same bytes, claimed twice": b"\x82" + text("a") + GOOD_ARRAY + text("a") + GOOD_ARRAY[:-1],
    "pieces of nothing": b"\x81" + text("a") + b"\x81" + text(MSGPACK_CHUNKED) + b"\xc3",
    "pieces that are the root": b"\x81" + text(MSGPACK_CHUNKED) + b"\xc3",
    "nothing": b"",
}


def index_of(entries: dict[bytes, bytes], *, packing: int = 0, times: int = 1) -> bytes:
    """A table as TensorFlow writes its index: one block of records, one that lists it, and where that is.

    Args:
        entries: names and records.
        packing: how the block says it is packed.
        times: how often it is listed.
    """

    def varint(number: int) -> bytes:
        return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)

    def block(pairs: list[tuple[bytes, bytes]]) -> bytes:
        rows = b"".join(b"\0" + varint(len(k)) + varint(len(v)) + k + v for k, v in pairs)
        return rows + struct.pack("<II", 0, 1)

    data = block(list(entries.items()))
    listing = block([(b"z", b"\0" + varint(len(data)))] * times)
    content = data + bytes([packing]) + b"crc4" + listing + b"\0crc4"
    place = b"\0\0" + varint(len(data) + 5) + varint(len(listing))
    return content + place.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)


HEAD = {b"": b"\x08\x01"}
#: float32, of shape [2], in file 0, from byte 0, of 8 bytes.
RECORD = b"\x08\x01\x12\x04\x12\x02\x08\x02\x28\x08"

GOOGLE = {
    "beyond the data": index_of({**HEAD, b"a": RECORD[:-2] + b"\x20\x7f\x28\x08"}),
    "larger than its bytes": index_of({**HEAD, b"a": b"\x08\x01\x12\x04\x12\x02\x08\x7f\x28\x08"}),
    "a negative size": index_of(
        {**HEAD, b"a": b"\x08\x01\x12\x0d\x12\x0b\x08" + b"\xff" * 9 + b"\x01\x28\x08"}
    ),
    "no such data file": index_of({**HEAD, b"a": RECORD + b"\x18\x05"}),
    "as many data files as can be": index_of({b"": b"\x08\xff\xff\xff\x7f", b"a": RECORD}),
    "big-endian numbers": index_of({b"": b"\x08\x01\x10\x01", b"a": RECORD}),
    "a variable in slices": index_of({**HEAD, b"a": RECORD + b"\x3a\x00"}),
    "the same bytes for all": index_of({**HEAD, **{b"a%d" % i: RECORD for i in range(9)}}),
    "a packed block": index_of({**HEAD, b"a": RECORD}, packing=1),
    "a block listed twice": index_of({**HEAD, b"a": RECORD}, times=2),
    "a long record": index_of({**HEAD, b"a": RECORD + b"\x30\0" * 3000}),
    "a long name": index_of({**HEAD, b"a" * 500: RECORD}),
    "a number without an end": index_of({**HEAD, b"a": b"\x08" + b"\xff" * 12}),
    "a record that ends early": index_of({**HEAD, b"a": RECORD[:6]}),
    "no head": index_of({b"a": RECORD}),
    "a name that is no text": index_of({**HEAD, b"\xff": RECORD}),
    "no table": b"\0" * 100,
    "nothing": b"",
}


def _index(places: object) -> bytes:
    return json.dumps({"weight_map": places}).encode()


#: Indices of shards; beside each lies one shard that holds ``a``.
INDEX = {
    "no map": _index(None),
    "a list": _index([]),
    "a number for a name": _index({"a": 5}),
    "a path out of the folder": _index({"a": "../model-00001-of-00001.safetensors"}),
    "a path from the root": _index({"a": "/etc/passwd"}),
    "a long name": _index({"a": "a" * 300 + ".safetensors"}),
    "a name with a zero": _index({"a": "a\0b.safetensors"}),
    "a path in the other slashes": _index({"a": "..\\model-00001-of-00001.safetensors"}),
    "a file that is not there": _index({"a": "nosuch.safetensors"}),
    "a file of another kind": _index({"a": "config.json"}),
    "an array that is not there": _index({"b": "model-00001-of-00001.safetensors"}),
    "not a number": b"NaN",
    "deep": b'{"a":' * DEEP,
    "deep lists": b"[" * DEEP,
    "not UTF-8": b"\xff" * 20,
}

#: ``config.json`` beside good weights.
CONFIG = {
    "deep": b'{"a":' * DEEP,
    "deep values": b'{"model_type": "distilbert", "attn_implementation": ' + b"[" * 900 + b"]" * 900 + b"}",
    "not UTF-8": b'{"model_type": "\xff"}',
    "a list": b"[]",
    "sizes of not a number": b'{"model_type": "distilbert", "dim": NaN}',
    "an absurd size": b'{"model_type": "distilbert", "dim": 1' + b"0" * 300 + b"}",
    "as many labels as can be": b'{"model_type": "distilbert", "num_labels": 30000000}',
    "sizes that do not divide": b'{"model_type": "distilbert", "dim": 2147483646, "n_heads": 2147483645}',
    "a vocabulary of its own": b'{"model_type": "distilbert", "vocab_size": 2147483647}',
    "another model": b'{"model_type": "gpt"}',
    "nothing": b"",
}

_TRANSFORMER = {"path": "", "type": "sentence_transformers.models.Transformer"}


def _modules(path: str) -> bytes:
    pooling = {"path": path, "type": "sentence_transformers.models.Pooling"}
    return json.dumps([_TRANSFORMER, pooling]).encode()


#: ``modules.json`` beside a model.
MODULES = {
    "a path out of the folder": _modules("../1_Pooling"),
    "a path with a zero": _modules("a\0b"),
    "half a character": _modules("\ud800"),
    "a long name": _modules("a" * 300),
    "code of its own": b'[{"path": "", "type": "modeling.Mine"}]',
    "an object": b"{}",
    "deep": b"[" * DEEP,
    "not UTF-8": b"\xff" * 20,
    "nothing": b"",
}

#: One array, as each kind of file has it.
GOOD = {
    "model.safetensors": file_of({"a": entry([16], 0, 64)}),
    "flax_model.msgpack": b"\x81" + text("a") + GOOD_ARRAY,
    "bert_model.ckpt.index": index_of({**HEAD, b"a": RECORD}),
}


def _in_pieces() -> bytes:
    """Arrays in pieces, of which each has fewer than may be, and all together have far more."""
    none = b"\xc7\x0d\1\x93\x91\0" + text("float32") + b"\xc4\0"
    pieces = b"\xde" + struct.pack(">H", 10_000) + b"".join(text(str(i)) + none for i in range(10_000))
    whole = b"\x83" + text(MSGPACK_CHUNKED) + b"\xc3" + text("shape") + b"\x81" + text("0") + b"\0"
    return b"\x8f" + b"".join(text(name) + whole + text("chunks") + pieces for name in "abcdefghijklmno")


#: Files too large to be kept, of the kinds that have a folder; a test makes them and throws them away.
LARGE: dict[tuple[str, str], Callable[[], bytes]] = {
    ("safetensors", "many names"): lambda: file_of({str(i): entry([0], 0, 0) for i in range(25_000)}, b""),
    ("safetensors", "a million names"): lambda: file_of(
        {str(i): entry([0], 0, 0) for i in range(10**6)}, b""
    ),
    ("safetensors", "a shape of zeros"): lambda: file_of({"a": entry([0] * 10**7, 0, 0)}, b""),
    ("safetensors", "a long name"): lambda: file_of({"a" * 5 * 10**7: entry([16], 0, 64)}),
    ("bin", "the same shape for all"): lambda: pickle_of(
        b"(" + b"K\1" * 200_000 + b"tq\0}(",
        *(_text(str(i)) + tensor_of(b"h\0") for i in range(2000)),
        b"u",
    ),
    ("bin", "the same arguments for all"): lambda: pickle_of(
        b"(" + b"K\1" * 500_000 + b"tq\0]", b"ctorch._utils\n_rebuild_parameter\nh\0Ra" * 30_000
    ),
    ("bin", "one list for all"): lambda: pickle_of(
        b"](" + b"".join(_text(str(i)) + b"N\x86" for i in range(50_000)) + b"eq\0\x85q\1",
        b"ccollections\nOrderedDict\nh\1R" * 300,
    ),
    ("bin", "nothing, often"): lambda: pickle_of(b"}" * 3 * 10**6),
    ("bin", "as many steps as can be"): lambda: pickle_of(b"N" * 3 * 10**7),
    ("msgpack", "pieces of pieces"): _in_pieces,
    ("google", "the same block for all"): lambda: index_of(
        {**HEAD, **{b"%06d" % i: b"" for i in range(90_000)}}, times=400
    ),
    ("google", "a block of nothing"): lambda: b"\0" * 2**23 + index_of({**HEAD, b"a": RECORD}),
    ("config", "lists of nothing"): lambda: b'{"model_type": "distilbert", "x": [' + b"[]," * 10**7 + b"[]]}",
    ("index", "lists of nothing"): lambda: b'{"weight_map": [' + b"[]," * 10**7 + b"[]]}",
}

_KINDS = {
    "safetensors": ("model.safetensors", SAFETENSORS),
    "bin": ("pytorch_model.bin", BIN),
    "msgpack": ("flax_model.msgpack", MSGPACK),
    "google": ("bert_model.ckpt.index", GOOGLE),
    "index": ("model.safetensors.index.json", INDEX),
    "config": ("config.json", CONFIG),
    "modules": ("modules.json", MODULES),
}

_BESIDE = {
    "google": ("bert_model.ckpt.data-00000-of-00001", b"\0" * 8),
    "index": ("model-00001-of-00001.safetensors", GOOD["model.safetensors"]),
    "config": ("model.safetensors", GOOD["model.safetensors"]),
}


def build(folder: Path) -> None:
    """Write each file into a folder of its own: kind, then what is wrong with it."""
    for kind, (_, cases) in _KINDS.items():
        for case, content in cases.items():
            build_one(folder, kind, case, content)
    for name, content in GOOD.items():
        place = folder / "good" / name
        place.mkdir(parents=True, exist_ok=True)
        (place / name).write_bytes(content)
        if name.endswith(".index"):
            (place / _BESIDE["google"][0]).write_bytes(_BESIDE["google"][1])


def build_one(folder: Path, kind: str, case: str, content: bytes) -> Path:
    """Write a file of a kind, with what belongs beside it."""
    place = folder / kind / case.replace(", ", "-").replace(" ", "-")
    place.mkdir(parents=True, exist_ok=True)
    (place / _KINDS[kind][0]).write_bytes(content)
    if kind in _BESIDE:
        name, beside = _BESIDE[kind]
        (place / name).write_bytes(beside)
    return place
