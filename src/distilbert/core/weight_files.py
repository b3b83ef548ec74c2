"""A model folder's weights: whichever files hold them, open; and written, complete or not at all."""

import math
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distilbert.core.bin_files import BinFile
from distilbert.core.files import (
    BIN_FILE,
    GOOGLE_FILES,
    H5_FILE,
    MSGPACK_FILE,
    WEIGHTS_FILE,
    drop_superseded,
    is_plain_name,
    read_json,
    write_json,
)
from distilbert.core.google_files import GoogleFile
from distilbert.core.h5_files import H5File
from distilbert.core.layouts import from_flax, from_keras, names_in_index
from distilbert.core.mapped_files import Reader, RenamedFile
from distilbert.core.msgpack_files import MsgpackFile
from distilbert.core.safetensors_files import SafetensorsFile, write_safetensors
from distilbert.errors import CheckpointError, ConfigError

Arrays = dict[str, "np.ndarray[Any, Any]"]

#: Bytes of a file above which weights are written in shards: the published tools' own limit.
MAX_SHARD_BYTES = 5 * 10**9

#: Bytes of an array that are read at once where a model is filled piece by piece.
PIECE_BYTES = 8 * 2**20

#: Weights that are not read, so that a message can tell them from none.
_OTHER_WEIGHTS = (".ckpt", ".pt", ".pth", ".onnx")


@dataclass(frozen=True)
class _Kind:
    """A kind of file: what a whole one is called, and what opens it."""

    whole: str
    open: Callable[[Path], Any]

    def file(self, variant: str | None) -> str:
        """The whole file's name; a variant stands before the ending."""
        stem, _, ending = self.whole.rpartition(".")
        return f"{stem}.{variant}.{ending}" if variant else self.whole

    def index(self, variant: str | None) -> str:
        """The name of the index of its shards."""
        return f"{self.whole}.index.{variant}.json" if variant else f"{self.whole}.index.json"


#: The kinds that are read, the first that a folder holds.
_KINDS = (
    _Kind(WEIGHTS_FILE, SafetensorsFile),
    _Kind(BIN_FILE, BinFile),
    _Kind(H5_FILE, H5File),
    _Kind(MSGPACK_FILE, MsgpackFile),
    _Kind(GOOGLE_FILES, GoogleFile),
)


