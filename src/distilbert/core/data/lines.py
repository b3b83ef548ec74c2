"""Data files line by line: unpacked as they are read, decoded one by one, and of bounded length."""

import gzip
import io
import sys
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast

from distilbert.errors import DataError, MissingExtraError

#: What may follow the ending of a file of text.
COMPRESSIONS = (".gz", ".bz2", ".xz", ".zst")

#: The longest line in bytes. A line is the one thing of a file that stands in memory whole.
MAX_LINE = 2**28

#: Bytes unpacked at a time.
_UNPACKED = 2**18

#: What spreadsheets put before a file's first line.
_MARK = b"\xef\xbb\xbf"


class Meter:
    """How far some files have been read, in bytes as they lie on the disk."""

    def __init__(self) -> None:
        self._passed = 0
        self._position: Callable[[], int] | None = None

    @property
    def done(self) -> int:
        return self._passed + (self._position() if self._position else 0)

    @contextmanager
    def over(self, path: Path, position: Callable[[], int]) -> Iterator[None]:
        """Until the block ends, ``position`` says how many bytes of the file have been read."""
        self._position = position
        try:
            yield
        finally:
            self._position = None
            self._passed += path.stat().st_size


def numbered_lines(path: Path, meter: Meter | None = None) -> Iterator[tuple[int, str]]:
    """Numbered lines, decoded one by one, so that a wrong byte is found where it stands.

    Raises:
        DataError: not readable, not whole, not UTF-8, or a line beyond ``MAX_LINE``.
        MissingExtraError: nothing here unpacks it.
    """
    number = offset = 0
    try:
        with path.open("rb") as raw, (meter or Meter()).over(path, raw.tell), _unpacked(path, raw) as file:
            for number, line in enumerate(iter(partial(file.readline, MAX_LINE + 1), b""), start=1):
                if len(line) > MAX_LINE:
                    raise DataError(
                        f"A line must be at most {MAX_LINE} bytes.",
                        received=f"a longer one at line {number} of {path}",
                        remedy="Put line breaks between its texts.",
                    )
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
    except _broken() as error:
        raise DataError(
            "A data file must be readable and whole.",
            received=f"{path}: {error}",
            remedy="Copy or make the file again.",
        ) from None


def _unpacked(path: Path, raw: BinaryIO) -> BinaryIO:
    ending = path.suffix.lower()
    if ending == ".gz":
        return cast(BinaryIO, gzip.GzipFile(fileobj=raw))
    if ending == ".bz2":
        import bz2

        return cast(BinaryIO, bz2.BZ2File(raw))
    if ending == ".xz":
        import lzma

        return cast(BinaryIO, lzma.LZMAFile(raw))
    if ending == ".zst":
        return _unpacked_zst(raw)
    return raw


def _unpacked_zst(raw: BinaryIO) -> BinaryIO:
    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdFile

        return cast(BinaryIO, ZstdFile(raw))
    try:
        import pyarrow
    except ImportError:
        raise MissingExtraError.of("train", wanted="Reading .zst", missing="pyarrow") from None
    stream = pyarrow.input_stream(raw, compression="zstd", buffer_size=_UNPACKED)
    return cast(BinaryIO, io.BufferedReader(stream, _UNPACKED))


def _broken() -> tuple[type[Exception], ...]:
    """What the unpackers raise at content that is none of theirs."""
    from lzma import LZMAError

    kinds = (OSError, EOFError, zlib.error, LZMAError)
    if sys.version_info >= (3, 14):
        from compression.zstd import ZstdError

        return (*kinds, ZstdError)
    return kinds
