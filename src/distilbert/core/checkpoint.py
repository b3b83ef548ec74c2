"""Weights: files on one side, named arrays on the other, and a report that accounts for every key."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

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

#: Numbers that may be drawn anew whatever the file holds: more than the largest published BERT has.
_MOST_DRAWN = 500_000_000


@dataclass(frozen=True)
class LoadReport:
    """What became of every key: of the model's and of the file's."""

    loaded: tuple[str, ...] = ()
    #: The model's keys that the file does not hold.
    missing: tuple[str, ...] = ()
    #: The file's keys that the model does not have.
    unexpected: tuple[str, ...] = ()
    #: The file's keys that say nothing more: indices, arrays that are tied, second names of one array, what
    #: belongs to the run that wrote it, and what an index of shards leaves out.
    set_aside: tuple[str, ...] = ()
    #: Keys whose arrays have another shape in the file, with that shape and the model's. They are not loaded.
    mismatched: Mapping[str, tuple[tuple[int, ...], tuple[int, ...]]] = field(default_factory=dict)
    #: Keys whose numbers changed their type, with the type in the file.
    cast: Mapping[str, str] = field(default_factory=dict)

    @property
    def drawn_anew(self) -> tuple[str, ...]:
        """The model's keys that the file gave nothing for."""
        return tuple(dict.fromkeys((*self.missing, *self.mismatched)))


class _Shapes(Protocol):
    """Whatever holds arrays by name, of which the shapes are known."""

    @property
    def shapes(self) -> Mapping[str, tuple[int, ...]]: ...


def survey(folder: str | Path, parameters: Sequence[Parameter], config: EncoderConfig) -> LoadReport:
    """What ``read_weights`` would find, from the file's header alone: before a model is built, which costs.

    Raises:
        CheckpointError: as ``read_weights``.
    """
    with Weights(folder) as file:
        return match(file, parameters, config, source=str(folder))[1]


def read_weights(
    folder: str | Path, parameters: Sequence[Parameter], config: EncoderConfig
) -> tuple[Arrays, LoadReport]:
    """The arrays of ``folder`` that these parameters name, and what became of every key.

    A file of a base model serves a model with a head and the reverse. A tied parameter takes the array
    it is tied to, whatever the file holds for it; where that is not there, both take what there is for it.

    Raises:
        CheckpointError: no weights, not whole, or shapes that do not fit (all of them are listed).
    """
    with Weights(folder) as file:
        places, report = match(file, parameters, config, source=str(folder))
        return {key: file[name] for key, name in places.items()}, report


def match(
    file: _Shapes,
    parameters: Sequence[Parameter],
    config: EncoderConfig,
    *,
    source: str,
    ignore_mismatched: bool = False,
) -> tuple[dict[str, str], LoadReport]:
    """The file's name for each key that it holds, and what becomes of every key.

    Args:
        file: holds arrays by name.
        parameters: a model's.
        config: its configuration.
        source: what a message calls the file.
        ignore_mismatched: leave arrays of another shape out instead of refusing them.

    Raises:
        CheckpointError: shapes that do not fit; every key that is not as it should be is listed.
    """
    places: dict[str, str] = {}
    missing: list[str] = []
    mismatched: dict[str, tuple[tuple[int, ...], tuple[int, ...]]] = {}
    named: dict[str, str] = {}
    used: set[str] = set()
    set_aside: list[str] = []
    tied: dict[str, str] = {}
    for parameter in parameters:
        names = [name for name in file_aliases(parameter, config) if name in file.shapes]
        used.update(names)
        if parameter.tied_to:
            wrong = [name for name in names if file.shapes[name] != parameter.shape]
            if wrong:
                mismatched[parameter.key] = file.shapes[wrong[0]], parameter.shape
                named[parameter.key] = wrong[0]
            set_aside += [name for name in names if name not in wrong]
            if names and not wrong:
                tied[parameter.tied_to] = names[0]
            continue
        set_aside += names[1:]
        if not names:
            missing.append(parameter.key)
        elif file.shapes[names[0]] != parameter.shape:
            mismatched[parameter.key] = file.shapes[names[0]], parameter.shape
            named[parameter.key] = names[0]
        else:
            places[parameter.key] = names[0]
    for key, name in tied.items():
        if key in missing:  # the one array of the two is stored under the other's name
            missing.remove(key)
            set_aside.remove(name)
            places[key] = name
    others = [n for n in file.shapes if n not in used]
    unexpected = [n for n in others if not IGNORED_FILE_KEYS.fullmatch(n)]
    set_aside += [n for n in others if IGNORED_FILE_KEYS.fullmatch(n)]
    set_aside += getattr(file, "set_aside", ())
    report = LoadReport(tuple(places), tuple(missing), tuple(unexpected), tuple(set_aside), mismatched)
    if mismatched and not ignore_mismatched:
        raise _misfit(report, named, parameters, source)
    return places, report


def _misfit(
    report: LoadReport, named: Mapping[str, str], parameters: Sequence[Parameter], source: str
) -> CheckpointError:
    wrong = "; ".join(
        f"{named[key]} is {list(there)}, should be {list(here)}"
        for key, (there, here) in report.mismatched.items()
    )
    absent = file_names(report.missing, parameters)
    also = f"; missing: {', '.join(absent)}" if absent else ""
    also += f"; in no such model: {listed(report.unexpected, most=200)}" if report.unexpected else ""
    return CheckpointError(
        f"The weights must have the shapes that {CONFIG_FILE} states.",
        received=f"{wrong}{also} (in {source})",
        remedy=f"Restore the {CONFIG_FILE} that was saved with these weights; another head than theirs is "
        "drawn anew with ignore_mismatched_sizes=True.",
    )


def refuse_hollow(
    report: LoadReport, parameters: Sequence[Parameter], shapes: Mapping[str, tuple[int, ...]], source: str
) -> None:
    """Refuse a model most of which its file does not hold: its configuration is another's, or a broken one.

    Raises:
        CheckpointError: what is missing is far larger than what is there.
    """
    drawn = set(report.drawn_anew)
    lacking = sum(math.prod(p.shape) for p in parameters if p.key in drawn)
    there = sum(math.prod(shape) for shape in shapes.values())
    if there and lacking > max(_MOST_DRAWN, 4 * there):
        raise CheckpointError(
            "A model's file must hold most of its numbers.",
            received=f"{there:,} numbers in {source}, and {lacking:,} more that {CONFIG_FILE} asks for",
            remedy=f"Restore the {CONFIG_FILE} that was saved with these weights.",
        )


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
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(f"{name:.200}" for name in names[:most]) + more


def write_weights(
    folder: str | Path,
    arrays: Mapping[str, "np.ndarray[Any, Any]"],
    parameters: Sequence[Parameter],
    *,
    max_shard_bytes: int = MAX_SHARD_BYTES,
    variant: str | None = None,
) -> None:
    """Write a model's weights under the published names, as ``write_arrays``; tied ones once.

    Raises:
        OutputError: the folder cannot be written.
    """
    named = {p.file_key: arrays[p.key] for p in parameters if p.tied_to is None}
    write_arrays(folder, named, max_shard_bytes=max_shard_bytes, variant=variant)


def count_weights(folder: str | Path) -> int:
    """How many numbers the weights of a model folder hold."""
    with Weights(folder) as file:
        names = [name for name in file.shapes if not IGNORED_FILE_KEYS.fullmatch(name)]
        return sum(int(np.prod(file.shapes[name])) for name in names)