class Weights(AbstractContextManager["Weights"]):
    """The open weights of a model folder: names and shapes at once, arrays when asked for.

    They are in ``model.safetensors`` or in shards that an index lists; where there are none, in the files of
    PyTorch, TensorFlow 2, Flax or Google's TensorFlow 1, in this order. Those are read without the framework
    and without running anything, and names and kernels come as they are published.

    Args:
        folder: holds them.
        variant: of the files, such as "fp16" of ``model.fp16.safetensors``.
        use_safetensors: True reads nothing else, False reads the other kinds only.

    Raises:
        CheckpointError: there are none, a file is not whole, or the index names what is not there.
    """

    def __init__(
        self, folder: str | Path, *, variant: str | None = None, use_safetensors: bool | None = None
    ) -> None:
        self.folder = Path(folder)
        self._open = ExitStack()
        self._file_of: dict[str, Reader] = {}
        #: Names in the files that are no part of a model, or that no index names.
        self.set_aside: tuple[str, ...] = ()
        kinds = [k for k in _KINDS if use_safetensors in (None, k.whole == WEIGHTS_FILE)]
        try:
            for kind in kinds:
                if whole := self._whole(kind.file(variant)):
                    file = self._opened(kind, whole)
                    self._file_of = dict.fromkeys(file.shapes, file)
                    self.set_aside = getattr(file, "set_aside", ())
                    break
                if (self.folder / kind.index(variant)).is_file():
                    self._open_shards(kind, kind.index(variant))
                    break
            else:
                raise self._none([kind.file(variant) for kind in kinds])
        except BaseException:
            self._open.close()
            raise
        self.shapes = {name: file.shapes[name] for name, file in self._file_of.items()}

    def __getitem__(self, name: str) -> "np.ndarray[Any, Any]":
        return self._file_of[name][name]

    def rows(self, name: str, start: int, end: int) -> "np.ndarray[Any, Any]":
        """Rows ``[start, end)`` of one array; the others are not read."""
        return self._file_of[name].rows(name, start, end)

    def pieces(self, name: str) -> Iterator[tuple[slice, "np.ndarray[Any, Any]"]]:
        """One array a few rows at a time, so that a model can be filled without a second copy of it."""
        shape = self.shapes[name]
        if not shape:
            yield slice(None), self[name][None]
            return
        step = max(1, PIECE_BYTES // (8 * max(1, math.prod(shape[1:]))))
        for start in range(0, shape[0], step):
            end = min(start + step, shape[0])
            yield slice(start, end), self.rows(name, start, end)

    def __exit__(self, *exception: object) -> None:
        self._open.close()

    def _whole(self, name: str) -> str | None:
        found = sorted(path.name for path in self.folder.glob(name) if path.is_file())
        if len(found) > 1:
            raise CheckpointError(
                "A model folder must hold the weights of one model.",
                received=f"{self.folder} with {', '.join(found[:6])}",
                remedy="Copy the one that is meant into a folder of its own, with the model's other files.",
            )
        return found[0] if found else None

    def _opened(self, kind: _Kind, name: str) -> Reader:
        file: Reader = self._open.enter_context(kind.open(self.folder / name))
        return _published(file) if isinstance(file, SafetensorsFile) else file

    def _open_shards(self, kind: _Kind, index: str) -> None:
        ending = kind.whole.rpartition(".")[2]
        places = read_json(self.folder / index).get("weight_map")
        if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
            raise self._wrong_index(index, "a weight_map that is none")
        files: dict[str, Reader] = {}
        for name in sorted(set(places.values())):
            # A name with a path in it would lead out of the folder.
            if not is_plain_name(name) or not name.endswith(f".{ending}"):
                raise self._wrong_index(index, f"the file {name!r:.80}")
            if not (self.folder / name).is_file():
                raise self._wrong_index(index, f"{name}, which is not there")
            files[name] = self._opened(kind, name)
        for key, name in places.items():
            called = [known for known in names_in_index(key) if known in files[name].shapes]
            if not called:
                raise self._wrong_index(index, f"{key} in {name}, which does not hold it")
            self._file_of[called[0]] = files[name]
        self.set_aside = tuple(n for file in files.values() for n in file.shapes if n not in self._file_of)

    def _wrong_index(self, index: str, what: str) -> CheckpointError:
        return CheckpointError(
            f"{index} must list the files beside it that hold the weights.",
            received=f"{what} in {self.folder}",
            remedy="Copy or save the model again.",
        )

    def _none(self, looked_for: list[str]) -> CheckpointError:
        others: list[str] = []
        if self.folder.is_dir():
            endings = (*_OTHER_WEIGHTS, *(Path(kind.whole).suffix for kind in _KINDS))
            others = sorted(path.name for path in self.folder.iterdir() if path.suffix in endings)
        return CheckpointError(
            f"A model folder must hold {' or '.join(looked_for)}.",
            received=f"{self.folder} " + (f"with {', '.join(others)} only" if others else "without it"),
            remedy="Choose a folder that a training or saving command has written.",
        )


def has_weights(folder: Path) -> bool:
    """Whether a folder holds weights of a kind that is read, whole or not."""
    names = (name for kind in _KINDS for name in (kind.whole, kind.index(None)))
    return any(path.is_file() for name in names for path in folder.glob(name))


def weight_files(folder: Path) -> list[Path]:
    """The files of a folder that may hold weights, or say where they are, of whichever kind."""
    endings = {Path(kind.whole).suffix for kind in _KINDS}
    return [
        path
        for path in folder.iterdir()
        if path.is_file() and (path.suffix in endings or ".index" in path.suffixes or ".ckpt" in path.name)
    ]


def _published(file: SafetensorsFile) -> Reader:
    """A safetensors file under published names; its header says which framework's it has."""
    layout = file.metadata.get("format")
    if layout == "tf":
        return RenamedFile(file, from_keras)
    return RenamedFile(file, from_flax) if layout == "flax" else file


def write_arrays(
    folder: str | Path,
    named: Mapping[str, "np.ndarray[Any, Any]"],
    *,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    variant: str | None = None,
) -> None:
    """Write arrays under these names, each file atomically, and in shards where one would be too large.

    The index, which makes shards a model, is written last; then what an earlier save of the variant left
    is removed.

    Args:
        folder: to write into.
        named: the arrays.
        max_shard_bytes: of a file.
        variant: of the files' names, such as "fp16" of ``model.fp16.safetensors``.

    Raises:
        OutputError: the folder cannot be written.
    """
    folder = Path(folder)
    whole, index = _KINDS[0].file(variant), _KINDS[0].index(variant)
    shards = list(_shards(named, max_shard_bytes))
    if len(shards) == 1:
        write_safetensors(folder / whole, shards[0])
        drop_superseded(folder, {whole}, variant=variant)
        return
    places: dict[str, str] = {}
    for i, shard in enumerate(shards, start=1):
        name = f"{whole.removesuffix('.safetensors')}-{i:05}-of-{len(shards):05}.safetensors"
        write_safetensors(folder / name, shard)
        places |= dict.fromkeys(shard, name)
    total = sum(array.nbytes for array in named.values())
    write_json(folder / index, {"metadata": {"total_size": total}, "weight_map": places})
    drop_superseded(folder, {index, *places.values()}, variant=variant)


def byte_count(name: str, size: int | str) -> int:
    """A count of bytes, or one written as "500MB" or "5GB".

    Raises:
        ConfigError: neither.
    """
    found = re.fullmatch(r"\s*(\d+)\s*([KMG]?)(i?)B?\s*", str(size), re.IGNORECASE)
    count = 0
    if found and not isinstance(size, bool):
        base = 1024 if found[3] else 1000
        count = int(found[1]) * base ** " KMG".index(found[2].upper() or " ")
    if count < 1:
        raise ConfigError(
            f'{name} is a number of bytes, or text such as "5GB".',
            received=f"{name}={size!r:.80}",
            remedy="Leave it out unless a file of that size is too large.",
        )
    return count


def _shards(named: Mapping[str, "np.ndarray[Any, Any]"], limit: int) -> Iterator[Arrays]:
    shard: Arrays = {}
    size = 0
    for name, array in named.items():
        if shard and size + array.nbytes > limit:
            yield shard
            shard, size = {}, 0
        shard[name] = array
        size += array.nbytes
    yield shard
