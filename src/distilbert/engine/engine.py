"""Text in, answers out: a folder's model on a runtime, with its tokenizer and its task."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from distilbert.core.data.readers import OwnReader
from distilbert.core.data.sources import Numbered
from distilbert.core.tasks.abstaining import check_abstaining, withheld
from distilbert.core.tasks.examples import Examples
from distilbert.core.tasks.folders import TaskFolder
from distilbert.core.tasks.labelled_texts import LabelledTexts
from distilbert.core.tasks.reading import as_examples
from distilbert.core.tasks.task import Answered
from distilbert.engine.ahead import LOT, lots_of, through
from distilbert.engine.computer import Computer
from distilbert.engine.items import calibrated_logits
from distilbert.engine.long_texts import Reading, check_on_long, read
from distilbert.engine.model import Model
from distilbert.engine.tally import Tally
from distilbert.engine.waiting import Request
from distilbert.errors import ConfigError, DataError


@dataclass(frozen=True)
class Refused:
    """What stands in the place of an answer where an example could not be read."""

    error: DataError

    def as_dict(self) -> dict[str, Any]:
        return {"error": str(self.error)}

    def __str__(self) -> str:
        return f"error: {self.error}"


class _Part(NamedTuple):
    """Examples under way."""

    examples: Examples
    reading: Reading
    request: Request


@dataclass(frozen=True)
class _Lot:
    """A lot under way, in one part unless something in it could not be read."""

    parts: list[_Part | DataError]

    @property
    def requests(self) -> list[Request]:
        return [part.request for part in self.parts if isinstance(part, _Part)]


class Engine(AbstractContextManager["Engine"]):
    """A model that answers. Threads may share it, and a forked process opens it anew when it first asks.

    Args:
        opened: what the folder says of its model.
        on_long: what becomes of a text that is longer than the model reads: "window" reads it in windows
            and merges what is said of them, "truncate" cuts it and counts it, "error" refuses it.
        **computing: ``runtime``, ``streams``, ``threads``, ``budget`` and ``workers`` of ``Computer``:
            ``streams=1`` answers one text as soon as can be, the default many texts.

    Attributes:
        task: what the model was trained for.

    Raises:
        CheckpointError: weights are missing or damaged.
        ConfigError: a setting that cannot be.
        MissingExtraError: no such runtime is installed.
    """

    def __init__(self, opened: TaskFolder, *, on_long: str = "window", **computing: Any) -> None:
        self.opened = opened
        self.task = opened.task
        self.on_long = check_on_long(on_long)
        self._reader = OwnReader(opened.tokenizer)
        self._computer = Computer(Model.of(opened), pad_token_id=self._reader.pad_token_id, **computing)

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
        return self._computer.runtime

    @property
    def precision(self) -> str:
        """What it computes in: "fp32", or what ``optimize`` has verified: "bf16", "int8", "int8+bf16"."""
        return self._computer.precision

    @property
    def tally(self) -> Tally:
        """What was computed so far, and how much of it was padding."""
        return self._computer.tally

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
        if 0 < len(table) <= LOT:
            return list(self._answers(self._part(self._examples(table)), abstain_below))
        if isinstance(table, Examples):
            numbers = range(len(table))
            lots = (table.take(numbers[start : start + LOT]) for start in numbers[::LOT])
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
        return self._through(lots_of(rows), abstain_below, errors=errors)

    def numbered(
        self,
        rows: Iterable[Numbered],
        *,
        source: str,
        columns: Mapping[str, str],
        abstain_below: float | None = None,
    ) -> Iterator[tuple[dict[str, Any], Answered]]:
        """What is asked in each row of a table, and its answer; a ``Refused`` where that cannot be read.

        Args:
            rows: with the numbers of their lines, as ``read_rows`` gives them.
            source: what errors call the table.
            columns: its columns' names, by the task's own names of them.
            abstain_below: an answer that is less likely is "unsure".

        Raises:
            ConfigError: as a call.
            DataError: not one of the first rows can be read: the columns are others.
        """
        check_abstaining(self.task, abstain_below)

        def examples_of(lot: list[Numbered]) -> Examples:
            good = [(number, row) for number, row in lot if not isinstance(row, DataError)]
            if len(good) < len(lot):
                raise next(row for _, row in lot if isinstance(row, DataError))
            made: Examples = self.task.read(good, source=source, columns=columns, labelled=False)
            return made

        def begin(lot: list[Numbered]) -> _Lot:
            return _Lot(self._begin(lot, examples_of, "return"))

        def finish(lot: _Lot) -> Iterator[tuple[dict[str, Any], Answered]]:
            for part in lot.parts:
                if isinstance(part, DataError):
                    yield {}, Refused(part)
                    continue
                names = [name for name in self.task.inputs if name in part.examples.columns]
                asked = part.examples.rows(*names)
                for row, answer in zip(asked, self._answers(part, abstain_below), strict=True):
                    yield dict(zip(names, row, strict=True)), answer

        lots = lots_of(rows)
        first = next(lots, None)
        if first is None:
            return
        begun = begin(first)
        if not begun.requests:
            raise next(part for part in begun.parts if isinstance(part, DataError))
        yield from finish(begun)
        yield from through(lots, begin, finish)

    def close(self) -> None:
        """Let go of the runtime; what still waits is cancelled."""
        self._computer.close()

    def __exit__(self, *exception: object) -> None:
        self.close()

    # Examples to answers.

    def _through(
        self, lots: Iterator[Any], abstain_below: float | None, *, errors: str
    ) -> Iterator[Answered]:
        check_abstaining(self.task, abstain_below)

        def begin(lot: Any) -> _Lot:
            return _Lot(self._begin(lot, self._examples, errors))

        def finish(lot: _Lot) -> Iterator[Answered]:
            for part in lot.parts:
                if isinstance(part, DataError):
                    yield Refused(part)
                else:
                    yield from self._answers(part, abstain_below)

        return through(lots, begin, finish)

    def _begin(
        self, lot: Any, examples_of: Callable[[Any], Examples], errors: str
    ) -> list[_Part | DataError]:
        """Tokenise a lot and have it computed; one that cannot be read as a whole, example by example."""
        try:
            return [self._part(examples_of(lot))]
        except DataError as error:
            if errors == "raise":
                raise
            if len(lot) == 1:
                return [error]
        return [part for row in lot for part in self._begin([row], examples_of, errors)]

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

    def _part(self, examples: Examples) -> _Part:
        reading = read(
            self.task, self._reader, examples, max_length=self.opened.max_length, on_long=self.on_long
        )
        request = self._computer.submit(reading.rows)
        self.tally.add(cut=reading.cut, windowed=reading.windowed)
        return _Part(examples, reading, request)

    def _answers(self, part: _Part, abstain_below: float | None) -> Sequence[Answered]:
        examples, reading, request = part
        logits = calibrated_logits(self.opened, request.result(), reading)
        return withheld(self.task.answers(logits, examples, reading.items), abstain_below)


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
    """A text or a pair of texts as a table's row; rows as they are.

    Raises:
        DataError: it is none of them.
    """
    if isinstance(given, str):
        return {"text": given}
    if isinstance(given, tuple | list) and len(given) == 2:
        return {"text_a": given[0], "text_b": given[1]}
    if isinstance(given, Mapping):
        return given
    raise DataError(
        "What is answered is a text, a pair of texts, or a dictionary of what the task reads.",
        received=f"{given!r:.60}",
        remedy="Leave it out, or write it as text.",
    )
