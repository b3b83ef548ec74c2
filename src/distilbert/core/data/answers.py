"""What a teacher answered at hidden words, kept on the disk: a student learns from it as often as one likes.

Masks follow from the seed, the epoch and the sequence, so that the words that are hidden when the student
reads are those that the teacher was asked about. Of an answer the most likely words are kept, with the
logarithms of their probabilities at the recipe's temperature and of the probability of all others together.
"""

import json
import logging
import os
import shutil
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from distilbert.core.copies import RUN_FILE
from distilbert.core.files import read_json, unwritable, write_json
from distilbert.errors import ConfigError, DataError

logger = logging.getLogger(__name__)

ANSWERS_FILE = "answers.json"

Words = np.ndarray[Any, np.dtype[np.integer[Any]]]
Logs = np.ndarray[Any, np.dtype[np.float16]]

_WORDS, _LOGS, _ENDS = _FILES = ("words.bin", "logs.bin", "ends.bin")
_FORMAT = 1


class Answers:
    """A folder of answers, opened; what is asked for is read.

    Args:
        folder: one that ``AnswerWriter`` has filled.

    Attributes:
        top: words of each answer.
        epochs: how many ways of hiding words there are answers to.
        facts: what was asked, of whom and how.

    Raises:
        CheckpointError: it is no such folder.
        DataError: it is not whole.
    """

    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        self.facts: dict[str, Any] = read_json(folder / ANSWERS_FILE)
        try:
            self.top, self.epochs = int(self.facts["top"]), int(self.facts["epochs"])
            if self.facts["format"] != _FORMAT or min(self.top, self.epochs) < 1:
                raise ValueError("another format")
            words = np.memmap(folder / _WORDS, _word_type(int(self.facts["vocab_size"])), "r")
            logs = np.memmap(folder / _LOGS, "<f2", "r")
            self._ends = np.asarray(np.memmap(folder / _ENDS, "<i8", "r"))
            # Of an answer one logarithm more than words: of all the others.
            self._words = np.asarray(words).reshape(-1, self.top)
            self._logs = np.asarray(logs).reshape(-1, self.top + 1)
            if not len(self._words) == len(self._logs) == self._ends[-1] or len(self._ends) % self.epochs:
                raise ValueError("files of another size than its facts say")
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise DataError(
                "A folder of answers must be whole.",
                received=f"{folder}: {error}",
                remedy="Ask the teacher again: distilbert ask",
            ) from None
        self._sequences = len(self._ends) // self.epochs

    def about(self, rows: Iterable[int], epoch: int) -> tuple[Words, Logs]:
        """Answers at the hidden words of these sequences, in order: words [T, top], logarithms [T, top + 1].

        After the last epoch that was asked about comes the first one again.
        """
        first = epoch % self.epochs * self._sequences
        spans = [slice(self._ends[first + r - 1] if first + r else 0, self._ends[first + r]) for r in rows]
        return (
            np.concatenate([self._words[span] for span in spans]),
            np.concatenate([self._logs[span] for span in spans]),
        )

    def refuse_others_than(self, wanted: Mapping[str, Any]) -> None:
        """Refuse to learn what was not asked.

        Raises:
            ConfigError: the answers are about another text or other words, or of another temperature.
        """
        differing = [name for name, value in wanted.items() if self.facts.get(name) != value]
        if differing:
            received = ", ".join(f"{name} {wanted[name]} for {self.facts.get(name)}" for name in differing)
            raise ConfigError(
                "A student learns from answers about the words that are hidden from it.",
                received=f"{received:.300}",
                remedy="Give the text and the recipe that the teacher was asked with, or ask it again.",
            )


