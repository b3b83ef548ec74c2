"""Files of weights: open, whole or in shards, and written so that they appear when they are complete."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from distilbert.core.bin_files import BinFile
from distilbert.core.files import (
    BIN_FILE,
    BIN_INDEX_FILE,
    GOOGLE_FILES,
    H5_FILE,
    H5_INDEX_FILE,
    MSGPACK_FILE,
    MSGPACK_INDEX_FILE,
    WEIGHTS_FILE,
    WEIGHTS_INDEX_FILE,
    read_json,
    replacing,
    write_json,
)
from distilbert.core.google_files import GoogleFile
from distilbert.core.h5_files import H5File
from distilbert.core.layouts import from_flax, from_keras, names_in_index
from distilbert.core.mapped_files import Reader, RenamedFile
from distilbert.core.msgpack_files import MsgpackFile
from distilbert.errors import CheckpointError, OutputError

Arrays = dict[str, "np.ndarray[Any, Any]"]

#: Bytes of a file above which weights are written in shards: the published tools' own limit.
MAX_SHARD_BYTES = 5 * 10**9

#: Weights that are not read, so that a message can tell them from none.
_OTHER_WEIGHTS = (".h5", ".msgpack", ".ckpt", ".pt")


class Weights(AbstractContextManager["Weights"]):
    """The open weights of a model folder: names and shapes at once, arrays when asked for.

    They are in ``model.safetensors`` or in shards that an index lists; where there are none, in the files of
    PyTorch, TensorFlow 2, Flax or Google's TensorFlow 1, in this order. Those are read without the framework
    and without running anything, and names and kernels come as they are published.

    Args:
        folder: holds them.

    Raises:
        CheckpointError: there are none, a file is not whole, or the index names what is not there.
        MissingExtraError: the file is one that needs a package that is not installed.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._open = ExitStack()
        self._file_of: dict[str, Reader] = {}
        try:
            for kind in _KINDS:
                if whole := self._whole(kind):
                    file = self._opened(whole, kind)
                    self._file_of = dict.fromkeys(file.shapes, file)
                    break
                if kind.index and (self.folder / kind.index).is_file():
                    self._open_shards(kind)
                    break
            else:
                raise self._none()
        except BaseException:
            self._open.close()
            raise
        self.shapes = {name: file.shapes[name] for name, file in self._file_of.items()}

    def __getitem__(self, name: str) -> "np.ndarray[Any, Any]":
        return self._file_of[name][name]

    def rows(self, name: str, start: int, end: int) -> "np.ndarray[Any, Any]":
        """Rows ``[start, end)`` of one array; the others are not read."""
        return self._file_of[name].rows(name, start, end)

    def __exit__(self, *exception: object) -> None:
        self._open.close()

    def _whole(self, kind: "_Kind") -> str | None:
        found = sorted(path.name for path in self.folder.glob(kind.whole) if path.is_file())
        if len(found) > 1:
            raise CheckpointError(
                "A model folder must hold the weights of one model.",
                received=f"{self.folder} with {', '.join(found[:6])}",
                remedy="Copy the one that is meant into a folder of its own, with the model's other files.",
            )
        return found[0] if found else None

    def _opened(self, name: str, kind: "_Kind") -> Reader:
        path = self.folder / name
        file = self._open.enter_context(kind.open(path))
        return _published(file, path) if kind.whole == WEIGHTS_FILE else file

    def _open_shards(self, kind: "_Kind") -> None:
        index = kind.index
        ending = index.split(".")[1]
        places = read_json(self.folder / index).get("weight_map")
        if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
            raise self._wrong_index(index, "a weight_map that is none")
        files: dict[str, Reader] = {}
        for name in sorted(set(places.values())):
            # A name with a path in it would lead out of the folder.
            if Path(name).name != name or not name.endswith(f".{ending}"):
                raise self._wrong_index(index, f"the file {name!r:.80}")
            if not (self.folder / name).is_file():
                raise self._wrong_index(index, f"{name}, which is not there")
            files[name] = self._opened(name, kind)
        for key, name in places.items():
            called = [known for known in names_in_index(key) if known in files[name].shapes]
            if not called:
                raise self._wrong_index(index, f"{key} in {name}, which does not hold it")
            self._file_of[called[0]] = files[name]

    def _wrong_index(self, index: str, what: str) -> CheckpointError:
        return CheckpointError(
            f"{index} must list the files beside it that hold the weights.",
            received=f"{what} in {self.folder}",
            remedy="Copy or save the model again.",
        )

    def _none(self) -> CheckpointError:
        others: list[str] = []
        if self.folder.is_dir():
            others = sorted(path.name for path in self.folder.iterdir() if path.suffix in _OTHER_WEIGHTS)
        return CheckpointError(
            f"A model folder must hold {WEIGHTS_FILE}.",
            received=f"{self.folder} " + (f"with {', '.join(others)} only" if others else "without it"),
            remedy="Choose a folder that a training or saving command has written.",
        )


