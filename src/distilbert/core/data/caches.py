"""Where tokenised texts are kept, and how one gets there: whole, or not at all."""

import errno
import json
import logging
import os
import secrets
import shutil
import tempfile
import time
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from distilbert.core.files import read_json
from distilbert.core.places import users_folder
from distilbert.errors import CheckpointError, OutputError

logger = logging.getLogger(__name__)

#: What a place says that may be read and not written.
_CLOSED = (errno.EACCES, errno.EPERM, errno.EROFS)

#: After so long nobody works on what is half done.
_ABANDONED_SECONDS = 24 * 3600

_PARTIAL = ".partial-"

#: Checksums of what was written: of each file, block by block.
_SUMS = "sums.json"

#: Bytes of a block, and how many blocks of a file are looked at when it is opened.
_BLOCK, _LOOKED_AT = 2**20, 256


def cache_folder(cache: str | os.PathLike[str] | None = None) -> Path | None:
    """The folder of all tokenised texts, or None where this user has none.

    Args:
        cache: the folder itself; None for ``corpora`` in ``$DISTILBERT_CACHE``, or in ``distilbert`` in the
            user's own cache.
    """
    return users_folder("corpora") if cache is None else Path(cache)


class Building:
    """A folder under way: in the cache or, where that is closed, among the system's temporary files.

    Leaving the block removes the folder, unless it was finished.

    Args:
        root: the cache, or None for none.
        name: of the folder, as far as it is known; for people.

    Attributes:
        temporary: whether the folder is in no cache, and goes with whoever uses it.

    Raises:
        OutputError: from every method: there is no room.
    """

    def __init__(self, root: Path | None, name: str) -> None:
        self._root = root
        self._files: dict[str, BinaryIO] = {}
        self._sums: dict[str, list[int]] = defaultdict(list)
        self._finished = False
        self.temporary = root is None
        if root is not None:
            try:
                root.mkdir(parents=True, exist_ok=True)
                _drop_abandoned(root)
                self._folder = root / f"{name}{_PARTIAL}{secrets.token_hex(4)}"
                self._folder.mkdir()
                return
            except OSError as error:
                if error.errno not in _CLOSED:
                    raise _unwritable(root, error) from error
                logger.warning("%s may not be written: the tokenised text is made anew each time.", root)
        self.temporary = True
        try:
            self._folder = Path(tempfile.mkdtemp(prefix="distilbert-corpus-"))
        except OSError as error:
            raise _unwritable(Path(tempfile.gettempdir()), error) from error

    def append(self, name: str, array: "np.ndarray[Any, Any]") -> None:
        """Add an array's numbers to the end of a file."""
        with self._told():
            if name not in self._files:
                self._files[name] = (self._folder / name).open("wb")
            content = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
            _sum(self._sums[name], self._files[name].tell(), content)
            self._files[name].write(content)

    def finish(self, name: str, last: Mapping[str, bytes]) -> Path:
        """Write the files that make it whole, checksums too, and give it its place, which is returned.

        Where there is one already another run was first: then this one goes. What stood there and was not
        whole must have been removed.
        """
        with self._told():
            for file in self._files.values():
                _settle(file)
            for file_name, content in {_SUMS: json.dumps(self._sums).encode(), **last}.items():
                with (self._folder / file_name).open("wb") as file:
                    file.write(content)
                    _settle(file)
            if self.temporary or self._root is None:
                self._finished = True
                return self._folder
            path = self._root / name
            try:
                os.rename(self._folder, path)
                self._finished = True
            except OSError:
                if not path.is_dir():
                    raise
            return path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for file in self._files.values():
            with suppress(OSError):  # what is still in the buffer of a full disk
                file.close()
        if not self._finished:
            shutil.rmtree(self._folder, ignore_errors=True)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise _unwritable(self._folder.parent, error) from error


def verify(folder: Path) -> None:
    """Hold the appended files of a folder against the checksums that were written with them.

    Of a file of more than 256 MiB it is so many blocks of a MiB that are read, spread over all of it with
    the first and the last among them: what replaced the whole file is seen, and a larger file costs no more.

    Raises:
        ValueError: a file is not as it was written, or there are no checksums.
    """
    try:
        sums = read_json(folder / _SUMS)
    except CheckpointError:
        raise ValueError(f"no {_SUMS} that can be read") from None
    for name, blocks in sums.items():
        looked_at = np.unique(np.linspace(0, len(blocks) - 1, _LOOKED_AT).astype(np.int64)) if blocks else ()
        with (folder / str(name)).open("rb") as file:
            for number in looked_at:
                file.seek(int(number) * _BLOCK)
                if zlib.crc32(file.read(_BLOCK)) != blocks[number]:
                    raise ValueError(f"{name} is not as it was written")


def _sum(blocks: list[int], at: int, content: memoryview) -> None:
    """Add what is written behind so many bytes to a file's checksums."""
    done = 0
    while done < len(content):
        room = _BLOCK - (at + done) % _BLOCK
        if room == _BLOCK:
            blocks.append(0)
        blocks[-1] = zlib.crc32(content[done : done + room], blocks[-1])
        done += room


def _settle(file: BinaryIO) -> None:
    """A crash after the rename must not find the name without the content."""
    file.flush()
    os.fsync(file.fileno())


def _unwritable(root: Path, error: OSError) -> OutputError:
    return OutputError(
        "The cache of tokenised text must be writable, with room for it.",
        received=f"{error.strerror or error} for {root}",
        remedy="Free some space, or set DISTILBERT_CACHE to a folder elsewhere; nothing half done was left.",
    )


def _drop_abandoned(root: Path) -> None:
    """Remove what was left by runs that were killed."""
    for folder in root.glob(f"*{_PARTIAL}*"):
        try:
            touched = max(entry.stat().st_mtime for entry in (folder, *folder.iterdir()))
        except OSError:  # somebody else removes it
            continue
        if time.time() - touched > _ABANDONED_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
