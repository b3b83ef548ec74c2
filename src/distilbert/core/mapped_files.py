"""Arrays of other frameworks' files, under published names and as published; only what is asked is read."""

import mmap
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Protocol

import ml_dtypes
import numpy as np

from distilbert.core.layouts import Place
from distilbert.errors import CheckpointError

Bytes = np.ndarray[Any, np.dtype[np.uint8]]

#: The types of numbers that weights come in, by numpy's names.
DTYPES: dict[str, Any] = {
    **{name: np.dtype(name) for name in ("float64", "float32", "float16", "int64", "int32", "int16")},
    **{name: np.dtype(name) for name in ("int8", "uint8", "bool")},
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
}

#: No model has as many arrays, or axes of one: the deepest that a configuration may ask for has 16,400.
MAX_ARRAYS, MAX_AXES = 20_000, 8


class Reader(Protocol):
    """What every kind of weight file offers once it is open."""

    shapes: dict[str, tuple[int, ...]]

    def __getitem__(self, name: str) -> "np.ndarray[Any, Any]": ...

    def rows(self, name: str, start: int, end: int) -> "np.ndarray[Any, Any]": ...


@dataclass(frozen=True)
class Stored:
    """One array as it lies in a file: row-major, in pieces that follow each other."""

    shape: tuple[int, ...]
    dtype: "np.dtype[Any]"
    #: A file's bytes, where the piece starts, and how many there are.
    pieces: tuple[tuple[Bytes, int, int], ...]


class MappedFile(AbstractContextManager["MappedFile"]):
    """An open file that another framework wrote: names and shapes at once, arrays when asked for.

    A kind of file says in ``_index`` what lies where; from there on all kinds are alike.

    Args:
        path: of the file, or of the first one where there are several.

    Raises:
        CheckpointError: it is not whole, or holds more than arrays of numbers.
    """

    #: What such a file must be, as a sentence.
    rule = ""
    #: The names that are no part of a model.
    set_aside: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        self.path = path
        self._places: dict[str, tuple[Stored, bool]] = {}
        self._size = 0
        self._maps: list[np.memmap[Any, Any]] = []
        try:
            for name, stored in self._index():
                place = self._published(name)
                if place is None:
                    self.set_aside += (name,)
                    continue
                if place.name in self._places:
                    raise ValueError(f"{name:.80} and another name for {place.name:.80}")
                self._places[place.name] = stored, place.turned
                if len(self._places) > MAX_ARRAYS:
                    raise ValueError(f"more than {MAX_ARRAYS} arrays")
            self._check()
        except Exception as error:  # a file can be wrong in as many ways as there are bytes in it
            raise self._damaged(error) from None
        self.shapes = {
            name: stored.shape[::-1] if turned else stored.shape
            for name, (stored, turned) in self._places.items()
        }

    def __getitem__(self, name: str) -> "np.ndarray[Any, Any]":
        return self._copied(name, ...)

    def rows(self, name: str, start: int, end: int) -> "np.ndarray[Any, Any]":
        """Rows ``[start, end)`` of one array; the others are not read."""
        return self._copied(name, slice(start, end))

    def __exit__(self, *exception: object) -> None:
        self._places, self._maps = {}, []  # the files' bytes are let go with them

    def _index(self) -> Iterable[tuple[str, Stored]]:
        """Every array in the file, under the name it has there."""
        raise NotImplementedError

    def _published(self, name: str) -> Place | None:
        """What the array of this name is called, or None where it is no part of a model."""
        raise NotImplementedError

    def _map(self, path: Path) -> Bytes:
        if not path.is_file():
            raise FileNotFoundError(f"no file {path.name}")
        mapped = np.memmap(path, np.uint8, "r")
        self._maps.append(mapped)
        self._size += mapped.size
        return np.asarray(mapped)

    def _check(self) -> None:
        """Every array has its bytes, and all together no more than there are: nothing is made of nothing."""
        together = 0
        for name, (stored, turned) in self._places.items():
            if len(stored.shape) > MAX_AXES or (turned and len(stored.shape) != 2):
                raise ValueError(f"{name:.80} has the shape {list(stored.shape[:9])}")
            size = prod(stored.shape) * stored.dtype.itemsize
            if min(stored.shape, default=0) < 0 or sum(piece[2] for piece in stored.pieces) != size:
                raise ValueError(f"{name:.80} has other bytes than its shape")
            if any(
                start < 0 or count < 0 or start + count > data.size for data, start, count in stored.pieces
            ):
                raise ValueError(f"{name:.80} reaches beyond the end")
            together += size
        if together > self._size:
            raise ValueError("arrays that share their bytes")

    def _copied(self, name: str, rows: Any) -> "np.ndarray[Any, Any]":
        stored, turned = self._places[name]
        flat = [data[start : start + count] for data, start, count in stored.pieces]
        numbers = (flat[0] if len(flat) == 1 else np.concatenate([np.empty(0, np.uint8), *flat])).view(
            stored.dtype
        )
        array = numbers.reshape(stored.shape)
        part = (array.T if turned else array)[rows]
        copied = np.array(part, stored.dtype.newbyteorder("="), order="C")
        for mapped in self._maps:
            let_go(mapped)
        return copied

    def _damaged(self, error: object) -> CheckpointError:
        return CheckpointError(
            self.rule,
            received=f"{self.path}: {str(error)[:300] or type(error).__name__}",
            remedy="Copy it again, or choose a folder with model.safetensors.",
        )


class RenamedFile(AbstractContextManager["RenamedFile"]):
    """An open file of another framework's names, under the published ones.

    Args:
        file: as it is.
        published: what stands where a name is given.

    Raises:
        CheckpointError: two names become one, or a kernel has not two axes.
    """

    def __init__(self, file: Reader, published: Callable[[str], Place]) -> None:
        self._file = file
        self._places: dict[str, Place] = {}
        self.shapes: dict[str, tuple[int, ...]] = {}
        for name, shape in file.shapes.items():
            place = published(name)
            if place.name in self._places or (place.turned and len(shape) != 2):
                raise CheckpointError(
                    "Weights of another framework must follow its names.",
                    received=f"{name:.80} of shape {list(shape)}",
                    remedy="Save the model again.",
                )
            self._places[place.name] = Place(name, place.turned)
            self.shapes[place.name] = shape[::-1] if place.turned else shape

    def __getitem__(self, name: str) -> "np.ndarray[Any, Any]":
        return (
            self.rows(name, 0, self.shapes[name][0])
            if self.shapes[name]
            else self._file[self._places[name].name]
        )

    def rows(self, name: str, start: int, end: int) -> "np.ndarray[Any, Any]":
        """Rows ``[start, end)`` of one array."""
        place = self._places[name]
        if place.turned:
            return np.ascontiguousarray(self._file[place.name].T[start:end])
        return self._file.rows(place.name, start, end)

    def __exit__(self, *exception: object) -> None:
        """The file is its opener's to close."""


def let_go(mapped: "np.memmap[Any, Any]") -> None:
    """Give the pages back that were read: they would count as this process's memory beside the copies."""
    inner = getattr(mapped, "_mmap", None)
    if inner is not None and hasattr(mmap, "MADV_DONTNEED"):
        inner.madvise(mmap.MADV_DONTNEED)


def named_dtype(name: str) -> "np.dtype[Any]":
    """The type of this name, if weights come in it."""
    if name not in DTYPES:
        raise ValueError(f"numbers of the type {name!r:.40}")
    return DTYPES[name]
