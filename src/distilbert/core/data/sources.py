"""Texts and tables out of files and folders: .txt, .csv, .tsv, .jsonl and .parquet, packed or not."""

import csv
import json
import logging
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, overload

from distilbert.core.data.class_names import named, noted_names
from distilbert.core.data.lines import COMPRESSIONS, MAX_LINE, Meter, numbered_lines
from distilbert.errors import DataError, MissingExtraError

logger = logging.getLogger(__name__)

Row = dict[str, Any]
#: A row with the number of its line; or, where that is wanted, why there is none.
Numbered = tuple[int, Row | DataError]
Place = str | os.PathLike[str]

#: Columns that hold the text, in the order in which they are looked for.
TEXT_COLUMNS = ("text", "sentence", "content", "review", "document")

_ENDINGS = ".txt, .csv, .tsv, .jsonl or .parquet (.gz, .bz2, .xz or .zst may follow the text kinds)"

#: Rows of a Parquet file, and bytes of its column, that are read at a time.
_PARQUET_ROWS, _PARQUET_BYTES = 256, 2**20


def read_texts(
    places: Place | Sequence[Place],
    *,
    column: str | None = None,
    every_row: bool = False,
    meter: Meter | None = None,
) -> Iterator[str]:
    """The texts of files: each line of a .txt that says something, or the text column of a table.

    Args:
        places: a file, whose name's ending says what it is; a folder, of which all data files are read, by
            name; or several of either.
        column: the tables' text column; None looks in each for one of ``TEXT_COLUMNS``.
        every_row: a row of a table without a text is an error, and not left out.
        meter: is kept told how far the reading is.

    Raises:
        DataError: no such file, none that is known, nothing in any, or not UTF-8.
    """
    paths = data_files(places)
    empty = []
    for path in paths:
        nothing = True
        for text in _texts_in(path, column, every_row=every_row, meter=meter):
            nothing = False
            yield text
        if nothing:
            empty.append(path)
    if len(empty) == len(paths):
        raise _nothing_in(*empty)
    for path in empty:
        logger.warning("%s holds no text.", path)


@overload
def read_rows(path: str | Path) -> Iterator[tuple[int, Row]]: ...
@overload
def read_rows(path: str | Path, *, broken: bool) -> Iterator[Numbered]: ...
def read_rows(path: str | Path, *, broken: bool = False) -> Iterator[Any]:
    """The rows of a table, each with the number of the line (or, in Parquet, of the row) it begins on.

    Args:
        path: the file.
        broken: give an error in the place of a line that is no row, and go on.

    Raises:
        DataError: no such file, not a table, nothing in it, a broken line, or not UTF-8.
    """
    path = Path(path)
    kind = kind_of(path)
    if kind == ".txt":
        raise DataError(
            "A table must be a .csv, .tsv, .jsonl or .parquet file.",
            received=str(path),
            remedy="Save it as one of these, with a line of column names where it is .csv or .tsv.",
        )
    empty = True
    for row in _READERS[kind](path, Meter()) if broken else _whole(kind, path, Meter()):
        empty = False
        yield row
    if empty:
        raise _nothing_in(path)


def data_files(places: Place | Sequence[Place]) -> list[Path]:
    """The files that are meant: each one named, and all data files in each folder and below, by name.

    Hidden files are passed over; what else is in a folder and no data file is left out, and logged.

    Raises:
        DataError: no such file or folder, or no data file in it.
    """
    named = [places] if isinstance(places, str | os.PathLike) else list(places)
    if not named:
        raise DataError("There must be a data file.", received="none", remedy="Name one, or a folder.")
    found: list[Path] = []
    for path in map(Path, named):
        if os.path.isdir(path):
            found += _files_in(path)
        else:
            kind_of(path)
            found.append(path)
    return found


