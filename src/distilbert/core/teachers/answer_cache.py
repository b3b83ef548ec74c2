"""Answers that were paid for, kept from the moment they came: a file of one JSON line each."""

import hashlib
import json
import logging
import os
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from distilbert.core.data.lines import numbered_lines
from distilbert.core.files import unwritable
from distilbert.core.locks import locked
from distilbert.core.places import users_folder
from distilbert.core.progress import Progress
from distilbert.core.teachers.replies import Reply
from distilbert.errors import ConfigError

logger = logging.getLogger(__name__)

_LOOK_EVERY = 0.2


def key_of(address: str, body: bytes) -> str:
    """What tells a request from every other: where it goes, and all that it says."""
    return hashlib.sha256(address.encode() + b"\n" + body).hexdigest()


def usual_place(address: str, model: str) -> Path:
    """Where answers are kept where nobody says: in the user's cache, a file for each address and model.

    Raises:
        ConfigError: this user has no cache.
    """
    folder = users_folder("answers")
    if folder is None:
        raise ConfigError(
            "Answers that cost something must be kept.",
            received="a user without a home, and no file named for them",
            remedy="Name one (--kept-answers FILE), or set DISTILBERT_CACHE to a folder.",
        )
    named = hashlib.sha256(f"{address}\n{model}".encode()).hexdigest()[:16]
    return folder / f"{named}.jsonl"


class AnswerCache:
    """A file of answers, each added as a whole line and put on the disk at once.

    Whatever ends a process loses at most the answer that it was writing: what a line lacks of being whole is
    passed over when the file is read, and the next line begins on a line of its own. Texts are not in it, nor
    is a key: a request is known by its SHA-256 alone.

    Args:
        path: the file; it and its folder are made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    @contextmanager
    def opened(self, keys: Collection[str], progress: Progress) -> Iterator[dict[str, Reply]]:
        """Those of the answers that are there, by key; meanwhile no other process adds any.

        Where another one does, it is waited for: it may be buying the same.

        Raises:
            OutputError: the file cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        except OSError as error:
            raise unwritable(self.path, error) from error
        try:
            for looks in count():
                if locked(self._file):
                    break
                progress("wait for another run's answers", looks, None, {})
                time.sleep(_LOOK_EVERY)
            self._end_line()
            yield self._read(set(keys))
        finally:
            os.close(self._file)
            self._file = None

    def standing(self, keys: Collection[str]) -> dict[str, Reply]:
        """Those that are there, whoever else works on the file; nothing is made."""
        return self._read(set(keys)) if self.path.is_file() else {}

    def add(self, key: str, reply: Reply) -> None:
        """Keep an answer.

        Raises:
            OutputError: there is no room.
        """
        self._write(json.dumps({"key": key, **reply.record()}).encode() + b"\n")

    def _read(self, keys: set[str]) -> dict[str, Reply]:
        found: dict[str, Reply] = {}
        broken = 0
        for _, line in numbered_lines(self.path):
            try:
                record = json.loads(line) if line.strip() else {"key": None}
                key = record["key"]
            except (ValueError, RecursionError, TypeError, KeyError):
                broken += 1
                continue
            if key in keys and (reply := Reply.of_record(record)) is not None:
                found[key] = reply
        if broken:
            logger.warning("%d lines of %s are not whole, and are passed over.", broken, self.path)
        return found

    def _end_line(self) -> None:
        """After a line that a killed process has left in the middle, begin another."""
        assert self._file is not None
        size = os.lseek(self._file, 0, os.SEEK_END)
        if size:
            os.lseek(self._file, size - 1, os.SEEK_SET)
            if os.read(self._file, 1) != b"\n":
                self._write(b"\n")

    def _write(self, line: bytes) -> None:
        assert self._file is not None
        try:
            while line:
                line = line[os.write(self._file, line) :]
            os.fsync(self._file)
        except OSError as error:
            raise unwritable(self.path, error) from error
