"""Weights: files on one side, named arrays on the other, and a report that accounts for every key."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from distilbert.core.config import EncoderConfig
from distilbert.core.files import CONFIG_FILE
from distilbert.core.parameters import (
    IGNORED_FILE_KEYS,
    Head,
    Parameter,
    file_aliases,
    is_encoder,
    manifest,
)
from distilbert.core.weight_files import MAX_SHARD_BYTES, Arrays, Weights, write_arrays
from distilbert.errors import CheckpointError


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


def survey(folder: str | Path, parameters: Sequence[Parameter], config: EncoderConfig) -> LoadReport:
    """What ``read_weights`` would find, from the file's header alone: before a model is built, which costs.

    Raises:
        CheckpointError: as ``read_weights``.
    """
    with Weights(folder) as file:
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
    with Weights(folder) as file:
        places, missing, unexpected = _places(file, parameters, config)
        arrays = {key: file[name] for key, name in places.items()}
    return arrays, LoadReport(tuple(arrays), missing, unexpected)


def _places(
    file: Weights, parameters: Sequence[Parameter], config: EncoderConfig
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
            received=f"{wrong} (in {file.folder})",
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
    folder: str | Path,
    arrays: Mapping[str, "np.ndarray[Any, Any]"],
    parameters: Sequence[Parameter],
    *,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> None:
    """Write a model's weights under the published names, atomically; tied ones once.

    Raises:
        OutputError: the folder cannot be written.
    """
    named = {p.file_key: arrays[p.key] for p in parameters if p.tied_to is None}
    write_arrays(folder, named, max_shard_bytes=max_shard_bytes)


def count_weights(folder: str | Path) -> int:
    """How many numbers the weights of a model folder hold."""
    with Weights(folder) as file:
        names = [name for name in file.shapes if not IGNORED_FILE_KEYS.fullmatch(name)]
        return sum(int(np.prod(file.shapes[name])) for name in names)
