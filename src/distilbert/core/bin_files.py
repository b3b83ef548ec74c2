"""``pytorch_model.bin`` without PyTorch, and without running anything: tensors by name, and nothing else.

Two formats: a zip archive with a pickle and one file a storage, and the older one, a row of pickles with the
storages after them. A pickle can call what it names; here it can name ordered dictionaries, tensors and
storages, for which plain descriptions stand in, and any other name is an error. The interpreter is
the one written in Python: C's makes room for whatever number a pickle calls a memo.
"""

import io
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import ml_dtypes
import numpy as np

from distilbert.errors import CheckpointError

#: No model's pickle, which holds names and shapes only, comes near this.
MAX_PICKLE_BYTES = 64 * 2**20

#: How many times a file's bytes its arrays may have: some share their numbers, as tied ones do.
_MOST_SHARED = 4

#: What the older format begins with, and the version that follows.
_MAGIC, _VERSION = 0x1950A86A20F9469CFC6C, 1001

_DTYPES: dict[str, Any] = {
    "DoubleStorage": np.float64,
    "FloatStorage": np.float32,
    "HalfStorage": np.float16,
    "BFloat16Storage": ml_dtypes.bfloat16,
    "LongStorage": np.int64,
    "IntStorage": np.int32,
    "ShortStorage": np.int16,
    "CharStorage": np.int8,
    "ByteStorage": np.uint8,
    "BoolStorage": np.bool_,
}


@dataclass(frozen=True)
class _Storage:
    """Numbers of one type, in a row, somewhere in the file."""

    key: str
    dtype: "np.dtype[Any]"
    count: int


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage, in numbers."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


#: Reads the numbers ``[first, last)`` of a storage.
_Reading = Callable[[_Storage, int, int], bytes]


class BinFile(AbstractContextManager["BinFile"]):
    """An open ``.bin`` file: names and shapes at once, arrays when asked for.

    Raises:
        CheckpointError: it is not whole, or holds more than tensors by name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        #: The last array that was asked for whose rows do not stand in a row.
        self._turned: tuple[str, np.ndarray[Any, Any]] | None = None
        try:
            self._size = path.stat().st_size
            self._stream = path.open("rb")
            try:
                zipped = zipfile.is_zipfile(self._stream)
                self._stream.seek(0)
                self._read = self._open_zip() if zipped else self._open_row()
            except BaseException:
                self._stream.close()
                raise
        except CheckpointError:
            raise
        except Exception as error:  # a pickle can fail in as many ways as there are bytes in it
            raise self._damaged(error) from None
        self.shapes = {name: tensor.shape for name, tensor in self._tensors.items()}
        together = sum(math.prod(t.shape) * t.storage.dtype.itemsize for t in self._tensors.values())
        if together > _MOST_SHARED * self._size:
            self._stream.close()
            raise self._damaged(ValueError("many names for the same numbers"))

    def __getitem__(self, name: str) -> "np.ndarray[Any, Any]":
        tensor = self._tensors[name]
        storage = tensor.storage
        last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
        try:
            if 0 in tensor.shape:
                return np.zeros(tensor.shape, storage.dtype)
            if tensor.offset < 0 or min(tensor.strides, default=0) < 0 or last >= storage.count:
                raise ValueError(f"{name} reaches beyond its storage")
            if int(np.prod([float(n) for n in tensor.shape])) > storage.count:
                raise ValueError(f"{name} repeats numbers of its storage")
            numbers = np.frombuffer(self._read(storage, tensor.offset, last + 1), storage.dtype)
        except Exception as error:
            raise self._damaged(error) from None
        strides = [s * storage.dtype.itemsize for s in tensor.strides]
        view = np.lib.stride_tricks.as_strided(numbers, tensor.shape, strides, writeable=False)
        return np.array(view, order="C")

    def rows(self, name: str, start: int, end: int) -> "np.ndarray[Any, Any]":
        """Rows ``[start, end)`` of one array; where its numbers stand in a row, the others are not read."""
        tensor = self._tensors[name]
        start, end, _ = slice(start, end).indices(tensor.shape[0])
        row = math.prod(tensor.shape[1:])
        if not row or tensor.strides != _in_a_row(tensor.shape):
            # Its rows lie all over it: read once for all of them, which are asked for one after the other.
            if self._turned is None or self._turned[0] != name:
                self._turned = name, self[name]
            return self._turned[1][start:end]
        first = tensor.offset + start * row
        last = max(first, tensor.offset + end * row)
        try:
            if last > tensor.storage.count:
                raise ValueError(f"{name} reaches beyond its storage")
            numbers = np.frombuffer(self._read(tensor.storage, first, last), tensor.storage.dtype)
        except Exception as error:
            raise self._damaged(error) from None
        return numbers.reshape(-1, *tensor.shape[1:]).copy()

    def __exit__(self, *exception: object) -> None:
        self._stream.close()

    def _open_zip(self) -> _Reading:
        archive = zipfile.ZipFile(self._stream)
        entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
        for entry in entries.values():
            # As PyTorch writes them; packed ones could grow without end.
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > self._size:
                raise ValueError(f"{entry.filename} is packed or larger than the file")
        if entries["data.pkl"].file_size > MAX_PICKLE_BYTES:
            raise ValueError(f"a pickle of more than {MAX_PICKLE_BYTES} bytes")
        if "byteorder" in entries and archive.read(entries["byteorder"]) != b"little":
            raise ValueError("numbers in big-endian order")
        self._tensors = _tensors(_Reader(io.BytesIO(archive.read(entries["data.pkl"]))).load())

        def read(storage: _Storage, first: int, last: int) -> bytes:
            entry = entries[f"data/{storage.key}"]
            if entry.file_size < storage.count * storage.dtype.itemsize:
                raise ValueError(f"storage {storage.key} is shorter than it says")
            # What stands before the numbers has a name and a remainder of its own lengths (APPNOTE 4.3.7).
            self._stream.seek(entry.header_offset)
            head = self._stream.read(30)
            if head[:4] != b"PK\x03\x04":
                raise ValueError(f"storage {storage.key} is not where the archive says")
            start = entry.header_offset + 30 + sum(struct.unpack("<2H", head[26:30]))
            return self._read_bytes(start, storage, first, last)

        return read

    def _open_row(self) -> _Reading:
        head = _Head(self._stream)
        if _Reader(head).load() != _MAGIC or _Reader(head).load() != _VERSION:
            raise ValueError("neither of PyTorch's formats")
        if _Reader(head).load().get("little_endian") is not True:
            raise ValueError("numbers in big-endian order")
        reader = _Reader(head)
        self._tensors = _tensors(reader.load())
        keys = _Reader(head).load()
        if not isinstance(keys, list) or len(keys) != len(set(keys)):
            raise ValueError("a list of storages that is none")
        places: dict[str, int] = {}
        place = self._stream.tell()
        for key in keys:
            storage = reader.storages[key]
            self._stream.seek(place)
            (count,) = struct.unpack("<q", self._stream.read(8))
            if count != storage.count or count < 0:
                raise ValueError(f"storage {key} has another length than it says")
            places[key] = place + 8
            place += 8 + count * storage.dtype.itemsize
            if place > self._size:
                raise ValueError("the file ends early")

        def read(storage: _Storage, first: int, last: int) -> bytes:
            return self._read_bytes(places[storage.key], storage, first, last)

        return read

    def _read_bytes(self, start: int, storage: _Storage, first: int, last: int) -> bytes:
        """The numbers ``[first, last)`` of a storage that begins at the byte ``start``."""
        self._stream.seek(start + first * storage.dtype.itemsize)
        size = (last - first) * storage.dtype.itemsize
        content = self._stream.read(min(size, self._size))
        if len(content) < size:
            raise ValueError("the file ends early")
        return content

    def _damaged(self, error: Exception) -> CheckpointError:
        return CheckpointError(
            "A .bin file must be a whole one of PyTorch's, and hold tensors by name and nothing else.",
            received=f"{self.path}: {str(error) or type(error).__name__}",
            remedy="Copy it again, or choose a folder with model.safetensors.",
        )


class _Head:
    """The beginning of a file, as far as pickles may go; nothing is read that they do not ask for."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._left = MAX_PICKLE_BYTES

    def read(self, count: int) -> bytes:
        return self._counted(self._stream.read(min(count, self._left + 1) if count >= 0 else self._left + 1))

    def readline(self) -> bytes:
        return self._counted(self._stream.readline(self._left + 1))

    def _counted(self, content: bytes) -> bytes:
        self._left -= len(content)
        if self._left < 0:
            raise ValueError(f"a pickle of more than {MAX_PICKLE_BYTES} bytes")
        return content


