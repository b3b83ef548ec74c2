"""Texts in whatever form somebody has them: files, folders, strings, rows of a data set."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Any

from distilbert.core.data.lines import Meter
from distilbert.core.data.sources import Place, column_texts, data_files, known_kind, read_texts, text_column
from distilbert.errors import DataError

#: What texts may be given as.
Source = Place | Iterable[str] | Iterable[Place] | Iterable[Mapping[str, Any]]

_REMEDY = "Give a path, a list of Paths, strings, or rows with a column of texts."


class TextFiles:
    """The texts of some files, read anew each time they are gone through.

    Args:
        places: a file, a folder, or several of either.
        column: the tables' text column; None looks for one of ``TEXT_COLUMNS``.

    Attributes:
        paths: the files.

    Raises:
        DataError: no such file or folder, or no data file in it.
    """

    def __init__(self, places: Place | Sequence[Place], *, column: str | None = None) -> None:
        self.paths = data_files(places)
        self.column = column
        self._meter = Meter()

    def __iter__(self) -> Iterator[str]:
        self._meter = Meter()
        return read_texts(self.paths, column=self.column, meter=self._meter)

    @property
    def size(self) -> int:
        """Of all files together, in bytes as they lie on the disk."""
        return sum(size for _, size, _ in self.state())

    @property
    def done(self) -> int:
        """How much of ``size`` the latest reading has passed."""
        return self._meter.done

    def state(self) -> list[tuple[str, int, int]]:
        """Each file's place, size and time of change: while these stay, so does the text."""
        try:
            found = [(path.resolve(), path.stat()) for path in self.paths]
        except OSError as error:
            raise DataError(
                "Files of text must stay where they are while they are used.",
                received=f"{error.strerror} for {error.filename}",
                remedy="Run again once they are complete.",
            ) from None
        return [(str(path), stat.st_size, stat.st_mtime_ns) for path, stat in found]


def texts_of(source: Source, *, column: str | None = None) -> TextFiles | Iterable[str]:
    """The texts of whatever holds some, one by one and none before it is asked for.

    Args:
        source: a path or several, of files or folders (a string by itself is a path, strings in a list are
            texts); strings; or rows, each a mapping, such as a ``datasets`` object gives.
        column: the text column of tables and rows; None looks for one of ``TEXT_COLUMNS``.

    Raises:
        DataError: none of these, at once or as soon as it is found in what is gone through.
    """
    if isinstance(source, TextFiles):
        return source
    if isinstance(source, str | os.PathLike):
        return TextFiles(source, column=column)
    if isinstance(source, Mapping):
        raise _no_source(
            f"{type(source).__name__} of {', '.join(map(str, source))}", "Give one of its parts."
        )
    if hasattr(source, "itertuples"):  # a frame of pandas, which gives the names of its columns
        raise _no_source(type(source).__name__, 'Give its column of texts, such as frame["text"].')
    if not isinstance(source, Iterable):
        raise _no_source(type(source).__name__)
    names = getattr(source, "column_names", None)
    select = getattr(source, "select_columns", None)
    if isinstance(names, list) and select:
        # The other columns, of images perhaps, are not even read.
        column = text_column(names, wanted=column, path=type(source).__name__)
        source = select([column])
    given: Any = source
    items: Iterator[Any] = iter(given)
    firsts = list(islice(items, 1))
    first = firsts[0] if firsts else ""
    items = chain(firsts, items)
    if isinstance(first, os.PathLike):
        return TextFiles([*items], column=column)
    if isinstance(first, Mapping):
        rows = ((number, _row(number, item)) for number, item in enumerate(items, start=1))
        return column_texts(rows, column, place=type(source).__name__, every_row=False)
    if isinstance(source, list | tuple) and isinstance(first, str):
        _refuse_name(first)
    return _strings(items)


def _strings(items: Iterable[Any]) -> Iterator[str]:
    for number, item in enumerate(items, start=1):
        if not isinstance(item, str):
            raise DataError(
                "A text must be a string.",
                received=f"{item!r:.60} as text {number}",
                remedy="Decode bytes as UTF-8, and leave out what is empty.",
            )
        yield item


def _row(number: int, item: Any) -> Mapping[str, Any]:
    if isinstance(item, Mapping):
        return item
    raise DataError(
        "All rows must be mappings where the first is one.",
        received=f"{item!r:.60} as row {number}",
        remedy=_REMEDY,
    )


def _refuse_name(first: str) -> None:
    """Whoever lists names of files means their texts, and strings in a list are texts themselves."""
    if len(first) < 1000 and known_kind(Path(first)) and os.path.isfile(first):
        raise DataError(
            "Strings in a list are texts.",
            received=f"{first!r}, the name of a file",
            remedy=f"Give Path({first!r}) where its texts are meant.",
        )


def _no_source(received: str, remedy: str = _REMEDY) -> DataError:
    return DataError("Texts must be files, strings or rows.", received=received, remedy=remedy)