class _File(AbstractContextManager["_File"]):
    """An open safetensors file."""

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        self.path = path
        try:
            self._file = safe_open(path, framework="np")
        except (SafetensorError, OSError, ValueError) as error:
            raise self._damaged(error) from None
        self.shapes: dict[str, tuple[int, ...]] = {
            name: tuple(self._file.get_slice(name).get_shape())
            for name in self._file.keys()  # noqa: SIM118  # not a mapping: it has no other way
        }

    def __getitem__(self, name: str) -> "np.ndarray[Any, Any]":
        try:
            return self._file.get_tensor(name)
        except Exception as error:
            raise self._damaged(error) from None

    def rows(self, name: str, start: int, end: int) -> "np.ndarray[Any, Any]":
        try:
            return self._file.get_slice(name)[start:end]
        except Exception as error:
            raise self._damaged(error) from None

    def __exit__(self, *exception: object) -> None:
        self._file.__exit__(*exception)

    def _damaged(self, error: Exception) -> CheckpointError:
        return CheckpointError(
            "A weight file must be a whole safetensors file.",
            received=f"{self.path}: {error}",
            remedy="Copy or save the model again.",
        )


@dataclass(frozen=True)
class _Kind:
    """A kind of weight file: what it is called whole, what lists its shards, and what opens it."""

    whole: str
    index: str
    open: Callable[[Path], Any]


#: Every kind that is read, the preferred one first.
_KINDS = (
    _Kind(WEIGHTS_FILE, WEIGHTS_INDEX_FILE, _File),
    _Kind(BIN_FILE, BIN_INDEX_FILE, BinFile),
    _Kind(H5_FILE, H5_INDEX_FILE, H5File),
    _Kind(MSGPACK_FILE, MSGPACK_INDEX_FILE, MsgpackFile),
    _Kind(GOOGLE_FILES, "", GoogleFile),
)


def _published(file: Reader, path: Path) -> Reader:
    """A safetensors file under published names; its header says which framework's it has."""
    from safetensors import safe_open

    with safe_open(path, framework="np") as again:
        layout = (again.metadata() or {}).get("format")
    if layout == "tf":
        return RenamedFile(file, from_keras)
    return RenamedFile(file, from_flax) if layout == "flax" else file


def write_arrays(
    folder: str | Path,
    named: Mapping[str, "np.ndarray[Any, Any]"],
    *,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Write arrays under these names, each file atomically, and in shards where one would be too large.

    The index, which makes shards a model, is written last.

    Raises:
        OutputError: the folder cannot be written.
    """
    folder = Path(folder)
    shards = list(_shards(named, max_shard_bytes))
    if len(shards) == 1:
        _write(folder / WEIGHTS_FILE, shards[0])
        (folder / WEIGHTS_INDEX_FILE).unlink(missing_ok=True)
        return
    places: dict[str, str] = {}
    for i, shard in enumerate(shards, start=1):
        name = f"model-{i:05}-of-{len(shards):05}.safetensors"
        _write(folder / name, shard)
        places |= dict.fromkeys(shard, name)
    total = sum(array.nbytes for array in named.values())
    write_json(folder / WEIGHTS_INDEX_FILE, {"metadata": {"total_size": total}, "weight_map": places})
    # What an earlier save left would be read in their place.
    (folder / WEIGHTS_FILE).unlink(missing_ok=True)


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


def _write(path: Path, named: Arrays) -> None:
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