def kind_of(path: Path) -> str:
    """The ending that says what the file holds, without that of its compression.

    Raises:
        DataError: there is no such file, or its ending is unknown.
    """
    if not os.path.isfile(path):
        raise DataError(
            "A data file must exist.",
            received=f"{path}, which is a folder" if os.path.isdir(path) else f"{path}, which does not",
            remedy="Check the name and the folder it is looked for in.",
        )
    kind = known_kind(path)
    if kind is None:
        raise DataError(
            f"A data file must end in {_ENDINGS}.", received=str(path), remedy="Rename or convert it."
        )
    return kind


def known_kind(path: Path) -> str | None:
    """What a file of that name holds, or None where that is nothing known."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    packed = suffixes[-1:] != [] and suffixes[-1] in COMPRESSIONS
    kind = "".join(suffixes[-2:-1] if packed else suffixes[-1:])
    if kind == ".parquet" and packed:
        return None
    return kind if kind == ".txt" or kind in _READERS else None


def text_column(columns: list[str], *, wanted: str | None, path: object) -> str:
    """Which of a table's columns holds the text.

    Raises:
        DataError: none does; the columns found are named.
    """
    for name in (wanted,) if wanted else TEXT_COLUMNS:
        if name in columns:
            return name
    raise DataError(
        f"A table of texts must have a column named {wanted or ' or '.join(TEXT_COLUMNS)}.",
        received=f"columns {', '.join(columns) or 'none'} in {path}",
        remedy="Name the column that holds the text: --text-column NAME",
    )


def column_texts(
    rows: Iterable[tuple[int, Mapping[str, Any]]], column: str | None, *, place: object, every_row: bool
) -> Iterator[str]:
    """The texts in a table's rows; ``place`` is what an error calls the table."""
    name = None
    for number, row in rows:
        name = name or text_column(list(row), wanted=column, path=place)
        text = row.get(name)
        if isinstance(text, str) and text.strip():
            yield text
        elif every_row:
            raise DataError(
                "Every row must have a text.",
                received=f"{text!r:.60} as {name} at line {number} of {place}",
                remedy="Fill it in or correct it, or remove the row.",
            )


def _texts_in(path: Path, column: str | None, *, every_row: bool, meter: Meter | None) -> Iterator[str]:
    kind, meter = kind_of(path), meter or Meter()
    if kind == ".txt":
        lines = (line.strip() for _, line in numbered_lines(path, meter))
        return (line for line in lines if line)
    if kind == ".parquet":
        rows = _read_parquet(path, meter, lambda names: [text_column(names, wanted=column, path=path)])
    else:
        rows = _whole(kind, path, meter)
    return column_texts(rows, column, place=path, every_row=every_row)


def _files_in(folder: Path) -> list[Path]:
    known: list[Path] = []
    others: list[Path] = []
    seen: set[str] = set()
    for root, folders, names in os.walk(folder, onerror=_refuse_closed, followlinks=True):
        if os.path.realpath(root) in seen:  # a circle of links
            folders.clear()
            continue
        seen.add(os.path.realpath(root))
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(root, name)
            if not name.startswith(".") and path.is_file():
                (others if known_kind(path) is None else known).append(path)
    others.sort()
    if not known:
        raise DataError(
            f"A folder of texts must hold files that end in {_ENDINGS}.",
            received=f"{folder}, which holds " + (", ".join(_some(folder, others)) or "no files"),
            remedy="Check that it is the folder you meant, or convert them.",
        )
    if others:
        logger.warning("No data files, and left out of %s: %s", folder, ", ".join(_some(folder, others)))
    return sorted(known)


def _refuse_closed(error: OSError) -> None:
    raise DataError(
        "A folder of texts must be readable.",
        received=f"{error.strerror} for {error.filename}",
        remedy="Change its permissions, or name the files that are wanted.",
    )


def _some(folder: Path, paths: list[Path]) -> list[str]:
    shown = [path.relative_to(folder).as_posix() for path in paths[:8]]
    return shown + ([f"and {len(paths) - 8} more"] if len(paths) > 8 else [])