class AnswerWriter:
    """Fills a folder with answers, sequence after sequence and epoch after epoch.

    What is settled is on the disk: whatever ends the process, a writer of the same folder goes on from there.

    Args:
        folder: one to be made, or that a writer before has left; where nothing whole is left of it, it is
            begun anew.
        top: words of each answer.
        epochs: ways of hiding words.
        vocab_size: of the teacher.
        facts: what is asked, of whom and how; ``Answers.facts`` later.

    Attributes:
        done: sequences whose answers are settled.

    Raises:
        ConfigError: what is left are answers to something else.
        OutputError: from every method: there is no room.
    """

    def __init__(
        self, folder: Path, *, top: int, epochs: int, vocab_size: int, facts: Mapping[str, Any]
    ) -> None:
        self._folder, self._type = folder, _word_type(vocab_size)
        given = {**facts, "format": _FORMAT, "top": top, "epochs": epochs, "vocab_size": vocab_size}
        self._facts: dict[str, Any] = json.loads(json.dumps(given))
        left = self._left()
        self.done = int(left.get("done", 0))
        self._sums: dict[str, list[int]] = {name: left.get("files", {}).get(name, [0, 0]) for name in _FILES}
        self._end = 0
        self._files = ExitStack()

    def __enter__(self) -> Self:
        with self._told():
            if not self.done:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder.mkdir(parents=True)
            self._out: dict[str, BinaryIO] = {}
            for name, (size, _) in self._sums.items():
                file = (self._folder / name).open("r+b" if self.done else "x+b")
                self._out[name] = self._files.enter_context(file)
                file.truncate(size)
                file.seek(size)
        if self.done:
            self._end = int(np.fromfile(self._folder / _ENDS, "<i8")[-1])
        return self

    def add(self, words_TK: Words, logs_TK: Logs) -> None:
        """Further answers, in the order of what was asked."""
        self._write(_WORDS, words_TK.astype(self._type).tobytes())
        self._write(_LOGS, logs_TK.astype("<f2").tobytes())

    def add_counts(self, counts: Sequence[int]) -> None:
        """How many answers each of further sequences has."""
        ends = np.cumsum([self._end, *counts])[1:].astype("<i8")
        self._end = int(ends[-1])
        self._write(_ENDS, ends.tobytes())

    def settle(self, done: int) -> None:
        """Put on the disk what was added; ``done`` sequences have all of their answers."""
        with self._told():
            for file in self._out.values():
                file.flush()
                os.fsync(file.fileno())
        write_json(self._folder / RUN_FILE, {"run": self._facts, "done": done, "files": self._sums})
        self.done = done

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        with self._told() if kind is None else suppress(OSError):
            self._files.close()
        if kind is None:
            write_json(self._folder / ANSWERS_FILE, self._facts)
        elif not self.done:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self, name: str, content: bytes) -> None:
        with self._told():
            self._out[name].write(content)
        size, checksum = self._sums[name]
        self._sums[name] = [size + len(content), zlib.crc32(content, checksum)]

    def _left(self) -> dict[str, Any]:
        """What a writer before has noted, where all of it is there; else nothing."""
        if not (self._folder / RUN_FILE).is_file():
            return {}
        try:
            noted = read_json(self._folder / RUN_FILE)
            whole = all(_checksum(self._folder / name, *noted["files"][name]) for name in _FILES)
            asked = dict(noted["run"])
        except (OSError, ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            logger.warning("What is left in %s is damaged: the teacher is asked anew.", self._folder)
            return {}
        differing = [name for name in {**self._facts, **asked} if asked.get(name) != self._facts.get(name)]
        if differing:
            raise ConfigError(
                "Only the run that was interrupted can be resumed.",
                received=f"another {', '.join(sorted(differing)[:6])} than in {self._folder}",
                remedy="Give it what it was given, or begin anew with --force (force=True).",
            )
        return dict(noted)

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unwritable(self._folder, error) from error


def _checksum(file: Path, size: int, checksum: int) -> bool:
    """Whether the first bytes of a file are those that were noted."""
    total, left = 0, int(size)
    with file.open("rb") as stream:
        while left and (block := stream.read(min(left, 2**20))):
            total, left = zlib.crc32(block, total), left - len(block)
    return not left and total == checksum


def _word_type(vocab_size: int) -> "np.dtype[Any]":
    return np.dtype("<u2" if vocab_size <= 2**16 else "<i4")
