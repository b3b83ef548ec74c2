"""Tables wherever they are: a file, a folder of files, a folder for each class, a data set of a hub."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from distilbert.core.data.annotated import read_annotated
from distilbert.core.data.hub_tables import is_hub_name, split_files
from distilbert.core.data.sources import Row, data_files, known_kind, read_rows
from distilbert.errors import DataError


@dataclass(frozen=True)
class Part:
    """Rows of one source.

    Attributes:
        source: what errors call it.
        rows: with their numbers.
        files: whether the numbers are of lines of that source.
    """

    source: str
    rows: list[tuple[int, Row]]
    files: bool = True


def read_parts(place: str | Path, *, splits: Sequence[str]) -> list[Part]:
    """The rows of a table, source by source.

    Args:
        place: a file; a folder of such, or one that has a folder of ``.txt`` files for each class, every file
            a text (as scikit-learn's ``load_files`` has it); or the name of a data set on a hub.
        splits: of a data set, the first that there is, where its name says none.

    Raises:
        DataError: there is no such thing, or it cannot be read; the file is named.
    """
    path = Path(place)
    if path.is_dir():
        classes = _class_folders(path)
        if classes:
            return [Part(str(path), list(enumerate(_texts_of(classes), start=1)), files=False)]
        return [_of_file(file) for file in data_files(path)]
    if not path.exists() and known_kind(path) is None and is_hub_name(str(place)):
        files = split_files(str(place), splits)
        names = [str(place)] if len(files) == 1 else [f"{file.name} of {place}" for file in files]
        return [Part(name, _of_file(file).rows) for name, file in zip(names, files, strict=True)]
    return [_of_file(path)]


def _of_file(path: Path) -> Part:
    return Part(str(path), list(read_annotated(path) or read_rows(path)))


def _class_folders(folder: Path) -> list[Path]:
    """The folders of classes; none where there are tables, or texts of no class."""
    inside = [path for path in sorted(folder.iterdir()) if not path.name.startswith(".")]
    if any(known_kind(path) for path in inside if path.is_file()):
        return []
    found = [path for path in inside if path.is_dir()]
    texts = all(any(_texts_in(one)) for one in found)
    tables = (known_kind(path) not in (None, ".txt") for one in found for path in one.rglob("*"))
    return found if len(found) > 1 and texts and not any(tables) else []


def _texts_in(folder: Path) -> Iterator[Path]:
    paths = sorted(folder.rglob("*"))
    return (path for path in paths if path.suffix.lower() == ".txt" and not path.name.startswith("."))


def _texts_of(classes: Sequence[Path]) -> Iterator[Row]:
    for folder in classes:
        for path in _texts_in(folder):
            try:
                text = path.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise DataError(
                    "A text's file must be readable, and UTF-8.",
                    received=f"{path}: {getattr(error, 'strerror', None) or 'not UTF-8'}",
                    remedy="Correct it, or take it out of the folder.",
                ) from None
            if not text.strip():
                raise DataError(
                    "A text's file must hold a text.",
                    received=f"{path}, which is empty",
                    remedy="Fill it in, or take it out of the folder.",
                )
            yield {"text": text.strip(), "label": folder.name}
