"""Files of weights: open, whole or in shards, and written so that they appear when they are complete."""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import numpy as np

from distilbert.core.bin_files import BinFile
from distilbert.core.files import (
    BIN_FILE,
    BIN_INDEX_FILE,
    WEIGHTS_FILE,
    WEIGHTS_INDEX_FILE,
    read_json,
    replacing,
    write_json,
)
from distilbert.errors import CheckpointError, OutputError

Arrays = dict[str, "np.ndarray[Any, Any]"]

#: Bytes of a file above which weights are written in shards: the published tools' own limit.
MAX_SHARD_BYTES = 5 * 10**9

#: Weights that are not read, so that a message can tell them from none.
_OTHER_WEIGHTS = (".h5", ".msgpack", ".ckpt", ".pt")


class Weights(AbstractContextManager["Weights"]):
    """The open weights of a model folder: names and shapes at once, arrays when asked for.

    They are in ``model.safetensors`` or in shards that an index lists; where there are none, in
    ``pytorch_model.bin`` or its shards, which are read without PyTorch and without running anything.

    Args:
        folder: holds them.

    Raises:
        CheckpointError: there are none, a file is not whole, or the index names what is not there.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self._open = ExitStack()
        self._file_of: dict[str, _File | BinFile] = {}
        try:
            for whole, index in ((WEIGHTS_FILE, WEIGHTS_INDEX_FILE), (BIN_FILE, BIN_INDEX_FILE)):
                if (self.folder / whole).is_file():
                    file = self._opened(whole)
                    self._file_of = dict.fromkeys(file.shapes, file)
                    break
                if (self.folder / index).is_file():
                    self._open_shards(index)
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

    def _opened(self, name: str) -> "_File | BinFile":
        path = self.folder / name
        if name.endswith(".bin"):
            return self._open.enter_context(BinFile(path))
        return self._open.enter_context(_File(path))

    def _open_shards(self, index: str) -> None:
        ending = index.split(".")[1]
        places = read_json(self.folder / index).get("weight_map")
        if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
            raise self._wrong_index(index, "a weight_map that is none")
        files: dict[str, _File | BinFile] = {}
        for name in sorted(set(places.values())):
            # A name with a path in it would lead out of the folder.
            if Path(name).name != name or not name.endswith(f".{ending}"):
                raise self._wrong_index(index, f"the file {name!r:.80}")
            if not (self.folder / name).is_file():
                raise self._wrong_index(index, f"{name}, which is not there")
            files[name] = self._opened(name)
        for key, name in places.items():
            if key not in files[name].shapes:
                raise self._wrong_index(index, f"{key} in {name}, which does not hold it")
            self._file_of[key] = files[name]

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
