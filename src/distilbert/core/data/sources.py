"""Texts and tables out of files: .txt, .csv, .tsv, .jsonl and .parquet, the text kinds also as .gz."""

import csv
import gzip
import json
import os
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, cast

from distilbert.errors import DataError, MissingExtraError

Row = dict[str, Any]

#: Columns that hold the text, in the order in which they are looked for.
TEXT_COLUMNS = ("text", "sentence", "content", "review", "document")


def read_texts(path: str | Path, *, column: str | None = None, every_row: bool = False) -> Iterator[str]:
    """The texts of a file: each line of a .txt that says something, or the text column of a table.

    Args:
        path: the file; its name's ending says what it is.
        column: the table's text column; None looks for one of ``TEXT_COLUMNS``.
        every_row: a row of a table without a text is an error, and not left out.

    Raises:
        DataError: no such file, none that is known, nothing in it, or not UTF-8.
    """
    path = Path(path)
    if kind_of(path) == ".txt":
        lines = (line.strip() for _, line in _lines(path))
        texts = (line for line in lines if line)
    else:
        texts = (text for _, text in _column(path, column, every_row=every_row))
    empty = True
    for text in texts:
        empty = False
        yield text
    if empty:
        raise _nothing_in(path)


def read_rows(path: str | Path) -> Iterator[tuple[int, Row]]:
    """The rows of a table, each with the number of the line (or, in Parquet, of the row) it begins on.

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
    for row in _READERS[kind](path):
        empty = False
        yield row
    if empty:
        raise _nothing_in(path)


def kind_of(path: Path) -> str:
    """The ending that says what the file holds, with .gz taken off.

    Raises:
        DataError: there is no such file, or its ending is unknown.
    """
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-2] if suffixes[-1:] == [".gz"] and len(suffixes) > 1 else "".join(suffixes[-1:])
    if not os.path.isfile(path):
        raise DataError(
            "A data file must exist.",
            received=f"{path}, which is a folder" if os.path.isdir(path) else f"{path}, which does not",
            remedy="Check the name and the folder it is looked for in.",
        )
    if kind not in (".txt", *_READERS):
        raise DataError(
            "A data file must end in .txt, .csv, .tsv, .jsonl or .parquet (.gz may follow the text kinds).",
            received=str(path),
            remedy="Rename or convert it.",
        )
    return kind


def text_column(columns: list[str], *, wanted: str | None, path: Path) -> str:
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


def _column(path: Path, column: str | None, *, every_row: bool) -> Iterator[tuple[int, str]]:
    name = None
    for number, row in read_rows(path):
        name = name or text_column(list(row), wanted=column, path=path)
        text = row.get(name)
        if isinstance(text, str) and text.strip():
            yield number, text
        elif every_row:
            raise DataError(
                "Every row must have a text.",
                received=f"{text!r:.60} as {name} at line {number} of {path}",
                remedy="Fill it in or correct it, or remove the row.",
            )


def _read_separated(path: Path, delimiter: str) -> Iterator[tuple[int, Row]]:
    # A field may be a whole document; the module's own limit of 128 KiB guards nothing here.
    csv.field_size_limit(sys.maxsize)
    lines = _lines(path)
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
                raise DataError(
                    "Every row must have as many fields as there are column names.",
                    received=f"another number at line {number} of {path}",
                    remedy="Put fields that contain separators or line breaks between double quotes.",
                )
            yield number, row
            number = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            "A table must be well-formed.",
            received=f"{error} at line {reader.line_num} of {path}",
            remedy="Put fields that contain separators, quotes or line breaks between double quotes.",
        ) from None


def _read_csv(path: Path) -> Iterator[tuple[int, Row]]:
    return _read_separated(path, ",")


def _read_tsv(path: Path) -> Iterator[tuple[int, Row]]:
    return _read_separated(path, "\t")


def _read_jsonl(path: Path) -> Iterator[tuple[int, Row]]:
    for number, line in _lines(path):
        if not line.strip():
            continue
        row = None
        with suppress(ValueError, RecursionError):
            row = json.loads(line)
        if not isinstance(row, dict):
            raise DataError(
                "Every line of a .jsonl file must be one JSON object.",
                received=f"{line.strip()!r:.60} at line {number} of {path}",
                remedy='Write one object a line, such as {"text": "…", "label": "…"}.',
            )
        yield number, row


def _read_parquet(path: Path) -> Iterator[tuple[int, Row]]:
    try:
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError.of("train", wanted="Reading Parquet", missing="pyarrow") from None
    try:
        number = 0
        with pyarrow.parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        raise DataError(
            "A .parquet file must be whole, and its texts UTF-8.",
            received=f"{path}: {error}",
            remedy="Copy or write the file again.",
        ) from None


_READERS: dict[str, Callable[[Path], Iterator[tuple[int, Row]]]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_jsonl,
    ".parquet": _read_parquet,
}


#: What spreadsheets put before a file's first line.
_MARK = b"\xef\xbb\xbf"


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines, decoded one by one, so that a wrong byte is found where it stands."""
    number = offset = 0
    try:
        with _open(path) as file:
            for number, line in enumerate(file, start=1):
                if number == 1 and line.startswith(_MARK):
                    line, offset = line.removeprefix(_MARK), len(_MARK)
                yield number, line.decode()
                offset += len(line)
    except UnicodeDecodeError as error:
        raise DataError(
            "A text file must be UTF-8.",
            received=f"0x{error.object[error.start]:02x} at line {number}, "
            f"byte {offset + error.start + 1} of {path}",
            remedy="Save it as UTF-8, for example: iconv -f latin1 -t utf-8 OLD > NEW",
        ) from None
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(
            "A data file must be readable and whole.",
            received=f"{path}: {error}",
            remedy="Copy or make the file again.",
        ) from None


def _open(path: Path) -> BinaryIO:
    if path.suffix.lower() == ".gz":
        return cast(BinaryIO, gzip.open(path, "rb"))
    return path.open("rb")


def _nothing_in(path: Path) -> DataError:
    return DataError(
        "A data file must hold at least one text.",
        received=f"{path}, which holds none",
        remedy="Check that it is the file you meant.",
    )
