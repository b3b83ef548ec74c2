"""Weights: files on one side, named arrays on the other, and a report that accounts for every key."""

import logging
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from distilbert.core.config import EncoderConfig
from distilbert.core.files import CONFIG_FILE, WEIGHTS_FILE, replacing
from distilbert.core.parameters import (
    IGNORED_FILE_KEYS,
    Head,
    Parameter,
    file_aliases,
    is_encoder,
    manifest,
)
from distilbert.errors import CheckpointError, OutputError

logger = logging.getLogger(__name__)

#: Weights that are not read yet, so that a message can tell them from none.
_OTHER_WEIGHTS = (".bin", ".h5", ".msgpack", ".ckpt", ".pt")

Arrays = dict[str, "np.ndarray[Any, Any]"]


@dataclass(frozen=True)
class LoadReport:
    """What became of every key: of the model's and of the file's."""

    loaded: tuple[str, ...] = ()
    #: The model's keys that the file does not hold.
    missing: tuple[str, ...] = ()
    #: The file's keys that the model does not have.
    unexpected: tuple[str, ...] = ()
    #: Keys whose numbers changed their type, with the type in the file.
    cast: Mapping[str, str] = field(default_factory=dict)


class WeightFile(AbstractContextManager["WeightFile"]):
    """An open safetensors file: names and shapes at once, arrays when asked for.

    Raises:
        CheckpointError: there is no such file, or it is not whole.
    """

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        self.path = path
        if not path.is_file():
            others = sorted(p.name for p in path.parent.glob("*") if p.suffix in _OTHER_WEIGHTS)
            raise CheckpointError(
                f"A model folder must hold {WEIGHTS_FILE}.",
                received=f"{path.parent} " + (f"with {', '.join(others)} only" if others else "without it"),
                remedy="Choose a folder that a training or saving command has written.",
            )
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

    def __exit__(self, *exception: object) -> None:
        self._file.__exit__(*exception)

    def _damaged(self, error: Exception) -> CheckpointError:
        return CheckpointError(
            "A weight file must be a whole safetensors file.",
            received=f"{self.path}: {error}",
            remedy="Copy or save the model again.",
        )


def survey(folder: str | Path, parameters: Sequence[Parameter], config: EncoderConfig) -> LoadReport:
    """What ``read_weights`` would find, from the file's header alone: before a model is built, which costs.

    Raises:
        CheckpointError: as ``read_weights``.
    """
    with WeightFile(Path(folder) / WEIGHTS_FILE) as file:
        places, missing, unexpected = _places(file, parameters, config)
    return LoadReport(tuple(places), missing, unexpected)


def read_weights(
    folder: str | Path, parameters: Sequence[Parameter], config: EncoderConfig
) -> tuple[Arrays, LoadReport]:
    """The arrays of ``folder`` that these parameters name, and what became of every key.

    A file of a base model serves a model with a head and the reverse. A tied parameter takes the array
    it is tied to, whatever the file holds for it.

    Raises:
        CheckpointError: no weights, not whole, or shapes that do not fit (all of them are listed).
    """
    with WeightFile(Path(folder) / WEIGHTS_FILE) as file:
        places, missing, unexpected = _places(file, parameters, config)
        arrays = {key: file[name] for key, name in places.items()}
    return arrays, LoadReport(tuple(arrays), missing, unexpected)


def _places(
    file: WeightFile, parameters: Sequence[Parameter], config: EncoderConfig
) -> tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]:
    """The file's name for each key, the keys that it lacks, and the names that no parameter has."""
    places: dict[str, str] = {}
    missing: list[str] = []
    mismatched: list[tuple[str, tuple[int, ...], tuple[int, ...]]] = []
    used: set[str] = set()
    for parameter in parameters:
        names = [name for name in file_aliases(parameter, config) if name in file.shapes]
        used.update(names)
        if parameter.tied_to:
            continue
        if not names:
            missing.append(parameter.key)
        elif file.shapes[names[0]] != parameter.shape:
            mismatched.append((names[0], file.shapes[names[0]], parameter.shape))
        else:
            places[parameter.key] = names[0]
    if mismatched:
        wrong = "; ".join(f"{n} is {list(there)}, should be {list(here)}" for n, there, here in mismatched)
        raise CheckpointError(
            f"The weights must have the shapes that {CONFIG_FILE} states.",
            received=f"{wrong} (in {file.path.parent})",
            remedy=f"Restore the {CONFIG_FILE} that was saved with these weights, or save the model again.",
        )
    unexpected = [n for n in file.shapes if n not in used and not IGNORED_FILE_KEYS.fullmatch(n)]
    return places, tuple(missing), tuple(unexpected)


def require_encoder(folder: str | Path, missing: Sequence[str], config: EncoderConfig, head: Head) -> None:
    """Refuse a folder that lacks weights of the encoder: only a head may be drawn anew.

    Args:
        folder: what was read.
        missing: keys that it does not hold.
        config: of the model.
        head: that the keys are of a model with.

    Raises:
        CheckpointError: naming what is missing, as files call it.
    """
    lacking = [key for key in missing if is_encoder(key, config)]
    if lacking:
        raise CheckpointError(
            "A model folder must hold every weight of its encoder.",
            received=f"{folder} without {listed(file_names(lacking, manifest(config, head)))}",
            remedy=f"Choose the folder of a whole model, whose {CONFIG_FILE} belongs to its weights.",
        )


def file_names(keys: Sequence[str], parameters: Sequence[Parameter]) -> list[str]:
    """What files call the parameters of these keys."""
    names = {parameter.key: parameter.file_key for parameter in parameters}
    return [names.get(key, key) for key in keys]


def listed(names: Sequence[str], *, most: int = 6) -> str:
    """Names as a message has room for them."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def write_weights(
    folder: str | Path, arrays: Mapping[str, "np.ndarray[Any, Any]"], parameters: Sequence[Parameter]
) -> None:
    """Write ``model.safetensors`` atomically, under the published names.

    Raises:
        OutputError: the folder cannot be written.
    """
    write_arrays(folder, {p.file_key: arrays[p.key] for p in parameters if p.tied_to is None})


def write_arrays(folder: str | Path, named: Mapping[str, "np.ndarray[Any, Any]"]) -> None:
    """Write ``model.safetensors`` atomically, under these names.

    Raises:
        OutputError: the folder cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import save_file

    contiguous = {name: np.ascontiguousarray(array) for name, array in named.items()}
    path = Path(folder) / WEIGHTS_FILE
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


def count_weights(folder: str | Path) -> int:
    """How many numbers the weight file of a model folder holds."""
    with WeightFile(Path(folder) / WEIGHTS_FILE) as file:
        names = [name for name in file.shapes if not IGNORED_FILE_KEYS.fullmatch(name)]
        return sum(int(np.prod(file.shapes[name])) for name in names)
