"""A model's folder as the one file that a cloud takes: ``model.tar.gz``, laid out as SageMaker unpacks it."""

import gzip
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distilbert.core.checkpoint import file_names, listed, require_encoder, survey
from distilbert.core.files import RUNTIMES_FOLDER, make_folder, replacing
from distilbert.core.hub import local_folder
from distilbert.core.hub_files import WHOLE, Part, gather
from distilbert.core.model_folders import open_folder
from distilbert.core.parameters import parameters_of
from distilbert.core.sentence_folders import encoder_folder
from distilbert.core.tasks.folders import head_of
from distilbert.errors import CheckpointError, OutputError

#: Weights hardly get smaller, however long one tries.
_LEVEL = 1


@dataclass(frozen=True)
class Packaged:
    """What was written.

    Attributes:
        files: by the names that they have in the archive.
        bytes: of the archive.
    """

    files: tuple[str, ...]
    bytes: int


def package(model: str | Path, *, out: str | Path, force: bool = False) -> Packaged:
    """Write a model as ``model.tar.gz``, its files at the top, as SageMaker lays them at ``/opt/ml/model``.

    In it is what is read of the folder, and what was optimised in it, as plain files; nothing else that lies
    there, and no link. The same folder gives the same bytes.

    Args:
        model: a BERT or DistilBERT with any head, or none: a folder, or its name on a hub.
        out: the archive.
        force: replace a file that stands there.

    Raises:
        CheckpointError: the folder cannot be read, or lacks a part of its model.
        ConfigError: it is another kind of model's.
        OutputError: ``out`` is taken or cannot be written.
    """
    out = Path(out)
    _refuse_taken(out, force=force)
    folder = local_folder(model)
    _require_whole(folder)
    files = _files(folder)
    make_folder(out.parent)
    with replacing(out) as partial:
        with (
            partial.open("wb") as raw,
            # Neither a name nor a time is in it.
            gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as packed,
            tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
        ):
            for name, path in files.items():
                with path.open("rb") as file:
                    entry = tarfile.TarInfo(name)
                    entry.size = path.stat().st_size
                    archive.addfile(entry, file)
        size = partial.stat().st_size
        _refuse_taken(out, force=force)  # another run may have finished first
    return Packaged(tuple(files), size)


def _require_whole(folder: Path) -> None:
    """Refuse a folder that could not be served."""
    place, head = encoder_folder(folder), head_of(folder)
    config, _ = open_folder(place)
    parameters = parameters_of(head, config)
    missing = survey(place, parameters, config).missing
    require_encoder(folder, missing, config, head)
    if missing:
        raise CheckpointError(
            "A package needs a whole model.",
            received=f"{folder} without {listed(file_names(missing, parameters))}",
            remedy="Save the model again.",
        )


def _files(folder: Path) -> dict[str, Path]:
    """What is read of a folder, by its names there, in their order."""
    place = encoder_folder(folder)
    below = "" if place == folder else f"{place.name}/"
    found: dict[str, Path] = {}

    def get(name: str) -> Path:
        found[name] = folder / name
        return folder / name

    names = {path.relative_to(folder).as_posix() for path in _plain(folder, depth=2)}
    inside = {name.removeprefix(below) for name in names if name.startswith(below)}
    ways: Any = {"variant": None, "use_safetensors": None, "source": str(folder)}
    gather(inside, lambda name: get(below + name), parts=WHOLE, **ways)
    if below:
        gather(names, get, parts=(Part.FACTS, Part.MODULES), **ways)
    for path in _plain(folder / RUNTIMES_FOLDER, depth=3):
        get(path.relative_to(folder).as_posix())
    return dict(sorted(found.items()))


def _plain(folder: Path, *, depth: int) -> Iterator[Path]:
    """Files in a folder and in those below it; a hub's cache has links in their places."""
    if not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.is_file():
            yield entry
        elif depth > 1 and entry.is_dir() and not entry.is_symlink():
            yield from _plain(entry, depth=depth - 1)


def _refuse_taken(out: Path, *, force: bool) -> None:
    if out.is_dir():
        raise OutputError("A package is a file.", received=f"the folder {out}", remedy="Name a file in it.")
    if out.exists() and not force:
        raise OutputError(
            "The output file must be new.",
            received=f"{out}, which is there",
            remedy="Choose another, or add --force (force=True) to replace it.",
        )
