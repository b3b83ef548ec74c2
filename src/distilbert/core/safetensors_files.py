"""safetensors files: names, types and shapes from the header, numbers only where they are asked for.

The library holds the header against the file: lengths, offsets, overlaps, sizes. The numbers are then read
from the file itself rather than through the library's memory map, whose pages would count as this process's
memory beside the arrays that they are copied to.
"""

import json
import math
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from distilbert.core.files import replacing
from distilbert.core.mapped_files import MAX_ARRAYS, MAX_AXES
from distilbert.errors import CheckpointError, OutputError

_DTYPES: dict[str, Any] = {
    "F64": np.float64,
    "F32": np.float32,
    "F16": np.float16,
    "BF16": ml_dtypes.bfloat16,
    "I64": np.int64,
    "I32": np.int32,
    "I16": np.int16,
    "I8": np.int8,
    "U64": np.uint64,
    "U32": np.uint32,
    "U16": np.uint16,
    "U8": np.uint8,
    "BOOL": np.bool_,
}


#: As long as the names of that many arrays; the largest BERT's has some fifty thousand bytes.
MAX_HEADER_BYTES = 4 * 2**20


class SafetensorsFile(AbstractContextManager["SafetensorsFile"]):
    """An open safetensors file.

    Args:
        path: the file.

    Raises:
        CheckpointError: it is not whole.
    """

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        self.path = path
        try:
            self._stream = path.open("rb", buffering=0)
        except OSError as error:
            raise self._damaged(error) from None
        try:
            length = int.from_bytes(self._stream.read(8), "little")
            if length > MAX_HEADER_BYTES:
                raise ValueError(f"a header of more than {MAX_HEADER_BYTES} bytes")
            with safe_open(path, framework="np"):
                pass
            header: dict[str, Any] = json.loads(self._stream.read(length), object_pairs_hook=_each_once)
        except BaseException as error:
            self._stream.close()
            if isinstance(error, SafetensorError | ValueError | RecursionError | OSError):
                raise self._damaged(error) from None
            raise
        #: What the writer says of the whole file, such as ``format``.
        self.metadata: dict[str, str] = header.pop("__metadata__", None) or {}
        self.shapes: dict[str, tuple[int, ...]] = {name: tuple(at["shape"]) for name, at in header.items()}
        if len(header) > MAX_ARRAYS or any(len(shape) > MAX_AXES for shape in self.shapes.values()):
            self._stream.close()
            raise self._damaged(ValueError(f"more than {MAX_ARRAYS} arrays, or {MAX_AXES} axes of one"))
        self._dtypes = {name: at["dtype"] for name, at in header.items()}
        self._starts = {name: 8 + length + at["data_offsets"][0] for name, at in header.items()}

    def __getitem__(self, name: str) -> "np.ndarray[Any, Any]":
        return self._read(name, 0, self.shapes[name])

    def rows(self, name: str, start: int, end: int) -> "np.ndarray[Any, Any]":
        """Rows ``[start, end)`` of one array; the others are not read."""
        count, *row = self.shapes[name]
        start, end, _ = slice(start, end).indices(count)
        return self._read(name, start * math.prod(row), (max(0, end - start), *row))

    def __exit__(self, *exception: object) -> None:
        self._stream.close()

    def _read(self, name: str, first: int, shape: tuple[int, ...]) -> "np.ndarray[Any, Any]":
        """The numbers from the array's ``first`` on."""
        try:
            if self._dtypes[name] not in _DTYPES:
                raise ValueError(f"numbers of the type {self._dtypes[name]}, in {name}")
            array = np.empty(shape, _DTYPES[self._dtypes[name]])
            self._stream.seek(self._starts[name] + first * array.itemsize)
            room = memoryview(array.reshape(-1).view(np.uint8))  # type: ignore[arg-type]  # numpy 2.4's stubs
            while room:
                if not (got := self._stream.readinto(room)):
                    raise ValueError(f"it ends within {name}")
                room = room[got:]
        except (ValueError, OSError, MemoryError) as error:
            raise self._damaged(error) from None
        return array

    def _damaged(self, error: Exception) -> CheckpointError:
        return CheckpointError(
            "A weight file must be a whole safetensors file.",
            received=f"{self.path}: {error}",
            remedy="Copy or save the model again.",
        )


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of the header; of two entries of one name readers take whichever they like."""
    content = dict(pairs)
    if len(content) < len(pairs):
        raise ValueError("a name that stands twice")
    return content


def write_safetensors(path: Path, named: Mapping[str, "np.ndarray[Any, Any]"]) -> None:
    """Write arrays under these names, atomically.

    Raises:
        OutputError: the place cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    contiguous = {name: np.ascontiguousarray(array) for name, array in named.items()}
    with replacing(path) as partial:
        try:
            # "pt" says that kernels are [out, in]; readers of the published format ask for it.
            save_file(contiguous, partial, metadata={"format": "pt"})
        except SafetensorError as error:
            raise OutputError(
                "The output must be writable, with room for it.",
                received=f"{error} for {path}",
                remedy="Free some space or choose another place; what stood there before is unchanged.",
            ) from error
