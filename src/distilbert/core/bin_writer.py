"""Writes ``pytorch_model.bin`` as PyTorch does: a zip archive with a pickle, and one file a storage.

The pickle is put together here, instruction by instruction: it names PyTorch's functions, which need not be
there to be named.
"""

import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from distilbert.core.files import replacing
from distilbert.errors import ConfigError

#: Storages begin at multiples of this, so that readers may use them where they lie.
ALIGNMENT = 64

_STORAGES = {
    "float64": "DoubleStorage",
    "float32": "FloatStorage",
    "float16": "HalfStorage",
    "bfloat16": "BFloat16Storage",
    "int64": "LongStorage",
    "int32": "IntStorage",
    "int16": "ShortStorage",
    "int8": "CharStorage",
    "uint8": "ByteStorage",
    "bool": "BoolStorage",
}

# The instructions of a pickle that it takes.
_PROTO2, _STOP, _MARK, _TUPLE, _REDUCE = b"\x80\x02", b".", b"(", b"t", b"R"
_DICT, _SET_ITEMS, _NO_TUPLE, _FALSE, _STORAGE = b"}", b"u", b")", b"\x89", b"Q"

#: Files above this have wider lengths in the archive, which take twenty bytes more before their content.
_ZIP64_BYTES, _ZIP64_EXTRA = 2**30, 20


def write_bin(path: Path, named: Mapping[str, "np.ndarray[Any, Any]"]) -> None:
    """Write arrays, atomically.

    Raises:
        ConfigError: an array of a type that PyTorch's files do not have.
        OutputError: the place cannot be written.
    """
    for name, array in named.items():
        if array.dtype.name not in _STORAGES:
            raise ConfigError(
                f"Arrays in a .bin file are of the types {', '.join(_STORAGES)}.",
                received=f"{name} of {array.dtype.name}",
                remedy="Convert to safetensors.",
            )
    with replacing(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_STORED) as archive:
        _add(archive, "data.pkl", _pickle(named))
        _add(archive, "byteorder", b"little")
        for key, array in enumerate(named.values()):
            numbers = np.ascontiguousarray(array).astype(array.dtype.newbyteorder("<"), copy=False)
            _add(archive, f"data/{key}", numbers.reshape(-1).view(np.uint8).data)
        _add(archive, "version", b"3\n")


def _add(archive: zipfile.ZipFile, name: str, content: bytes | memoryview) -> None:
    entry = zipfile.ZipInfo(f"pytorch_model/{name}")
    large = len(content) > _ZIP64_BYTES
    assert archive.fp is not None
    start = archive.fp.tell() + 30 + len(entry.filename) + 4 + large * _ZIP64_EXTRA
    padding = -start % ALIGNMENT
    entry.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding  # PyTorch's own filling
    with archive.open(entry, "w", force_zip64=large) as file:
        file.write(content)


def _pickle(named: Mapping[str, "np.ndarray[Any, Any]"]) -> bytes:
    return b"".join([_PROTO2, _DICT, _MARK, *_items(named), _SET_ITEMS, _STOP])


def _items(named: Mapping[str, "np.ndarray[Any, Any]"]) -> Iterator[bytes]:
    for key, (name, array) in enumerate(named.items()):
        yield _text(name)
        storage = (
            _text("storage"),
            _global("torch", _STORAGES[array.dtype.name]),
            _text(str(key)),
            _text("cpu"),
        )
        strides = tuple(int(np.prod(array.shape[i + 1 :])) for i in range(array.ndim))
        yield _global("torch._utils", "_rebuild_tensor_v2")
        yield from (_MARK, _MARK, *storage, _number(array.size), _TUPLE, _STORAGE)
        yield from (_number(0), _numbers(array.shape), _numbers(strides), _FALSE)
        # An ordered dictionary of hooks, which a tensor of weights has none of.
        yield from (_global("collections", "OrderedDict"), _NO_TUPLE, _REDUCE, _TUPLE, _REDUCE)


def _global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def _text(text: str) -> bytes:
    content = text.encode()
    return b"X" + struct.pack("<I", len(content)) + content


def _number(number: int) -> bytes:
    if number < 2**31:
        return b"J" + struct.pack("<i", number)
    return b"\x8a\x08" + struct.pack("<q", number)


def _numbers(numbers: tuple[int, ...]) -> bytes:
    return _MARK + b"".join(map(_number, numbers)) + _TUPLE
