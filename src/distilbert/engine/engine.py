"""Text in, answers out: a folder's model on a runtime, with its tokenizer and its task."""

import os
import threading
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, Self

from distilbert.core import rules
from distilbert.core.data.readers import OwnReader
from distilbert.core.tasks.abstaining import check_abstaining, withheld
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.folders import TaskFolder
from distilbert.core.tasks.labelled_texts import LabelledTexts
from distilbert.core.tasks.reading import as_examples
from distilbert.core.tasks.task import Answered
from distilbert.engine.items import item_logits, row_logits
from distilbert.engine.long_texts import Reading, check_on_long, merged, read
from distilbert.engine.model import Model
from distilbert.engine.runtimes import open_runtime
from distilbert.engine.scheduler import Scheduler
from distilbert.engine.tally import Tally
from distilbert.engine.waiting import Request
from distilbert.errors import ConfigError, DataError

#: Tokens that are computed together: from here on processors are no faster for more.
BUDGET = 512

#: Examples that are tokenised at a time, and how many such lots are under way: enough of each length, and
#: few enough for answers to come while texts still do.
_LOT, _AHEAD = 512, 8


@dataclass(frozen=True)
class Refused:
    """What stands in the place of an answer where an example could not be read."""

    error: DataError

    def as_dict(self) -> dict[str, Any]:
        return {"error": str(self.error)}

    def __str__(self) -> str:
        return f"error: {self.error}"


class _Lot(NamedTuple):
    """Examples under way."""

    examples: Examples
    reading: Reading
    request: Request