class _Reader(pickle._Unpickler):
    """Reads descriptions of tensors; nothing that a pickle names is run."""

    def __init__(self, stream: "io.BytesIO | _Head") -> None:
        super().__init__(stream, encoding="utf-8")
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return _dictionary
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        if module in ("torch", "torch.storage") and name in _DTYPES:
            return np.dtype(_DTYPES[name])
        raise pickle.UnpicklingError(f"it names {module}.{name}".replace("\n", " ")[:120])

    def persistent_load(self, saved: Any) -> _Storage:
        kind, dtype, key, _, count, *view = saved
        if kind != "storage" or not isinstance(dtype, np.dtype) or not isinstance(count, int) or any(view):
            raise pickle.UnpicklingError("a storage that is none")
        return self.storages.setdefault(str(key), _Storage(str(key), dtype, count))

    def load_build(self) -> None:
        """Objects' inner state says nothing of weights, and setting it is how pickles do mischief."""
        self.stack.pop()  # type: ignore[attr-defined]  # not in the stubs

    dispatch: ClassVar[dict[int, Any]] = {**pickle._Unpickler.dispatch, pickle.BUILD[0]: load_build}


def _dictionary(*items: Any) -> "OrderedDict[Any, Any]":
    return OrderedDict(*items)


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    numbers = (offset, *shape, *strides)
    fine = all(isinstance(n, int) and 0 <= n < 2**48 for n in numbers) and len(shape) == len(strides)
    if not isinstance(storage, _Storage) or not fine:
        raise pickle.UnpicklingError("a tensor that is none")
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


def _in_a_row(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides of an array whose numbers stand one after the other."""
    return tuple(math.prod(shape[i + 1 :]) for i in range(len(shape)))


def _tensors(content: Any) -> dict[str, _Tensor]:
    if not isinstance(content, dict) or not all(
        isinstance(name, str) and isinstance(tensor, _Tensor) for name, tensor in content.items()
    ):
        raise ValueError("something else than tensors by name")
    return dict(content)