def _whole(kind: str, path: Path, meter: Meter) -> Iterator[tuple[int, Row]]:
    """The rows of a table, which is refused where one is broken."""
    for number, row in _READERS[kind](path, meter):
        if isinstance(row, DataError):
            raise row
        yield number, row


def _read_separated(path: Path, delimiter: str, meter: Meter) -> Iterator[Numbered]:
    # A field may be a whole document; the module's own limit is 128 KiB.
    csv.field_size_limit(MAX_LINE)
    lines = numbered_lines(path, meter)
    reader = csv.DictReader((line for _, line in lines), delimiter=delimiter, strict=True)
    number = 2
    try:
        if twice := [name for name, count in Counter(reader.fieldnames or ()).items() if count > 1]:
            raise DataError(
                "Every column must have a name of its own.",
                received=f"{', '.join(twice)} more than once in {path}",
                remedy="Rename all but one of them.",
            )
        for row in reader:
            if None in row or None in row.values():
                yield (
                    number,
                    DataError(
                        "Every row must have as many fields as there are column names.",
                        received=f"another number at line {number} of {path}",
                        remedy="Put fields that contain separators or line breaks between double quotes.",
                    ),
                )
            else:
                yield number, row
            number = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            "A table must be well-formed.",
            received=f"{error} at line {reader.line_num} of {path}",
            remedy="Put fields that contain separators, quotes or line breaks between double quotes.",
        ) from None


def _read_csv(path: Path, meter: Meter) -> Iterator[Numbered]:
    return _read_separated(path, ",", meter)


def _read_tsv(path: Path, meter: Meter) -> Iterator[Numbered]:
    return _read_separated(path, "\t", meter)


def _read_jsonl(path: Path, meter: Meter) -> Iterator[Numbered]:
    for number, line in numbered_lines(path, meter):
        if not line.strip():
            continue
        row = None
        with suppress(ValueError, RecursionError):
            row = json.loads(line)
        if isinstance(row, dict):
            yield number, row
        else:
            yield (
                number,
                DataError(
                    "Every line of a .jsonl file must be one JSON object.",
                    received=f"{line.strip()!r:.60} at line {number} of {path}",
                    remedy='Write one object a line, such as {"text": "…", "label": "…"}.',
                ),
            )


def _read_parquet(
    path: Path, meter: Meter, columns: Callable[[list[str]], list[str] | None] = lambda names: None
) -> Iterator[tuple[int, Row]]:
    """``columns`` says which of the names there are to be read, or None for all."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError.of("train", wanted="Reading Parquet", missing="pyarrow") from None
    try:
        number = 0
        # Through a small buffer: else a row group's column is taken into memory whole.
        with pyarrow.parquet.ParquetFile(path, buffer_size=_PARQUET_BYTES) as file:
            wanted, names = columns(file.schema_arrow.names), noted_names(file.schema_arrow.metadata)
            size, rows = path.stat().st_size, max(1, file.metadata.num_rows)
            with meter.over(path, lambda: size * number // rows):
                for batch in file.iter_batches(_PARQUET_ROWS, columns=wanted):
                    for row in batch.to_pylist():
                        number += 1
                        yield number, named(row, names)
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(
            "A .parquet file must be whole, and its texts UTF-8.",
            received=f"{path}: {error}",
            remedy="Copy or write the file again.",
        ) from None


#: What is broken comes as the error that it is, so that whoever can go on may.
_READERS: dict[str, Callable[[Path, Meter], Iterator[Numbered]]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}


def _nothing_in(*paths: Path) -> DataError:
    return DataError(
        "A data file must hold at least one text.",
        received=f"{paths[0]}, which holds none" if len(paths) == 1 else f"{len(paths)} files without any",
        remedy="Check that it is the file you meant.",
    )