class Engine(AbstractContextManager["Engine"]):
    """A model that answers. Threads may share it, and a forked process opens it anew when it first asks.

    Args:
        opened: what the folder says of its model.
        runtime: "onnx", "openvino", "torch"; "auto" is the first of them that is installed.
        streams: batches that are computed at once; None is one for each core.
        threads: that share a batch; None deals the cores out among the streams. ``streams=1`` answers one
            text as soon as can be, the default many texts.
        on_long: what becomes of a text that is longer than the model reads: "window" reads it in windows
            and merges what is said of them, "truncate" cuts it and counts it, "error" refuses it.
        budget: tokens that are computed together.

    Attributes:
        task: what the model was trained for.
        tally: what was computed so far, and how much of it was padding.

    Raises:
        CheckpointError: weights are missing or damaged.
        ConfigError: a setting that cannot be.
        MissingExtraError: no such runtime is installed.
    """

    def __init__(
        self,
        opened: TaskFolder,
        *,
        runtime: str = "auto",
        streams: int | None = None,
        threads: int | None = None,
        on_long: str = "window",
        budget: int = BUDGET,
    ) -> None:
        self.opened = opened
        self.task = opened.task
        self.on_long = check_on_long(on_long)
        self.tally = Tally()
        self._reader = OwnReader(opened.tokenizer)
        count = rules.optional(rules.integer(1))
        self._settings = {
            "name": runtime,
            "streams": count("streams", streams),
            "threads": count("threads", threads),
        }
        self._budget = rules.integer(1)("budget", budget)
        #: By process: a lock that was held when a process was forked would stay so in it.
        self._opening: dict[int, threading.Lock] = {}
        self._open()

    @classmethod
    def load(cls, folder: str | Path, **settings: Any) -> Self:
        """From a fine-tuned folder, or its name on a hub; the settings are the constructor's.

        Raises:
            CheckpointError: a file is missing or damaged, or the model was never fine-tuned.
            ConfigError: the folder is another kind of model's, or a setting cannot be.
            MissingExtraError: no runtime is installed.
        """
        return cls(TaskFolder.open(folder), **settings)

    @property
    def runtime(self) -> str:
        """The name of what computes."""
        return self._runtime.name

    def __call__(self, given: Any, *, abstain_below: float | None = None) -> Any:
        """The answer to a text, or a row; a list of answers to several; an iterator of answers to an
        iterator.

        Args:
            given: a text, or a dictionary or pair of what the task reads, or several of these.
            abstain_below: an answer that is less likely is "unsure".

        Raises:
            ConfigError: ``abstain_below`` for a task whose answers have no probability of their own.
            DataError: something that is none of this model's task.
        """
        if isinstance(given, str | Mapping | tuple):
            return self.answers([given], abstain_below=abstain_below)[0]
        if isinstance(given, Sequence | Examples | LabelledTexts):
            return self.answers(given, abstain_below=abstain_below)
        return self.stream(given, abstain_below=abstain_below)

    def answers(self, table: Any, *, abstain_below: float | None = None) -> list[Answered]:
        """An answer for each example of a table, or for each text or row of a list.

        Raises:
            ConfigError: as a call.
            DataError: as a call.
        """
        check_abstaining(self.task, abstain_below)
        if isinstance(table, Examples | LabelledTexts):
            table = as_examples(table, task=self.task.name, labelled=False)
        if 0 < len(table) <= _LOT:
            return list(self._answers(self._lot(self._examples(table)), abstain_below))
        if isinstance(table, Examples):
            lots = (
                table.take(range(start, min(start + _LOT, len(table))))
                for start in range(0, len(table), _LOT)
            )
            return list(self._through(lots, abstain_below, errors="raise"))
        return list(self.stream(table, abstain_below=abstain_below))

    def stream(
        self, rows: Iterable[Any], *, abstain_below: float | None = None, errors: str = "raise"
    ) -> Iterator[Answered]:
        """Answers as texts or rows come, in their order and in constant memory.

        Args:
            rows: any number of them.
            abstain_below: an answer that is less likely is "unsure".
            errors: "raise", or "return" to have a ``Refused`` in the place of what cannot be read.

        Raises:
            ConfigError: as a call.
            DataError: as a call.
        """
        if errors not in ("raise", "return"):
            raise ConfigError(
                "What cannot be read is a reason to raise, or is returned in its place.",
                received=f"errors={errors!r:.40}",
                remedy='Choose "raise" or "return".',
            )
        source = iter(rows)
        return self._through(iter(lambda: list(islice(source, _LOT)), []), abstain_below, errors=errors)

    def close(self) -> None:
        """Let go of the runtime; what still waits is cancelled."""
        if os.getpid() == self._process:
            self._scheduler.close()

    def __exit__(self, *exception: object) -> None:
        self.close()

    # Examples to answers.

    def _through(
        self, lots: Iterator[Any], abstain_below: float | None, *, errors: str
    ) -> Iterator[Answered]:
        """Lot after lot; some are tokenised and computed while earlier ones are answered."""
        check_abstaining(self.task, abstain_below)
        waiting: deque[Future[list[_Lot | DataError]]] = deque()
        with ThreadPoolExecutor(1, thread_name_prefix="distilbert-tokens") as ahead:
            try:
                while True:
                    while len(waiting) < _AHEAD and not (waiting and _is_done(waiting[0])):
                        lot = next(lots, None)
                        if lot is None:
                            break
                        waiting.append(ahead.submit(self._begin, lot, errors))
                    if not waiting:
                        return
                    for part in waiting.popleft().result():
                        if isinstance(part, DataError):
                            yield Refused(part)
                        else:
                            yield from self._answers(part, abstain_below)
            finally:
                for left in waiting:
                    if not left.cancel() and left.exception() is None:
                        for part in left.result():
                            if isinstance(part, _Lot):
                                part.request.cancel()

    def _begin(self, lot: Any, errors: str) -> list[_Lot | DataError]:
        """Tokenise a lot and have it computed; one that cannot be read as a whole, example by example."""
        try:
            return [self._lot(self._examples(lot))]
        except DataError as error:
            if errors == "raise":
                raise
            if len(lot) == 1:
                return [error]
        return [part for row in lot for part in self._begin([row], errors)]

    def _examples(self, rows: Any) -> Examples:
        if isinstance(rows, Examples):
            return rows
        if self._reads_texts and all(isinstance(row, str) for row in rows):
            return Examples(self.task.name, {"text": rows}, "what was given")
        return as_examples(
            [_row(row) for row in rows], task=self.task.name, source="what was given", labelled=False
        )

    @property
    def _reads_texts(self) -> bool:
        return self.task.single or "text" in self.task.columns

    def _lot(self, examples: Examples) -> _Lot:
        reading = read(
            self.task,
            self._reader,
            examples,
            max_length=self.opened.max_length,
            on_long=self.on_long,
        )
        self.tally.add(cut=reading.cut, windowed=reading.windowed)
        return _Lot(examples, reading, self._submitting().submit(reading.rows))

    def _answers(self, lot: _Lot, abstain_below: float | None) -> Sequence[Answered]:
        examples, reading, request = lot
        calibration = self.opened.calibration
        found = row_logits(self.task, request.result())
        logits = merged(self.task, found, reading, temperature=calibration.temperature)
        calibrated = calibration.applied(item_logits(self.task, logits, reading.items))
        return withheld(self.task.answers(calibrated, examples, reading.items), abstain_below)

    # The runtime, in the process that asks.

    def _open(self) -> None:
        model = Model.of(self.opened)
        self._runtime = open_runtime(model, **self._settings)
        self._scheduler = Scheduler(
            self._runtime,
            model,
            pad_token_id=self._reader.pad_token_id,
            budget=self._budget,
            tally=self.tally,
        )
        self._process = os.getpid()

    def _submitting(self) -> Scheduler:
        """The scheduler; a forked process has none of its parent's threads, and opens its own."""
        process = os.getpid()
        if process != self._process:
            with self._opening.setdefault(process, threading.Lock()):
                if process != self._process:
                    self.tally = Tally()
                    self._open()
        return self._scheduler


def load(folder: str | Path, **settings: Any) -> Engine:
    """A fine-tuned folder's model, ready to answer; without PyTorch, unless that is the runtime.

    Args:
        folder: of a model, or its name on a hub.
        **settings: of ``Engine``.

    Raises:
        CheckpointError: a file is missing or damaged, or the model was never fine-tuned.
        ConfigError: the folder is another kind of model's, or a setting cannot be.
        MissingExtraError: no runtime is installed.
    """
    return Engine.load(folder, **settings)


def _row(given: Any) -> Any:
    """A text or a pair of texts as a table's row; rows as they are."""
    if isinstance(given, str):
        return {"text": given}
    if isinstance(given, tuple | list) and len(given) == 2:
        return {"text_a": given[0], "text_b": given[1]}
    return given


def _is_done(lot: "Future[list[_Lot | DataError]]") -> bool:
    """Whether its answers can be had without waiting."""
    if not lot.done() or lot.exception() is not None:
        return lot.done()
    return all(part.request.done() for part in lot.result() if isinstance(part, _Lot))
