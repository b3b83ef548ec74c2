"""What a teacher answered at hidden words, kept on the disk: a student learns from it as often as one likes.

Masks follow from the seed, the epoch and the sequence, so that the words that are hidden when the student
reads are those that the teacher was asked about. Of an answer the most likely words are kept, with the
logarithms of their probabilities at the recipe's temperature and of the probability of all others together.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO, Self

import numpy as np

from distilbert.core.files import read_json, unwritable, write_json
from distilbert.errors import ConfigError, DataError

ANSWERS_FILE = "answers.json"

Words = np.ndarray[Any, np.dtype[np.integer[Any]]]
Logs = np.ndarray[Any, np.dtype[np.float16]]

_WORDS, _LOGS, _ENDS = "words.bin", "logs.bin", "ends.bin"
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

    Args:
        folder: an empty one.
        top: words of each answer.
        epochs: ways of hiding words.
        vocab_size: of the teacher.
        facts: what is asked, of whom and how; ``Answers.facts`` later.

    Raises:
        OutputError: from every method: there is no room.
    """

    def __init__(
        self, folder: Path, *, top: int, epochs: int, vocab_size: int, facts: Mapping[str, Any]
    ) -> None:
        self._folder, self._type = folder, _word_type(vocab_size)
        self._facts = {
            **facts, "format": _FORMAT, "top": top, "epochs": epochs, "vocab_size": vocab_size,
        }  # fmt: skip
        self._ends: list[int] = []
        self._files = ExitStack()

    def __enter__(self) -> Self:
        self._out: tuple[BinaryIO, ...] = tuple(
            self._files.enter_context((self._folder / name).open("wb")) for name in (_WORDS, _LOGS)
        )
        return self

    def add(self, words_TK: Words, logs_TK: Logs) -> None:
        """Further answers, in the order of what was asked."""
        try:
            self._out[0].write(words_TK.astype(self._type).tobytes())
            self._out[1].write(logs_TK.astype("<f2").tobytes())
        except OSError as error:
            raise unwritable(self._folder, error) from error

    def add_counts(self, counts: Sequence[int]) -> None:
        """How many answers each of further sequences has."""
        for count in counts:
            self._ends.append((self._ends[-1] if self._ends else 0) + count)

    def __exit__(self, kind: type[BaseException] | None, *error: object) -> None:
        self._files.close()
        if kind is None:
            np.asarray(self._ends, "<i8").tofile(self._folder / _ENDS)
            write_json(self._folder / ANSWERS_FILE, json.loads(json.dumps(self._facts)))


def _word_type(vocab_size: int) -> "np.dtype[Any]":
    return np.dtype("<u2" if vocab_size <= 2**16 else "<i4")
