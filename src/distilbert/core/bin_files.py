"""``pytorch_model.bin`` without PyTorch, and without running anything: tensors by name, and nothing else.

Two formats: a zip archive with a pickle and one file a storage, and the older one, a row of pickles with the
storages after them. A pickle can call what it names; here it can name ordered dictionaries, tensors and
storages, for which plain descriptions stand in, and any other name is an error. The interpreter is
the one written in Python, with the steps that such pickles take and no others, and so many of them: C's makes
room for whatever number a pickle calls a memo, and other steps for whatever length they are told.
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

from distilbert.core.mapped_files import MAX_ARRAYS, MAX_AXES, let_go
from distilbert.errors import CheckpointError

#: No model's pickle, which holds names and shapes only, comes near these: forty steps make a tensor.
MAX_PICKLE_BYTES, MAX_STEPS = 4 * 2**20, 50 * MAX_ARRAYS

#: Where ``zipfile`` keeps how long an archive says that its directory is.
_DIRECTORY_BYTES = 5

#: The most arguments of a call: those of a tensor, from storage to metadata.
_MAX_ARGUMENTS = 7

#: Columns that are copied at once: a system maps sixteen pages where one is touched.
_COLUMNS = 64

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


#: Says at which byte of the file a storage begins.
_Finding = Callable[[_Storage], int]

#: The steps that PyTorch's pickles take, by any version of Python. None makes more than it reads.
_STEPS = (
    pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.GLOBAL, pickle.STACK_GLOBAL,
    pickle.BINPERSID, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE, pickle.BININT, pickle.BININT1,
    pickle.BININT2, pickle.LONG1, pickle.BINFLOAT, pickle.BINUNICODE, pickle.SHORT_BINUNICODE,
    pickle.BINSTRING, pickle.SHORT_BINSTRING,
    pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3,
    pickle.EMPTY_LIST, pickle.APPEND, pickle.APPENDS, pickle.EMPTY_DICT,
    pickle.BINPUT, pickle.LONG_BINPUT, pickle.MEMOIZE, pickle.BINGET, pickle.LONG_BINGET,
)  # fmt: skip


class BinFile(AbstractContextManager["BinFile"]):
    """An open ``.bin`` file: names and shapes at once, arrays when asked for.

    Raises:
        CheckpointError: it is not whole, or holds more than tensors by name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._size = path.stat().st_size
            with path.open("rb") as stream:
                zipped = zipfile.is_zipfile(stream)
                stream.seek(0)
                self._start_of = self._open_zip(stream) if zipped else self._open_row(stream)
            self._bytes = np.memmap(path, np.uint8, "r")
        except CheckpointError:
            raise
        except Exception as error:  # a pickle can fail in as many ways as there are bytes in it
            raise self._damaged(error) from None
        self.shapes = {name: tensor.shape for name, tensor in self._tensors.items()}
        together = sum(math.prod(t.shape) * t.storage.dtype.itemsize for t in self._tensors.values())
        if together > _MOST_SHARED * self._size:
            raise self._damaged(ValueError("many names for the same numbers"))

    def __getitem__(self, name: str) -> "np.ndarray[Any, Any]":
        return self._copied(name, ...)

    def rows(self, name: str, start: int, end: int) -> "np.ndarray[Any, Any]":
        """Rows ``[start, end)`` of one array; the others are not read."""
        return self._copied(name, slice(start, end))

    def _copied(self, name: str, rows: Any) -> "np.ndarray[Any, Any]":
        try:
            view = self._view(name, self._tensors[name])[rows]
            copied = np.empty(view.shape, view.dtype)
            for part in _parts(view):
                copied[part] = view[part]
                let_go(self._bytes)
        except Exception as error:
            raise self._damaged(error) from None
        return copied

    def _view(self, name: str, tensor: _Tensor) -> "np.ndarray[Any, Any]":
        """The array where it lies, which costs nothing until it is copied: its rows may lie all over it."""
        storage = tensor.storage
        if 0 in tensor.shape:
            return np.zeros(tensor.shape, storage.dtype)
        last = tensor.offset + sum((n - 1) * s for n, s in zip(tensor.shape, tensor.strides, strict=True))
        if tensor.offset < 0 or min(tensor.strides, default=0) < 0 or last >= storage.count:
            raise ValueError(f"{name:.80} reaches beyond its storage")
        if math.prod(tensor.shape) > storage.count:
            raise ValueError(f"{name:.80} repeats numbers of its storage")
        size = storage.dtype.itemsize
        start = self._start_of(storage) + tensor.offset * size
        numbers = self._bytes[start : start + (last + 1 - tensor.offset) * size].view(storage.dtype)
        if len(numbers) != last + 1 - tensor.offset:
            raise ValueError("the file ends early")
        strides = [s * size for s in tensor.strides]
        return np.lib.stride_tricks.as_strided(numbers, tensor.shape, strides, writeable=False)

    def __exit__(self, *exception: object) -> None:
        del self._bytes  # the file is let go with it

    def _open_zip(self, stream: BinaryIO) -> _Finding:
        # Its directory is read as a whole, whatever length it claims.
        end = zipfile._EndRecData(stream)  # type: ignore[attr-defined]  # not in the stubs
        if end is None or end[_DIRECTORY_BYTES] > MAX_PICKLE_BYTES:
            raise ValueError(f"a directory of more than {MAX_PICKLE_BYTES} bytes")
        archive = zipfile.ZipFile(stream)
        entries = {entry.filename.partition("/")[2]: entry for entry in archive.infolist()}
        for entry in entries.values():
            # As PyTorch writes them; packed ones could grow without end.
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size > self._size:
                raise ValueError(f"{entry.filename:.80} is packed or larger than the file")
        if entries["data.pkl"].file_size > MAX_PICKLE_BYTES:
            raise ValueError(f"a pickle of more than {MAX_PICKLE_BYTES} bytes")
        if "byteorder" in entries and archive.open(entries["byteorder"]).read(16) != b"little":
            raise ValueError("numbers in big-endian order")
        self._tensors = _tensors(_Reader(io.BytesIO(archive.read(entries["data.pkl"]))).load())

        def start_of(storage: _Storage) -> int:
            entry = entries[f"data/{storage.key}"]
            if entry.file_size < storage.count * storage.dtype.itemsize:
                raise ValueError(f"storage {storage.key:.80} is shorter than it says")
            # What stands before the numbers has a name and a remainder of its own lengths (APPNOTE 4.3.7).
            head = self._bytes[entry.header_offset : entry.header_offset + 30].tobytes()
            if head[:4] != b"PK\x03\x04":
                raise ValueError(f"storage {storage.key:.80} is not where the archive says")
            return int(entry.header_offset) + 30 + sum(struct.unpack("<2H", head[26:30]))

        return start_of

    def _open_row(self, stream: BinaryIO) -> _Finding:
        head = _Head(stream)
        if _Reader(head).load() != _MAGIC or _Reader(head).load() != _VERSION:
            raise ValueError("neither of PyTorch's formats")
        if _Reader(head).load().get("little_endian") is not True:
            raise ValueError("numbers in big-endian order")
        reader = _Reader(head)
        self._tensors = _tensors(reader.load())
        keys = _Reader(head).load()
        if not isinstance(keys, list) or len(keys) != len({_name(key) for key in keys}):
            raise ValueError("a list of storages that is none")
        places: dict[str, int] = {}
        place = stream.tell()
        for key in keys:
            storage = reader.storages[key]
            stream.seek(place)
            (count,) = struct.unpack("<q", stream.read(8))
            if count != storage.count or count < 0:
                raise ValueError(f"storage {key:.80} has another length than it says")
            places[key] = place + 8
            place += 8 + count * storage.dtype.itemsize
            if place > self._size:
                raise ValueError("the file ends early")

        return lambda storage: places[storage.key]

    def _damaged(self, error: Exception) -> CheckpointError:
        return CheckpointError(
            "A .bin file must be a whole one of PyTorch's, and hold tensors by name and nothing else.",
            received=f"{self.path}: {str(error)[:300] or type(error).__name__}",
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


class _Steps(dict[int, Any]):
    """What an interpreter does at each step; only what is in here is done."""

    def __missing__(self, code: int) -> Any:
        raise pickle.UnpicklingError(f"a step ({code:#04x}) that no tensors need")


def _counted(step: Callable[[Any], None]) -> Callable[[Any], None]:
    def counted(reader: Any) -> None:
        reader.steps += 1
        if reader.steps > MAX_STEPS:
            raise pickle.UnpicklingError(f"more than {MAX_STEPS} steps")
        step(reader)

    return counted


class _Reader(pickle._Unpickler):
    """Reads descriptions of tensors; nothing that a pickle names is run."""

    def __init__(self, stream: "io.BytesIO | _Head") -> None:
        super().__init__(stream, encoding="utf-8")
        self.storages: dict[str, _Storage] = {}
        self.steps = 0

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return self._dictionary
        if module == "torch._utils" and name in ("_rebuild_tensor_v2", "_rebuild_tensor"):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        if module in ("torch", "torch.storage") and name in _DTYPES:
            return np.dtype(_DTYPES[name])
        raise pickle.UnpicklingError(f"it names {module}.{name}".replace("\n", " ")[:120])

    def persistent_load(self, saved: Any) -> _Storage:
        if type(saved) is not tuple or not 5 <= len(saved) <= 6:
            raise pickle.UnpicklingError("a storage that is none")
        kind, dtype, key, _, count = saved[:5]
        fine = kind == "storage" and isinstance(dtype, np.dtype) and isinstance(key, str) and _is_size(count)
        if not fine or any(saved[5:]):
            raise pickle.UnpicklingError("a storage that is none")
        return self.storages.setdefault(key, _Storage(key, dtype, count))

    def load_build(self) -> None:
        """Objects' inner state says nothing of weights, and setting it is how pickles do mischief."""
        self.stack.pop()  # type: ignore[attr-defined]  # not in the stubs

    def load_reduce(self) -> None:
        stack: list[Any] = self.stack  # type: ignore[attr-defined]
        arguments = stack.pop()
        if type(arguments) is not tuple or len(arguments) > _MAX_ARGUMENTS:
            raise pickle.UnpicklingError("a call with other arguments than a tensor's")
        stack[-1] = stack[-1](*arguments)

    def load_setitem(self) -> None:
        stack: list[Any] = self.stack  # type: ignore[attr-defined]
        value, key = stack.pop(), stack.pop()
        stack[-1][_name(key)] = value

    def load_setitems(self) -> None:
        pairs = self.pop_mark()  # type: ignore[attr-defined]
        self.stack[-1].update(zip(map(_name, pairs[::2]), pairs[1::2], strict=True))  # type: ignore[attr-defined]

    def _dictionary(self, *pairs: Any) -> "OrderedDict[str, Any]":
        """One without entries; as Python 2 wrote it, one with all of them."""
        items = pairs[0] if pairs else []
        if len(pairs) > 1 or type(items) is not list:
            raise pickle.UnpicklingError("a dictionary that is none")
        self.steps += len(items)  # a list may be given to many
        if self.steps > MAX_STEPS:
            raise pickle.UnpicklingError(f"more than {MAX_STEPS} steps")
        return OrderedDict((_name(key), value) for key, value in items)

    dispatch: ClassVar[dict[int, Any]] = _Steps(
        {
            **{code[0]: _counted(pickle._Unpickler.dispatch[code[0]]) for code in _STEPS},
            pickle.BUILD[0]: _counted(load_build),
            pickle.REDUCE[0]: _counted(load_reduce),
            pickle.SETITEM[0]: _counted(load_setitem),
            pickle.SETITEMS[0]: _counted(load_setitems),
        }
    )


def _name(key: Any) -> str:
    """A key of a dictionary: texts are quickly told apart, as not everything is that can be a key."""
    if not isinstance(key, str):
        raise pickle.UnpicklingError("a name that is no text")
    return key


def _is_size(number: Any) -> bool:
    return isinstance(number, int) and 0 <= number < 2**48


def _tensor(storage: Any, offset: Any, shape: Any, strides: Any, *_: Any) -> _Tensor:
    fine = (
        isinstance(storage, _Storage)
        and type(shape) is type(strides) is tuple
        and len(shape) == len(strides) <= MAX_AXES
        and all(map(_is_size, (offset, *shape, *strides)))
    )
    if not fine:
        raise pickle.UnpicklingError("a tensor that is none")
    return _Tensor(storage, offset, shape, strides)


def _parameter(tensor: Any, *_: Any) -> Any:
    return tensor


def _parts(view: "np.ndarray[Any, Any]") -> list[Any]:
    """What to copy at once: of a matrix that lies turned about, whose rows are all over it, some columns."""
    if view.ndim == 2 and view.strides[0] < view.strides[1]:
        return [np.s_[:, i : i + _COLUMNS] for i in range(0, view.shape[1], _COLUMNS)]
    return [...]


def _tensors(content: Any) -> dict[str, _Tensor]:
    if not isinstance(content, dict) or not all(isinstance(tensor, _Tensor) for tensor in content.values()):
        raise ValueError("something else than tensors by name")
    if len(content) > MAX_ARRAYS:
        raise ValueError(f"more than {MAX_ARRAYS} tensors")
    return dict(content)
