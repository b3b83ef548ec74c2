"""What was optimised for a machine and verified, beside the model or in the user's cache.

``runtimes/<processor>/optimized.json`` says what was tried and chosen, and seals what it was made of: the
model's files, its own, the runtime's version. What has changed since is not opened.
"""

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from distilbert.core import seals
from distilbert.core.files import CONFIG_FILE, RUNTIMES_FOLDER, read_json, write_json
from distilbert.core.machine import kind_of_processor
from distilbert.core.output import new_folder
from distilbert.core.places import users_folder
from distilbert.core.seals import Seal
from distilbert.core.weight_files import weight_files
from distilbert.engine.model import Model
from distilbert.errors import CheckpointError, OutputError

logger = logging.getLogger(__name__)

#: What was tried and chosen.
RECORD_FILE = "optimized.json"

#: Of the record and of what a graph is given and gives; others are not opened.
_FORMAT = 1

#: By runtime, the package whose version must be the one that was verified.
_PACKAGES = {"onnx": "onnxruntime", "openvino": "openvino"}


@dataclass(frozen=True)
class Artefact:
    """What was chosen.

    Attributes:
        folder: holds its files.
        runtime: that computes it.
        precision: in which it does.
        files: of a graph; none where it is made of the model's weights when it is opened.
    """

    folder: Path
    runtime: str
    precision: str
    files: tuple[str, ...]


def places(model: Model) -> Iterator[Path]:
    """Where a model's artefacts may be: in its folder, else in the user's cache."""
    yield model.folder / RUNTIMES_FOLDER / kind_of_processor()
    if (cache := users_folder(RUNTIMES_FOLDER)) is not None:
        named = hashlib.sha256(str(model.folder.resolve()).encode()).hexdigest()[:16]
        yield cache / named / kind_of_processor()


def find(model: Model) -> Artefact | None:
    """What was verified for this very model on such a processor, and has not changed since."""
    for place in places(model):
        try:
            record = read_json(place / RECORD_FILE, missing_is_empty=True)
            if not record:
                continue
            artefact = Artefact(
                place,
                str(record["chosen"]["runtime"]),
                str(record["chosen"]["precision"]),
                tuple(map(str, record["sealed"]["files"])),
            )
            why = _changed(record, model, artefact)
        except (CheckpointError, OSError, LookupError, TypeError, ValueError):
            why = f"its {RECORD_FILE} is damaged"
        if why is None:
            return artefact
        if why:
            logger.warning(
                "What was optimised in %s is not used: %s. Run again: distilbert optimize %s --data FILE",
                place,
                why,
                model.folder,
            )
    return None


def keep(model: Model, write: Callable[[Path], None] | None, facts: Mapping[str, Any]) -> Path:
    """Put what was chosen in its place; what stood there before goes when all is there.

    Args:
        model: it is made of.
        write: fills a folder with its files; None where it has none.
        facts: of what was tried and ``chosen``.

    Returns:
        The folder.

    Raises:
        OutputError: neither the model's folder nor the user's cache can be written.
    """
    refused: OutputError | None = None
    for place in places(model):
        try:
            _put(place, model, write, facts)
        except OutputError as error:
            refused = refused or error
        else:
            return place
    assert refused is not None
    raise refused


def _put(place: Path, model: Model, write: Callable[[Path], None] | None, facts: Mapping[str, Any]) -> None:
    new = [path for path in place.parents if not path.exists()]
    try:
        with new_folder(place, force=True) as folder:
            if write is not None:
                write(folder)
            own = seals.sealed(folder.iterdir())
            package = _PACKAGES[facts["chosen"]["runtime"]]
            # As programs look for it that open such a graph.
            model.config.save_pretrained(folder)
            sealed = {
                "weights": [asdict(seal) for seal in seals.sealed(_made_of(model))],
                "files": {seal.name: asdict(seal) for seal in own},
                "versions": {package: version(package)},
            }
            record = {"format": _FORMAT, "model": _described(model), **facts, "sealed": sealed}
            write_json(folder / RECORD_FILE, record)
    finally:
        for path in new:  # of an end that came before its time
            if path.exists() and not any(path.iterdir()):
                path.rmdir()


def _changed(record: Mapping[str, Any], model: Model, artefact: Artefact) -> str | None:
    """What has changed since; None where nothing has, and nothing to say where it is another model's."""
    if record["format"] != _FORMAT:
        return "another version of this package made it"
    if record["model"] != _described(model):
        return ""
    sealed = record["sealed"]
    for package, verified in sealed["versions"].items():
        found = _version(package)
        if found != verified:
            return f"it was verified with {package} {verified}, and {found} is installed"
    if not seals.hold([Seal.from_dict(own) for own in sealed["weights"]], model.folder, _made_of(model)):
        return "the model has changed since"
    files = [artefact.folder / name for name in artefact.files]
    whole = seals.hold([Seal.from_dict(own) for own in sealed["files"].values()], artefact.folder, files)
    return None if whole else "its files have changed since"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "none"


def _made_of(model: Model) -> list[Path]:
    """The files that a model's graph is made of."""
    return [model.folder / CONFIG_FILE, *weight_files(model.folder)]


def _described(model: Model) -> dict[str, Any]:
    """What tells a model from others of the same folder."""
    pooling = None if model.pooling is None else list(model.pooling.modes)
    return {"head": model.head.value, "pooling": pooling, "asked": model.asked}
